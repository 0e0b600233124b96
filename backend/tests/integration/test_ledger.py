"""The ledger: any order and any repetition of the same reports ends in the same rows."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from apps.alerts.models import Alert
from apps.orders import ledger
from apps.orders.models import Fill, Position, Trade
from domain.errors import InvalidInput, NotFound, OrderRejected
from domain.orders import FillReport, OrderReport, OrderStatus, OrderType, Side
from tests.fakes.orders_room import OrdersRoom, make_room

pytestmark = pytest.mark.django_db


@pytest.fixture
def room() -> OrdersRoom:
    return make_room()


def sent(room: OrdersRoom, side: Side = Side.BUY, quantity: str = "3", **more: Any) -> Trade:
    """An order that was claimed and sent."""
    trade = room.submit(side, quantity, price="100", **more)
    Trade.objects.filter(id=trade.id).update(status="sending", sending_at=room.clock.now())
    trade.refresh_from_db()
    return trade


def fill(room: OrdersRoom, order: str, number: int, quantity: str, price: str = "100", at: int = 0) -> FillReport:
    return FillReport(
        exchange_trade_id=str(number),
        exchange_order_id=order,
        price=Decimal(price),
        quantity=Decimal(quantity),
        fee=Decimal("0.1"),
        fee_currency="USDT",
        executed_at=room.clock.now() + timedelta(seconds=at or number),
    )


def report(trade: Trade, order: str, status: OrderStatus, filled: str, *fills: FillReport) -> OrderReport:
    return OrderReport(
        exchange_order_id=order,
        client_order_id=trade.client_order_id,
        symbol=trade.symbol,
        side=Side(trade.side),
        order_type=OrderType.LIMIT,
        status=status,
        quantity=trade.quantity,
        filled_quantity=Decimal(filled),
        average_price=None,
        price=trade.price,
        fills=fills,
        market_time=None,
    )


def apply(room: OrdersRoom, trade: Trade, what: OrderReport) -> ledger.Applied:
    return ledger.apply_report(trade.id, what, now=room.clock.now())


def final_rows(room: OrdersRoom) -> list[Any]:
    """Everything that money depends on, without ids and wall times."""
    trades = Trade.objects.filter(broker=room.broker).order_by("id")
    fields = ("status", "filled_quantity", "average_price", "fee", "fee_currency", "profit_loss", "market_time")
    fills = Fill.objects.filter(broker=room.broker).order_by("executed_at", "exchange_trade_id")
    positions = Position.objects.filter(broker=room.broker).order_by("opened_at")
    kept = ("quantity", "entry_price", "realized_pnl", "unrealized_pnl", "status", "current_price", "opened_at")
    return [
        list(trades.values_list(*fields)),
        list(fills.values_list("exchange_trade_id", "quantity", "realized_pnl")),
        list(positions.values_list(*kept, "closed_at", "stop_loss")),
    ]


def history(room: OrdersRoom) -> list[tuple[Trade, OrderReport]]:
    """A buy in three fills, a sale in two, a purchase cancelled half-way; 3 bought at 100, sold at 110, …"""
    buy, sale, last = sent(room), sent(room, Side.SELL), sent(room, quantity="4", stop_loss=Decimal(90))
    bought = [fill(room, "1", 1, "1"), fill(room, "1", 2, "1", "101"), fill(room, "1", 3, "1", "102")]
    sold = [fill(room, "2", 4, "2", "110"), fill(room, "2", 5, "1", "111")]
    again = [fill(room, "3", 6, "1.5", "105")]
    return [
        (buy, report(buy, "1", OrderStatus.OPEN, "0")),
        (buy, report(buy, "1", OrderStatus.PARTIALLY_FILLED, "1", bought[0])),
        (buy, report(buy, "1", OrderStatus.PARTIALLY_FILLED, "2", *bought[:2])),
        (buy, report(buy, "1", OrderStatus.FILLED, "3")),  # without its fills
        (buy, report(buy, "1", OrderStatus.FILLED, "3", *bought)),
        (sale, report(sale, "2", OrderStatus.PARTIALLY_FILLED, "2", sold[0])),
        (sale, report(sale, "2", OrderStatus.FILLED, "3", *sold)),
        (last, report(last, "3", OrderStatus.OPEN, "0")),
        (last, report(last, "3", OrderStatus.PARTIALLY_FILLED, "1.5", *again)),
        (last, report(last, "3", OrderStatus.CANCELLED, "1.5", *again)),
    ]


def test_any_order_and_any_repetition_of_reports_gives_the_same_rows(room: OrdersRoom) -> None:
    count = len(history(room))
    expected = _rows_after(room, range(count))

    @settings(
        max_examples=20,
        deadline=None,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking would take minutes of database work
    )
    @given(st.permutations(range(count)), st.lists(st.integers(0, count - 1), max_size=6))
    def check(shuffled: list[int], repeated: list[int]) -> None:
        assert _rows_after(room, [*shuffled, *repeated]) == expected

    check()


def _rows_after(room: OrdersRoom, indexes: Iterable[int]) -> list[Any]:
    """Apply a fresh history's reports in this order; everything is rolled back."""
    with transaction.atomic():
        Trade.objects.filter(broker=room.broker).delete()
        reports = history(room)
        for index in indexes:
            apply(room, *reports[index])
        rows = final_rows(room)
        transaction.set_rollback(True)
    return rows


def test_the_history_ends_as_worked_by_hand(room: OrdersRoom) -> None:
    for trade, one in history(room):
        apply(room, trade, one)
    trades, _, positions = final_rows(room)
    assert [row[0] for row in trades] == ["filled", "filled", "cancelled"]
    # bought 3 for 303 + 0.3 of fees; sold 2 @ 110 + 1 @ 111 − 0.2 = 330.8: 27.5 realised.
    assert trades[1][5] == Decimal("27.5")
    assert (positions[0][0], positions[0][2], positions[0][4]) == (0, Decimal("27.5"), "closed")
    # then 1.5 for 157.5 + 0.1 = 157.6, kept
    assert (positions[1][0], positions[1][1]) == (Decimal("1.5"), Decimal("105.066666666666666667"))
    assert (positions[1][4], positions[1][8]) == ("open", Decimal(90))


def test_a_final_status_waits_for_its_fills(room: OrdersRoom) -> None:
    trade = sent(room)
    outcome = apply(room, trade, report(trade, "1", OrderStatus.CANCELLED, "1"))
    assert (outcome.status, outcome.fills_missing) == (OrderStatus.PARTIALLY_FILLED, True)
    outcome = apply(room, trade, report(trade, "1", OrderStatus.CANCELLED, "1", fill(room, "1", 1, "1")))
    assert (outcome.status, outcome.fills_missing) == (OrderStatus.CANCELLED, False)


def test_a_late_fill_rewrites_the_positions_it_belongs_to(room: OrdersRoom) -> None:
    buy, sale = sent(room, quantity="2"), sent(room, Side.SELL, "1")
    apply(room, buy, report(buy, "1", OrderStatus.PARTIALLY_FILLED, "1", fill(room, "1", 1, "1", at=1)))
    apply(room, sale, report(sale, "2", OrderStatus.FILLED, "1", fill(room, "2", 9, "1", "110", at=3)))
    assert Position.objects.get().status == "closed"
    apply(room, buy, report(buy, "1", OrderStatus.FILLED, "2", fill(room, "1", 2, "1", "104", at=2)))
    # Before the sale 2 were held for 204.2, 102.1 each: 110 − 0.1 − 102.1 = 7.8; one is left.
    position = Position.objects.get()
    assert (position.status, position.quantity, position.realized_pnl) == ("open", 1, Decimal("7.8"))
    sale.refresh_from_db()
    assert sale.profit_loss == Decimal("7.8")


def test_a_sale_of_what_was_never_bought_here_makes_no_position(room: OrdersRoom) -> None:
    sale = sent(room, Side.SELL, "1")
    apply(room, sale, report(sale, "1", OrderStatus.FILLED, "1", fill(room, "1", 1, "1")))
    assert Position.objects.count() == 0


def test_a_status_never_goes_back_and_the_filled_quantity_never_decreases(room: OrdersRoom) -> None:
    trade = sent(room)
    apply(room, trade, report(trade, "1", OrderStatus.PARTIALLY_FILLED, "2", fill(room, "1", 1, "2")))
    apply(room, trade, report(trade, "1", OrderStatus.OPEN, "0"))
    trade.refresh_from_db()
    assert (trade.status, trade.filled_quantity) == ("partially_filled", 2)
    refused = OrderRejected("trop tard")
    assert ledger.apply_rejection(trade.id, refused, now=room.clock.now()) is OrderStatus.PARTIALLY_FILLED


def test_a_report_about_another_order_is_refused(room: OrdersRoom) -> None:
    trade = sent(room)
    good = report(trade, "1", OrderStatus.OPEN, "0")
    apply(room, trade, good)
    for wrong in (
        replace(good, exchange_order_id="2"),
        replace(good, client_order_id="x"),
        replace(good, symbol="ETH/USDT"),
        replace(good, side=Side.SELL),
        replace(good, filled_quantity=Decimal(4)),
    ):
        with pytest.raises(InvalidInput, match="écartée"):
            apply(room, trade, wrong)
    with pytest.raises(NotFound):
        ledger.apply_report(trade.id + 1000, good, now=room.clock.now())


def test_both_sides_of_an_account_trading_with_itself_are_kept(room: OrdersRoom) -> None:
    buy, sale = sent(room, quantity="1", owner="bot:1"), sent(room, Side.SELL, "1", owner="bot:2")
    apply(room, buy, report(buy, "1", OrderStatus.FILLED, "1", fill(room, "1", 7, "1")))
    apply(room, sale, report(sale, "2", OrderStatus.FILLED, "1", fill(room, "2", 7, "1")))
    assert Fill.objects.filter(exchange_trade_id="7").count() == 2


def test_closing_is_noted_once_and_marks_move_the_latent_result(room: OrdersRoom) -> None:
    buy = sent(room, quantity="2")
    apply(room, buy, report(buy, "1", OrderStatus.FILLED, "2", fill(room, "1", 1, "2")))
    position = Position.objects.get()
    assert ledger.mark_closing(position.id, reason="stop loss")
    assert not ledger.mark_closing(position.id, reason="take profit")
    marked = ledger.update_mark(position.id, Decimal(120))
    # 2 held for 200.1: at 120 the latent result is 39.9
    assert marked is not None
    assert (marked.status, marked.unrealized_pnl) == ("closing", Decimal("39.9"))
    sale = sent(room, Side.SELL, "2")
    apply(room, sale, report(sale, "2", OrderStatus.FILLED, "2", fill(room, "2", 2, "2", "120")))
    assert ledger.update_mark(position.id, Decimal(130)) is None
    assert not ledger.mark_closing(position.id, reason="trop tard")


def test_unknown_then_absent_order_alerts_its_user_once_each(room: OrdersRoom) -> None:
    trade = sent(room)
    now = room.clock.now()
    for _ in range(2):  # noted twice, told once
        ledger.mark_unknown(trade.id, reason="Délai dépassé", absent_after=now, now=now)
    ledger.mark_absent(trade.id, now=now)
    rows = list(Alert.objects.filter(user=room.broker.user).order_by("pk"))
    assert [(row.code, row.subject) for row in rows] == [
        ("order_unknown", f"trade:{trade.id}"),
        ("order_absent", f"trade:{trade.id}"),
    ]
    assert trade.client_order_id in rows[0].message
