"""Sizing, worked by hand on a market with tick 0.01 and step 0.0001."""

from decimal import Decimal

import pytest

from domain.markets import Market
from domain.orders import OrderRequest, OrderType, Side
from domain.sizing import Funds, NoOrder, exit_request, size_order
from domain.strategies.contract import Evaluation

MARKET = Market(
    symbol="BTC/USDT",
    exchange_id="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick_size=Decimal("0.01"),
    step_size=Decimal("0.0001"),
)
PRICE = Decimal("20000")


def answer(
    *, long: bool = False, short: bool = False, size: float = 0.0, stop: float = 0.0, target: float = 0.0
) -> Evaluation:
    return Evaluation(
        should_long=long,
        should_short=short,
        position_size=size,
        stop_loss=stop,
        take_profit=target,
        duration_ms=1.0,
    )


def funds(free: str = "1000", reserved: str = "0", cap: str | None = None) -> Funds:
    return Funds(free=Decimal(free), reserved=Decimal(reserved), cap=None if cap is None else Decimal(cap))


def size(evaluation: Evaluation, money: Funds, held: str | None = None) -> OrderRequest | NoOrder:
    return size_order(
        evaluation, market=MARKET, price=PRICE, funds=money, held=None if held is None else Decimal(held)
    )


def test_a_buy_signal_spends_what_the_strategy_asks_and_places_its_protection() -> None:
    request = size(answer(long=True, size=100.1, stop=0.02, target=0.033333), funds())
    # stop 20000 × 0.98 = 19600; target 20000 × 1.033333 = 20666.66
    assert request == OrderRequest(
        symbol="BTC/USDT",
        side=Side.BUY,
        order_type=OrderType.MARKET,
        quote_amount=Decimal("100.1"),
        stop_loss=Decimal("19600.00"),
        take_profit=Decimal("20666.66"),
    )


def test_no_protection_wanted_gives_none_and_not_a_price() -> None:
    request = size(answer(long=True, size=100), funds())
    assert isinstance(request, OrderRequest)
    assert request.stop_loss is None
    assert request.take_profit is None


@pytest.mark.parametrize(
    ("wanted", "money", "spent"),
    [
        (500.0, funds("1000", cap="200"), "200"),  # the cap wins over the strategy
        (150.0, funds("1000", cap="200"), "150"),  # under the cap: as asked
        (596.0, funds("1000", "400"), "596"),  # nearly all that remains
    ],
)
def test_spending_stays_within_cap_and_available(wanted: float, money: Funds, spent: str) -> None:
    request = size(answer(long=True, size=wanted), money)
    assert isinstance(request, OrderRequest)
    assert request.quote_amount == Decimal(spent)


@pytest.mark.parametrize("wanted", [600.0, 0.1 + 0.2 + 599.7])
def test_whole_balance_leaves_room_for_the_fee_and_a_price_that_runs_away(wanted: float) -> None:
    # 0,5 % of run and 0,1 % of fee: 600 / (1,005 × 1,001) = 596,418…
    request = size(answer(long=True, size=wanted), funds("1000", "400"))
    assert isinstance(request, OrderRequest)
    assert request.quote_amount == Decimal(600) / Decimal("1.006005")


def test_reserved_money_is_not_spent_twice() -> None:
    refusal = size(answer(long=True, size=700.0), funds("1000", "400"))
    assert refusal == NoOrder(
        "solde insuffisant : 700 USDT demandés, 600 disponibles (1\u202f000 libres, 400 réservés)"
    )


def test_more_reserved_than_free_leaves_nothing_rather_than_a_negative_amount() -> None:
    assert funds("100", "400").available == 0
    assert isinstance(size(answer(long=True, size=1.0), funds("100", "400")), NoOrder)


@pytest.mark.parametrize("wanted", [0.0, -5.0])
def test_a_size_of_nothing_is_said(wanted: float) -> None:
    refusal = size(answer(long=True, size=wanted), funds())
    assert isinstance(refusal, NoOrder)
    assert refusal.reason.startswith("taille nulle")


def test_a_stop_loss_of_the_whole_price_is_refused() -> None:
    refusal = size(answer(long=True, size=10.0, stop=1.5), funds())
    assert refusal == NoOrder("stop loss de 150 % impossible : il doit rester sous 100 %")


def test_no_signal_is_said() -> None:
    assert size(answer(), funds()) == NoOrder("aucun signal d'achat")
    assert size(answer(short=True), funds()) == NoOrder("aucun signal d'achat")


def test_should_short_sells_the_whole_position() -> None:
    assert size(answer(short=True), funds(), held="0.12345") == exit_request(MARKET, held=Decimal("0.12345"))


def test_a_held_position_never_buys_again() -> None:
    refusal = size(answer(long=True, size=100), funds(), held="0.5")
    assert refusal == NoOrder("position conservée : aucun signal de vente")
