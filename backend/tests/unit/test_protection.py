"""What should rest at the exchange for a position, with numbers worked by hand."""

from decimal import Decimal

import pytest

from domain.markets import Market
from domain.order_abilities import OrderAbilities, PairMode
from domain.orders import FillReport, OrderType, Side
from domain.positions import DustRule, Execution, replay
from domain.protection import Guards, ProtectionPlan, plan_protection, reached
from tests.fakes.clock import FakeClock

BOTH = Guards(stop_loss=Decimal(98), take_profit=Decimal(104))
HOLDS_OCO = OrderAbilities(pair=PairMode.OCO)
MARKET = Market(
    symbol="BTC/USDT",
    exchange_id="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick_size=Decimal("0.01"),
    step_size=Decimal("0.0001"),
    min_quantity=Decimal("0.0001"),
    min_notional=Decimal(5),
)


def plan(
    held: str, guards: Guards = BOTH, abilities: OrderAbilities | None = HOLDS_OCO, market: Market = MARKET
) -> ProtectionPlan:
    return plan_protection(guards, held=Decimal(held), market=market, exchange="fake", abilities=abilities)


def held_after(*fills: tuple[str, str, str, str]) -> str:
    """Return what is held after buys of (quantity, price, fee, currency)."""
    clock = FakeClock()
    executions = [
        Execution(
            side=Side.BUY,
            fill=FillReport(
                str(number), "1", Decimal(price), Decimal(quantity), Decimal(fee), currency, clock.now()
            ),
            ends_order=False,
        )
        for number, (quantity, price, fee, currency) in enumerate(fills)
    ]
    (holding,) = replay(executions, base="BTC", quote="USDT", dust=DustRule())
    return str(holding.quantity)


@pytest.mark.parametrize(
    ("fills", "protected"),
    [
        # 0.5 − 0.0005 of fee in BTC = 0.4995.
        ([("0.5", "100", "0.0005", "BTC")], "0.4995"),
        # The fee in USDT or BNB takes nothing of what is held.
        ([("0.5", "100", "0.05", "USDT")], "0.5"),
        ([("0.5", "100", "0.0001", "BNB")], "0.5"),
        # 0.3 + 0.1234 − 0.0003 − 0.0001234 = 0.4229766, cut to the step of 0.0001.
        ([("0.3", "100", "0.0003", "BTC"), ("0.1234", "100", "0.0001234", "BTC")], "0.4229"),
        # A first part of an entry is protected by itself: 0.06 − 0.00006 = 0.05994; 0.0599 × 98 = 5.87 USDT.
        ([("0.06", "100", "0.00006", "BTC")], "0.0599"),
    ],
)
def test_what_is_held_net_of_fees_and_cut_to_the_step_is_protected(
    fills: list[tuple[str, str, str, str]], protected: str
) -> None:
    assert plan(held_after(*fills)) == ProtectionPlan(OrderType.OCO, Decimal(protected))


@pytest.mark.parametrize(
    ("held", "kind"),
    [
        ("0.0511", OrderType.OCO),  # 0.0511 × 98 = 5.0078
        ("0.0510", None),  # 0.0510 × 98 = 4.998: below 5 at the stop price, though 5.1 at the entry's
        ("0.05109", None),  # cut to 0.0510 first
    ],
)
def test_the_minimum_counts_at_the_stop_price(held: str, kind: OrderType | None) -> None:
    found = plan(held)
    assert found.kind is kind
    assert ("valeur 4,998 USDT inférieure au minimum 5 USDT" in found.reason) == (kind is None)


def test_dust_below_the_step_is_watched() -> None:
    assert plan("0.00009").reason.startswith("quantité nulle après arrondi au pas de 0,0001 BTC")


def test_no_price_wants_no_order() -> None:
    assert plan("1", Guards()) == ProtectionPlan(None)


NO_PAIR = "cet exchange ne tient pas ensemble un stop loss et un take profit"
NO_STOP = OrderAbilities(refusals={OrderType.STOP_LOSS: "Fake ne prend pas d'ordre stop."}, pair=PairMode.LINKED)


@pytest.mark.parametrize(
    ("guards", "abilities", "kind", "reason"),
    [
        (BOTH, None, OrderType.OCO, ""),  # not known yet: its session refuses what it does not take
        (BOTH, OrderAbilities(pair=PairMode.LINKED), OrderType.OCO, ""),
        # No pair: the stop loss rests, the take profit is watched.
        (
            BOTH,
            OrderAbilities(),
            OrderType.STOP_LOSS,
            "cet exchange ne tient pas ensemble un stop loss et un take profit",
        ),
        # No stop loss there: nothing may lock what a stop watched by the engine has to sell.
        (BOTH, NO_STOP, None, "Fake ne prend pas d'ordre stop"),
        (Guards(stop_loss=Decimal(98)), NO_STOP, None, "Fake ne prend pas d'ordre stop"),
        (Guards(stop_loss=Decimal(98)), OrderAbilities(), OrderType.STOP_LOSS, ""),
        (Guards(take_profit=Decimal(104)), OrderAbilities(), OrderType.TAKE_PROFIT, ""),
    ],
)
def test_what_the_exchange_cannot_hold_is_watched(
    guards: Guards, abilities: OrderAbilities | None, kind: OrderType | None, reason: str
) -> None:
    found = plan("1", guards, abilities)
    assert (found.kind, found.reason) == (kind, reason)
    assert found.quantity == (0 if kind is None else 1)


@pytest.mark.parametrize(
    ("price", "side"),
    [
        ("98.01", None),
        ("98", "stop_loss"),
        ("90", "stop_loss"),
        ("103.99", None),
        ("104", "take_profit"),
        ("110", "take_profit"),
    ],
)
def test_a_protection_is_reached_at_its_price(price: str, side: str | None) -> None:
    assert reached(BOTH, Decimal(price)) == side


def test_no_protection_is_never_reached() -> None:
    assert reached(Guards(), Decimal("0.01")) is None
