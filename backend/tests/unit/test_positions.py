"""Positions by average cost: tables worked by hand, then the conservation laws on random fills."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.orders import FillReport, Side
from domain.positions import DustRule, Execution, Holding, average, fee_total, replay

START = datetime(2026, 1, 1, tzinfo=UTC)
D = Decimal
NO_DUST = DustRule()


def execution(
    number: int,
    side: Side,
    quantity: str | Decimal,
    price: str | Decimal,
    fee: str | Decimal = "0",
    fee_currency: str = "USDT",
    *,
    ends: bool = True,
) -> Execution:
    fill = FillReport(
        exchange_trade_id=str(number),
        exchange_order_id=str(number),
        price=D(price),
        quantity=D(quantity),
        fee=D(fee),
        fee_currency=fee_currency,
        executed_at=START + timedelta(seconds=number),
    )
    return Execution(side=side, fill=fill, ends_order=ends)


def positions(*executions: Execution, dust: DustRule = NO_DUST, carried: Holding | None = None) -> list[Holding]:
    return replay(executions, base="BTC", quote="USDT", dust=dust, carried=carried)


def test_two_buys_and_a_partial_sale_use_the_average_cost() -> None:
    # buy 1 @ 100 + 0.10 fee, buy 3 @ 120 + 0.36 fee: cost 460.46 for 4, so 115.115 each.
    # sell 2 @ 130 − 0.26 fee: proceeds 259.74, cost 230.23, realised 29.51; left 2 for 230.23.
    (held,) = positions(
        execution(1, Side.BUY, "1", "100", "0.10"),
        execution(2, Side.BUY, "3", "120", "0.36"),
        execution(3, Side.SELL, "2", "130", "0.26"),
    )
    assert held.quantity == D("2")
    assert held.entry_price == D("115.115")
    assert held.realized_pnl == D("29.51")
    assert held.realized_by_fill == (None, None, D("29.51"))
    assert held.unrealized_pnl(D("120")) == D("9.77")  # 240 − 230.23
    assert held.closed_at is None


def test_a_fee_in_base_lowers_the_quantity_and_raises_the_unit_cost() -> None:
    # 1 BTC @ 999 with 0.001 BTC of fee: 0.999 held for 999, so 1000 each. All sold @ 1000 − 0.999 fee: P&L −0.999.
    (held,) = positions(
        execution(1, Side.BUY, "1", "999", "0.001", "BTC"),
        execution(2, Side.SELL, "0.999", "1000", "0.999"),
    )
    assert held.quantity == 0
    assert held.realized_pnl == D("-0.999")
    assert held.closed_at == START + timedelta(seconds=2)


def test_a_fee_in_a_third_currency_is_counted_apart() -> None:
    (held,) = positions(
        execution(1, Side.BUY, "1", "100", "0.01", "BNB"), execution(2, Side.SELL, "1", "110", "0.02", "BNB")
    )
    assert held.realized_pnl == D("10")
    assert held.other_fees == {"BNB": D("0.03")}


def test_selling_more_than_was_bought_counts_the_excess_apart() -> None:
    # 1 bought @ 100; 4 sold @ 110 − 4.40 fee: a quarter is matched: (440 − 4.4)/4 − 100 = 8.90.
    (held,) = positions(execution(1, Side.BUY, "1", "100"), execution(2, Side.SELL, "4", "110", "4.40"))
    assert (held.quantity, held.unmatched_sold, held.realized_pnl) == (D("0"), D("3"), D("8.9"))


def test_dust_closes_only_once_the_selling_order_is_over_and_is_carried_on() -> None:
    dust = DustRule(step_size=D("0.01"), min_notional=D("5"))
    bought = execution(1, Side.BUY, "1.005", "100")
    (still_open,) = positions(bought, execution(2, Side.SELL, "1", "110", ends=False), dust=dust)
    assert still_open.closed_at is None
    # Held 1.005 for 100.5; 1 sold @ 110: realised 10; 0.005 (cost 0.5) is below the step.
    closed, following = positions(
        bought, execution(2, Side.SELL, "1", "110"), execution(3, Side.BUY, "1", "120"), dust=dust
    )
    assert (closed.quantity, closed.realized_pnl) == (D("0.005"), D("10"))
    assert closed.closed_at == START + timedelta(seconds=2)
    assert (following.quantity, following.cost) == (D("1.005"), D("120.5"))


@pytest.mark.parametrize(
    ("quantity", "expected"), [("0.0099", True), ("0.01", True), ("0.05", False), ("0.0499", True)]
)
def test_dust_is_below_the_step_or_below_the_minimum_notional(quantity: str, expected: bool) -> None:
    rule = DustRule(step_size=D("0.01"), min_notional=D("5"))  # at 100: 5 USDT is 0.05
    assert rule.is_dust(D(quantity), price=D("100")) is expected


def test_fees_of_one_order_stay_in_their_currency_or_are_told_in_quote() -> None:
    in_base = execution(1, Side.BUY, "1", "100", "0.001", "BTC")
    in_quote = execution(2, Side.BUY, "1", "100", "0.2", "USDT")
    elsewhere = execution(3, Side.BUY, "1", "100", "9", "BNB")
    assert fee_total([in_base], base="BTC", quote="USDT") == (D("0.001"), "BTC")
    # 0.001 BTC at 100 + 0.2 USDT; the BNB stays with its fill.
    assert fee_total([in_base, in_quote, elsewhere], base="BTC", quote="USDT") == (D("0.3"), "USDT")
    assert fee_total([], base="BTC", quote="USDT") == (D("0"), "")


def test_average_is_rounded_to_what_the_tables_keep() -> None:
    assert average(D("1"), D("3")) == D("0.333333333333333333")
    assert average(D("0"), D("0")) == 0


amounts = st.decimals(min_value="0.00000001", max_value="1000000", places=8)
fees = st.decimals(min_value="0", max_value="0.00000001", places=10)


@st.composite
def histories(draw: st.DrawFn) -> list[Execution]:
    """Fills of any size and side, fees in any of three currencies, shuffled."""
    count = draw(st.integers(1, 25))
    made = [
        execution(
            number,
            draw(st.sampled_from(Side)),
            draw(amounts),
            draw(amounts),
            draw(fees),
            draw(st.sampled_from(["BTC", "USDT", "BNB"])),
            ends=draw(st.booleans()),
        )
        for number in range(count)
    ]
    return draw(st.permutations(made))


@given(histories(), amounts)
def test_quantity_and_money_are_conserved(history: list[Execution], price: Decimal) -> None:
    held = positions(*history)
    quantity = money = D(0)
    for one in history:
        fill, sign = one.fill, 1 if one.side is Side.BUY else -1
        quantity += sign * fill.quantity - (fill.fee if fill.fee_currency == "BTC" else 0)
        money -= sign * fill.quantity * fill.price + (fill.fee if fill.fee_currency == "USDT" else 0)
    unmatched = sum((one.unmatched_sold for one in held), D(0))
    assert held[-1].quantity == quantity + unmatched
    assert all(one.quantity >= 0 and one.cost >= 0 for one in held)
    if unmatched == 0:
        realized = sum((one.realized_pnl for one in held), D(0))
        unrealized = held[-1].unrealized_pnl(price)
        assert abs(realized + unrealized - (money + held[-1].quantity * price)) < D("1e-9")


@given(histories())
def test_the_order_in_which_fills_are_learned_changes_nothing(history: list[Execution]) -> None:
    dust = DustRule(step_size=D("0.01"), min_notional=D("5"))
    assert positions(*history, dust=dust) == positions(*reversed(history), dust=dust)


@given(histories(), amounts)
def test_dust_carried_from_one_position_to_the_next_loses_nothing(history: list[Execution], price: Decimal) -> None:
    dust = DustRule(step_size=D("1"), min_notional=D("100"))
    with_dust, without = positions(*history, dust=dust), positions(*history)
    assert with_dust[-1].quantity == without[-1].quantity
    total = sum((one.realized_pnl for one in with_dust), D(0))
    assert abs(total - sum((one.realized_pnl for one in without), D(0))) < D("1e-9")


def test_each_sale_carries_its_share_of_the_purchases_fees_and_the_last_one_the_rest() -> None:
    # 3 bought with 0.10 + 0.002 BTC × 100 = 0.30 of fees, 2.998 held; 1 sold carries 0.3 / 2.998 of it, rounded.
    (closed,) = positions(
        execution(1, Side.BUY, "1", "100", "0.10"),
        execution(2, Side.BUY, "2", "100", "0.002", "BTC"),
        execution(3, Side.SELL, "1", "110", "0.11"),
        execution(4, Side.SELL, "1.99", "110", "0.2"),  # 0.008 is left: dust
        dust=DustRule(step_size=D("0.01")),
    )
    first = D("0.100066711140760507")
    assert closed.entry_fee_by_fill == (None, None, first, D("0.3") - first)
    assert closed.entry_fees == 0
    assert closed.closed_at is not None


def test_fees_of_what_is_still_held_wait_for_its_sale() -> None:
    (held,) = positions(
        execution(1, Side.BUY, "4", "100", "0.4"), execution(2, Side.SELL, "1", "110", "0.01", "BNB")
    )
    assert (held.entry_fee_by_fill, held.entry_fees) == ((None, D("0.1")), D("0.3"))
