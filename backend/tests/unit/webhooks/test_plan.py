"""Sizes, targets and protections, worked by hand: BTC/USDT at 100, step 0.001, 5 USDT at least, fee 0.1 %."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.markets import Market
from domain.orders import OrderType, Side
from domain.webhooks.call import Action, Call, Level, Size, Unit
from domain.webhooks.plan import CancelOrders, Holdings, Leave, Nothing, Rules, Submit, plan
from domain.webhooks.refusal import CallRefused

MARKET = Market(
    symbol="BTC/USDT",
    exchange_id="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick_size=Decimal("0.1"),
    step_size=Decimal("0.001"),
    min_notional=Decimal(5),
)
RICH = Holdings(quote=Decimal(1000), base=Decimal(3))


def of(action: Action, value: str | None = None, unit: Unit = Unit.QUOTE, **fields: Any) -> Call:
    size = None if value is None else Size(Decimal(value), unit)
    return Call(action=action, ticker="BTCUSDT", size=size, **fields)


def planned(call: Call, holdings: Holdings = RICH, rules: Rules = Rules()) -> Any:  # noqa: B008 — frozen
    return plan(call, market=MARKET, price=Decimal(100), holdings=holdings, rules=rules)


def holding(held: str, quote: str = "1000") -> Holdings:
    return Holdings(quote=Decimal(quote), base=Decimal(held), held=Decimal(held))


def test_buy_of_an_amount_spends_it() -> None:
    done = planned(of(Action.BUY, "250"))
    assert (done.request.side, done.request.quote_amount, done.request.quantity) == (Side.BUY, Decimal(250), None)


def test_buy_of_everything_leaves_what_the_fee_and_the_price_may_take() -> None:
    # 1000 / (1.005 × 1.001)
    done = planned(of(Action.BUY, "100", Unit.PERCENT))
    assert done.request.quote_amount == Decimal(1000) / (Decimal("1.005") * Decimal("1.001"))


def test_limit_buy_is_sized_by_its_own_price() -> None:
    done = planned(of(Action.BUY, "250", order_type=OrderType.LIMIT, price=Decimal(50)))
    assert (done.request.quantity, done.request.price, done.request.quote_amount) == (Decimal(5), Decimal(50), None)


def test_protection_in_percent_lies_around_the_entry() -> None:
    call = of(Action.BUY, "250", stop_loss=Level(Decimal(2), True), take_profit=Level(Decimal("4.05"), True))
    request = planned(call).request
    assert (request.stop_loss, request.take_profit) == (Decimal("98.0"), Decimal("104.0"))


@pytest.mark.parametrize(
    "levels", [{"stop_loss": Level(Decimal(101), False)}, {"take_profit": Level(Decimal(99), False)}]
)
def test_protection_on_the_wrong_side_is_refused(levels: dict[str, Level]) -> None:
    with pytest.raises(CallRefused) as refusal:
        planned(of(Action.BUY, "250", Unit.QUOTE, **levels))
    assert refusal.value.error_code == "bad_protection"


def test_buy_without_a_size_takes_the_source_s() -> None:
    default = Rules(default_size=Size(Decimal(70), Unit.QUOTE))
    assert planned(of(Action.BUY), rules=default).request.quote_amount == Decimal(70)
    with pytest.raises(CallRefused, match="taille par défaut"):
        planned(of(Action.BUY))


def test_buy_above_the_source_s_limit_is_refused_and_a_sale_never_is() -> None:
    rules = Rules(max_quote=Decimal(200))
    with pytest.raises(CallRefused, match="plafond de la source 200 USDT"):
        planned(of(Action.BUY, "2.5", Unit.BASE), rules=rules)
    assert planned(of(Action.SELL, "2.5", Unit.BASE), rules=rules).request.quantity == Decimal("2.5")


def test_sale_in_percent_goes_by_the_base_balance() -> None:
    assert planned(of(Action.SELL, "50", Unit.PERCENT)).request.quantity == Decimal("1.5")


def test_sale_beyond_the_source_s_position_leaves_that_position() -> None:
    # 500 USDT are 5 BTC, the source holds 4.95: all of it.
    assert planned(of(Action.SELL, "500"), holding("4.95")) == Leave()
    assert planned(of(Action.SELL), holding("4.95")) == Leave()


def test_close_of_half_sells_half_and_of_nothing_does_nothing() -> None:
    half = planned(of(Action.CLOSE, "50", Unit.PERCENT), holding("4"))
    assert (half.request.quantity, half.is_exit) == (Decimal(2), True)
    assert planned(of(Action.CLOSE), holding("4")) == Leave()
    assert isinstance(planned(of(Action.CLOSE)), Nothing)


def test_cancel_needs_no_money() -> None:
    assert planned(of(Action.CANCEL), Holdings(quote=Decimal(0), base=Decimal(0))) == CancelOrders()


def test_target_buys_or_sells_the_difference() -> None:
    assert planned(of(Action.TARGET, "5", Unit.BASE), holding("4")).request.quantity == Decimal(1)
    less = planned(of(Action.TARGET, "3", Unit.BASE), holding("4"))
    assert (less.request.side, less.request.quantity) == (Side.SELL, Decimal(1))
    assert planned(of(Action.TARGET, "0", Unit.BASE), holding("4")) == Leave()
    # Half of what source and free money are worth together: (4 × 100 + 1000) / 2 = 700, so 3 BTC more.
    assert planned(of(Action.TARGET, "50", Unit.PERCENT), holding("4")).request.quantity == Decimal(3)


def test_target_already_there_to_the_least_order_does_nothing() -> None:
    assert isinstance(planned(of(Action.TARGET, "4.04", Unit.BASE), holding("4")), Nothing)  # 4 USDT of difference
    assert isinstance(planned(of(Action.TARGET, "0", Unit.BASE)), Nothing)


@given(
    wanted=st.decimals("0", "9", places=3),
    held=st.decimals("0", "9", places=3),
    price=st.decimals("1", "500", places=1),
)
def test_target_reached_is_never_asked_for_again(wanted: Decimal, held: Decimal, price: Decimal) -> None:
    call = of(Action.TARGET, str(wanted), Unit.BASE)
    money = Decimal(10_000)

    def planned_at(quantity: Decimal) -> Any:
        holdings = Holdings(quote=money, base=quantity, held=quantity)
        return plan(call, market=MARKET, price=price, holdings=holdings, rules=Rules())

    done = planned_at(held)
    if isinstance(done, Submit):
        sign = 1 if done.request.side is Side.BUY else -1
        held += sign * MARKET.round_quantity(done.request.quantity or Decimal(0))
    elif isinstance(done, Leave):
        held = Decimal(0)
    assert isinstance(planned_at(held), Nothing)
