"""The terms of an order, by hand: tick 0.01, step 0.00001, minimum notional 5 USDT, fees 0.1 %, price 100."""

from decimal import Decimal
from typing import Any

import pytest

from domain.errors import InvalidInput
from domain.order_abilities import OrderAbilities, PairMode
from domain.order_terms import OrderTerms, order_terms, pair_terms
from domain.orders import OrderRequest, OrderType, Side
from tests.fakes.exchange import BTC_USDT

D = Decimal
BUY, SELL = Side.BUY, Side.SELL
STOP, PROFIT, STOP_LIMIT = OrderType.STOP_LOSS, OrderType.TAKE_PROFIT, OrderType.STOP_LIMIT


def request(side: Side, order_type: OrderType, **amounts: Any) -> OrderRequest:
    given = {name: Decimal(value) for name, value in ({"quantity": "2"} | amounts).items() if value is not None}
    return OrderRequest("BTC/USDT", side, order_type, **given)


def terms(side: Side, order_type: OrderType, abilities: OrderAbilities | None = None, **amounts: Any) -> OrderTerms:
    wanted = request(side, order_type, **amounts)
    return order_terms(wanted, BTC_USDT, Decimal(100), exchange="fake", abilities=abilities)


@pytest.mark.parametrize(
    ("side", "order_type", "amounts", "expected"),
    [
        # A sale's trigger is cut down, and sets the quantity aside.
        (SELL, STOP, {"stop_price": "90.019"}, ("90.01", None, "180.02", "BTC", "2")),
        (SELL, PROFIT, {"stop_price": "110.019"}, ("110.01", None, "220.02", "BTC", "2")),
        (SELL, STOP_LIMIT, {"stop_price": "90", "price": "89.999"}, ("90", "89.99", "179.98", "BTC", "2")),
        # A purchase's is raised; at market 0.5 % of run and 0.1 % of fee: 220.02 × 1.005 × 1.001.
        (BUY, STOP, {"stop_price": "110.001"}, ("110.01", None, "220.02", "USDT", "221.34122010")),
        (BUY, PROFIT, {"stop_price": "90"}, ("90", None, "180", "USDT", "181.0809")),
        # A stop limit pays its limit at most: 2 × 112 × 1.001; below its trigger, the trigger counts.
        (BUY, STOP_LIMIT, {"stop_price": "110", "price": "112"}, ("110", "112", "224", "USDT", "224.224")),
        (BUY, STOP_LIMIT, {"stop_price": "110", "price": "105"}, ("110", "105", "210", "USDT", "220.22")),
    ],
)
def test_triggered_orders_are_rounded_against_the_trader_and_set_their_money_aside(
    side: Side, order_type: OrderType, amounts: dict[str, Any], expected: tuple[str | None, ...]
) -> None:
    made = terms(side, order_type, **amounts)
    stop, price, notional, currency, reserved = expected
    assert made.stop_price == Decimal(stop or 0)
    assert made.price == (None if price is None else Decimal(price))
    assert (made.quantity, made.notional) == (D(2), Decimal(notional or 0))
    assert (made.reserved_currency, made.reserved_amount) == (currency, Decimal(reserved or 0))


def test_an_amount_is_turned_into_a_quantity_at_the_price_that_will_apply() -> None:
    # 1000 / 110 = 9.090909…, cut to 9.09090 × 110 = 999.999; no more than the amount is set aside.
    made = terms(BUY, STOP, quantity=None, quote_amount="1000", stop_price="110")
    assert (made.quantity, made.notional, made.reserved_amount) == (D("9.0909"), D("999.999"), D(1000))


@pytest.mark.parametrize(
    ("side", "order_type", "amounts", "words"),
    [
        (SELL, STOP, {"stop_price": "100"}, "un stop loss de vente doit être au-dessous du prix du marché"),
        (SELL, STOP, {"stop_price": "110"}, "déclenchement 110 USDT, prix du marché 100 USDT"),
        (BUY, STOP, {"stop_price": "90"}, "un stop loss d'achat doit être au-dessus du prix du marché"),
        (SELL, PROFIT, {"stop_price": "90"}, "un take profit de vente doit être au-dessus"),
        (SELL, PROFIT, {"stop_price": "100.009"}, "déclenchement 100 USDT"),  # once rounded
        (BUY, PROFIT, {"stop_price": "110"}, "un take profit d'achat doit être au-dessous"),
        (SELL, STOP_LIMIT, {"stop_price": "110", "price": "90"}, "un stop limite de vente doit être au-dessous"),
        (SELL, STOP, {}, "un prix de déclenchement est obligatoire pour un ordre stop loss"),
        (SELL, STOP, {"stop_price": "90", "price": "90"}, "un prix est interdit pour un ordre stop loss"),
        (SELL, STOP_LIMIT, {"stop_price": "90"}, "un prix est obligatoire pour un ordre stop limite"),
        (SELL, OrderType.LIMIT, {"stop_price": "90", "price": "90"}, "un prix de déclenchement est interdit"),
        (SELL, OrderType.LIMIT, {"price": "0.00000123"}, "nul après arrondi au pas de 0,01 USDT"),
        (SELL, STOP, {"stop_price": "NaN"}, "prix de déclenchement NaN invalide"),
        (SELL, STOP, {"stop_price": "-1"}, "prix de déclenchement -1 invalide"),
        # The minimum is judged at the price that will apply: 0.06 × 90 = 5.4 passes, × 80 = 4.8 does not.
        (SELL, STOP, {"quantity": "0.06", "stop_price": "80"}, "valeur 4,8 USDT inférieure au minimum 5 USDT"),
    ],
)
def test_what_no_exchange_would_take_is_refused_in_french(
    side: Side, order_type: OrderType, amounts: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidInput, match="Ordre refusé avant envoi") as refusal:
        terms(side, order_type, **amounts)
    assert words in refusal.value.message


def test_what_this_exchange_does_not_take_is_refused_with_its_reason() -> None:
    abilities = OrderAbilities(refusals={STOP: "pas de stop ici."})
    with pytest.raises(InvalidInput, match=r"fake, BTC/USDT\) : pas de stop ici\.") as refusal:
        terms(SELL, STOP, abilities, stop_price="90")
    assert refusal.value.error_code == "order_type_unsupported"
    assert terms(SELL, PROFIT, abilities, stop_price="110").quantity == 2


def test_a_market_buy_sized_in_quote_says_what_it_spends() -> None:
    in_quote = OrderAbilities(market_buy_in_quote=True)
    by_amount = terms(BUY, OrderType.MARKET, in_quote, quantity=None, quote_amount="5")
    assert (by_amount.quote_amount, by_amount.quantity, by_amount.reserved_amount) == (D(5), D("0.05"), D(5))
    by_quantity = terms(BUY, OrderType.MARKET, in_quote)
    assert (by_quantity.quote_amount, by_quantity.reserved_amount) == (D(200), D(200))
    assert terms(SELL, OrderType.MARKET, in_quote).quote_amount is None
    assert terms(BUY, OrderType.LIMIT, in_quote, price="90").quote_amount is None
    assert terms(BUY, OrderType.MARKET).quote_amount is None


@pytest.mark.parametrize(
    ("order_type", "amounts", "fee", "reserved"),
    [
        # 2 BTC at 100: 0.1 % of what is bought, and no fee beside the 200 USDT, however the size was typed.
        (OrderType.LIMIT, {"price": "100"}, "0.002", "200"),
        (OrderType.LIMIT, {"price": "100", "quantity": None, "quote_amount": "200"}, "0.002", "200"),
        (OrderType.MARKET, {}, "0.002", "201"),  # 0.5 % of run
        (STOP, {"stop_price": "110.001"}, "0.002", "221.1201"),
    ],
)
def test_a_fee_kept_back_from_a_purchase_is_counted_in_what_is_bought(
    order_type: OrderType, amounts: dict[str, Any], fee: str, reserved: str
) -> None:
    made = terms(BUY, order_type, OrderAbilities(buy_fee_in_base=True), **amounts)
    assert (made.fee, made.fee_currency) == (D(fee), "BTC")
    assert (made.reserved_amount, made.reserved_currency) == (D(reserved), "USDT")


def test_a_sale_and_an_exchange_not_known_yet_pay_their_fee_in_quote() -> None:
    in_base = OrderAbilities(buy_fee_in_base=True)
    for made in (terms(SELL, OrderType.LIMIT, in_base, price="100"), terms(BUY, OrderType.LIMIT, price="100")):
        assert (made.fee, made.fee_currency) == (D("0.2"), "USDT")
    assert terms(BUY, OrderType.LIMIT, price="100").reserved_amount == D("200.2")


def pair(abilities: OrderAbilities | None = None, **changes: Any) -> tuple[OrderTerms, OrderTerms]:
    wanted = request(SELL, OrderType.OCO, **({"stop_loss": "90.019", "take_profit": "110.019"} | changes))
    return pair_terms(wanted, BTC_USDT, Decimal(100), exchange="fake", abilities=abilities)


def test_a_pair_sets_its_quantity_aside_once() -> None:
    stop, profit = pair()
    assert (stop.order_type, stop.stop_price, stop.reserved_amount) == (STOP, D("90.01"), D(2))
    assert (profit.order_type, profit.stop_price, profit.reserved_amount) == (PROFIT, D("110.01"), D(0))


@pytest.mark.parametrize(
    ("abilities", "changes", "words"),
    [
        (None, {"stop_loss": "101"}, "un stop loss de vente doit être au-dessous"),
        (None, {"take_profit": "99"}, "un take profit de vente doit être au-dessus"),
        (None, {"take_profit": None}, "les deux seuils"),
        (None, {"price": "100"}, "les deux seuils"),
        (None, {"quantity": None, "quote_amount": "50"}, "se donne en quantité"),
        (OrderAbilities(), {}, "ne tient pas ensemble"),
        (OrderAbilities(refusals={OrderType.OCO: "jamais."}), {}, "jamais."),
        (OrderAbilities(refusals={STOP: "sans stop."}, pair=PairMode.LINKED), {}, "sans stop."),
    ],
)
def test_a_pair_that_cannot_be_is_refused(
    abilities: OrderAbilities | None, changes: dict[str, str | None], words: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        pair(abilities, **changes)
    assert words in refusal.value.message


def test_a_pair_held_by_the_exchange_needs_no_stop_of_its_own() -> None:
    abilities = OrderAbilities(refusals={STOP: "sans stop."}, pair=PairMode.OCO)
    assert pair(abilities)[0].order_type is STOP


def test_a_pair_to_buy_is_refused() -> None:
    wanted = request(BUY, OrderType.OCO, stop_loss="110", take_profit="90")
    with pytest.raises(InvalidInput, match="à la vente"):
        pair_terms(wanted, BTC_USDT, Decimal(100), exchange="fake")
