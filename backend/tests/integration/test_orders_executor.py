"""The life of an order with a scripted exchange: each trouble, seen in the rows and at the exchange."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.db import OperationalError, connection
from structlog.testing import capture_logs

from apps.orders import claims, desk, ledger, selectors
from apps.orders.models import Fill, OrderCommand, Position, SenderLease, Trade
from apps.orders.reconciliation import Claims, recover
from domain.errors import (
    ExchangeUnavailable,
    NotFound,
    OrderNotExecuted,
    OrderOutcomeUnknown,
    OrderRejected,
)
from domain.order_abilities import OrderAbilities
from domain.orders import OrderStatus, OrderType, Side
from tests.fakes.exchange import FakeSessions
from tests.fakes.orders_room import OrdersRoom, orders_room, refreshed, until

pytestmark = pytest.mark.django_db(transaction=True)
TIMEOUT = OrderOutcomeUnknown("Délai dépassé.")


@pytest_asyncio.fixture
async def room() -> AsyncIterator[OrdersRoom]:
    async with orders_room() as made:
        yield made


async def test_market_order_fills_once_with_its_position_and_events(room: OrdersRoom) -> None:
    trade = await room.submitted(quantity="2")
    executor, _ = room.executor()
    await executor.cycle()
    await executor.cycle()

    row = await refreshed(trade)
    (order,) = room.exchange.orders_of(trade.client_order_id)
    assert (row.status, row.filled_quantity, row.average_price) == ("filled", 2, 100)
    assert (row.fee, row.fee_currency, row.exchange_order_id) == (Decimal("0.002"), "BTC", order.exchange_order_id)
    assert row.closed_at == room.clock.now()
    position = await Position.objects.aget()
    # 2 BTC for 200 USDT with 0.002 BTC of fee: 1.998 held at 100.1001…
    assert (position.quantity, position.owner, position.status) == (Decimal("1.998"), "manual", "open")
    assert position.entry_price == Decimal("100.100100100100100100")
    assert room.exchange.calls.count("create_order") == 1


async def test_round_trip_realises_its_profit_and_closes_the_position(room: OrdersRoom) -> None:
    await room.submitted(quantity="1")
    executor, _ = room.executor()
    await executor.cycle()
    room.exchange.move_price("BTC/USDT", 110)
    room.clock.advance(1)
    sale = await room.submitted(Side.SELL, "0.999")
    await executor.cycle()
    # 0.999 × 110 − 0.1 % = 109.78011; cost 100: 9.78011
    row = await refreshed(sale)
    assert (row.status, row.profit_loss) == ("filled", Decimal("9.78011"))
    position = await Position.objects.aget()
    assert (position.status, position.quantity, position.realized_pnl) == ("closed", 0, Decimal("9.78011"))


async def test_dropped_before_acceptance_is_proven_absent_and_never_sent_again(room: OrdersRoom) -> None:
    trade = await room.submitted()
    room.exchange.fail("create_order", TIMEOUT, when="before")
    executor, _ = room.executor()
    await executor.cycle()
    assert (await refreshed(trade)).status == "unknown"
    await room.settle(executor, seconds=29)
    assert (await refreshed(trade)).status == "unknown"  # not found, but too early to be a proof
    await room.settle(executor, seconds=20)
    row = await refreshed(trade)
    assert (row.status, row.error_code) == ("expired", "order_absent")
    assert room.exchange.accepted == []
    assert room.exchange.calls.count("create_order") == 1


async def test_dropped_after_acceptance_is_found_by_its_client_id(room: OrdersRoom) -> None:
    trade = await room.submitted()
    room.exchange.fail("create_order", TIMEOUT, when="after")
    room.exchange.hidden[trade.client_order_id] = 3  # the exchange's reads lag behind
    executor, _ = room.executor()
    await executor.cycle()
    assert (await refreshed(trade)).status == "unknown"
    blocking = await sync_to_async(selectors.blocks_symbol)(room.broker.id, "BTC/USDT", "manual")
    assert blocking is not None
    assert blocking.id == trade.id
    await room.settle(executor, seconds=20)
    row = await refreshed(trade)
    assert (row.status, row.filled_quantity, row.error_message) == ("filled", 1, "")
    assert len(room.exchange.orders_of(trade.client_order_id)) == 1
    assert await sync_to_async(selectors.blocks_symbol)(room.broker.id, "BTC/USDT", "manual") is None


async def test_an_execution_nobody_accounts_for_forbids_the_proof_of_absence(room: OrdersRoom) -> None:
    trade = await room.submitted()
    room.exchange.fail("create_order", TIMEOUT, when="after")
    room.exchange.hidden[trade.client_order_id] = 10_000
    executor, _ = room.executor()
    await room.settle(executor, seconds=60)
    assert (await refreshed(trade)).status == "unknown"


async def test_an_unexpected_exception_is_unknown_too(room: OrdersRoom) -> None:
    trade = await room.submitted()
    room.exchange.fail("create_order", RuntimeError("bug"), when="after")
    executor, _ = room.executor()
    await executor.cycle()
    assert (await refreshed(trade)).status == "filled"
    assert len(room.exchange.accepted) == 1


async def test_rejected_order_says_why(room: OrdersRoom) -> None:
    trade = await room.submitted(quantity="1000")  # 100,000 USDT
    executor, _ = room.executor()
    await executor.cycle()
    row = await refreshed(trade)
    assert row.status == "rejected"
    assert "insufficient balance" in row.error_message
    assert await sync_to_async(selectors.reserved_by_currency)(room.broker.id) == {}


async def test_not_executed_waits_and_is_sent_once(room: OrdersRoom) -> None:
    trade = await room.submitted()
    room.exchange.fail("create_order", OrderNotExecuted("429", retry_after_s=3))
    executor, _ = room.executor()
    await executor.cycle()
    assert (await refreshed(trade)).status == "pending"
    room.clock.advance(2)
    await executor.cycle()
    assert room.exchange.accepted == []
    room.clock.advance(1)
    await executor.cycle()
    assert (await refreshed(trade)).status == "filled"
    assert len(room.exchange.accepted) == 1


async def test_not_executed_past_its_validity_expires(room: OrdersRoom) -> None:
    trade = await room.submitted()
    room.exchange.fail("create_order", OrderNotExecuted("429", retry_after_s=60))
    executor, _ = room.executor()
    await room.settle(executor, seconds=80)
    row = await refreshed(trade)
    assert row.status == "expired"
    assert "429" in row.error_message
    assert room.exchange.accepted == []


async def test_late_order_expires_without_being_sent(room: OrdersRoom) -> None:
    trade = await room.submitted()
    room.clock.advance(20)
    executor, _ = room.executor()
    await executor.cycle()
    row = await refreshed(trade)
    assert (row.status, row.error_code) == ("expired", "order_expired")
    assert room.exchange.calls == []


async def test_unreachable_exchange_leaves_the_order_waiting(room: OrdersRoom) -> None:
    trade = await room.submitted()
    executor, sessions = room.executor()
    sessions.unavailable[room.broker.id] = ExchangeUnavailable("fake ne répond pas.")
    await executor.cycle()
    assert (await refreshed(trade)).status == "pending"
    sessions.unavailable.clear()
    await executor.cycle()
    assert (await refreshed(trade)).status == "filled"


async def test_broker_that_is_gone_refuses_its_orders(room: OrdersRoom) -> None:
    trades = [await room.submitted(), await room.submitted()]
    executor, sessions = room.executor()
    sessions.unavailable[room.broker.id] = NotFound("Broker désactivé.")
    await executor.cycle()
    assert [(await refreshed(trade)).error_message for trade in trades] == ["Broker désactivé."] * 2


async def test_answer_without_fills_fetches_them_before_closing(room: OrdersRoom) -> None:
    room.exchange.reply_fills = False
    trade = await room.submitted()
    executor, _ = room.executor()
    await executor.cycle()
    row = await refreshed(trade)
    assert (row.status, await Fill.objects.acount()) == ("filled", 1)


async def test_limit_order_is_followed_through_partial_fills(room: OrdersRoom) -> None:
    trade = await room.submitted(quantity="3", price="90")
    executor, _ = room.executor()
    await executor.cycle()
    assert (await refreshed(trade)).status == "open"
    reserved = await sync_to_async(selectors.reserved_by_currency)(room.broker.id)
    assert reserved == {"USDT": Decimal("270.27")}  # 3 × 90 + 0.1 %
    room.exchange.trade(trade.client_order_id, "1")
    await room.settle(executor, seconds=3)
    row = await refreshed(trade)
    assert (row.status, row.filled_quantity) == ("partially_filled", 1)
    calls = len(room.exchange.calls)
    await room.settle(executor, seconds=4)
    assert set(room.exchange.calls[calls:]) == {"fetch_open_orders"}  # nothing moved: the cheap question only
    room.exchange.move_price("BTC/USDT", 89)
    await room.settle(executor, seconds=3)
    row = await refreshed(trade)
    assert (row.status, row.filled_quantity, row.average_price) == ("filled", 3, 90)
    assert await Fill.objects.acount() == 2
    assert room.conserved()


async def test_cancel_releases_what_rests(room: OrdersRoom) -> None:
    trade = await room.submitted(quantity="3", price="90")
    executor, _ = room.executor()
    await executor.cycle()
    room.exchange.trade(trade.client_order_id, "1")
    await sync_to_async(desk.cancel)(trade_id=trade.id, user_id=room.user.id, now=room.clock.now())
    await sync_to_async(desk.cancel)(trade_id=trade.id, user_id=room.user.id, now=room.clock.now())
    await executor.cycle()
    row = await refreshed(trade)
    assert (row.status, row.filled_quantity) == ("cancelled", 1)
    command = await OrderCommand.objects.aget()
    assert (command.status, command.attempts) == ("done", 1)
    assert room.conserved()


async def test_cancel_that_meets_a_fill_ends_filled(room: OrdersRoom) -> None:
    trade = await room.submitted(quantity="1", price="90")
    executor, _ = room.executor()
    await executor.cycle()
    await sync_to_async(desk.cancel)(trade_id=trade.id, user_id=room.user.id, now=room.clock.now())
    room.exchange.move_price("BTC/USDT", 80)
    await executor.cycle()
    assert (await refreshed(trade)).status == "filled"
    command = await OrderCommand.objects.aget()
    assert command.status == "failed"
    assert "déjà entièrement exécuté" in command.error_message


@pytest.mark.parametrize("when", ["before", "after"])
async def test_cancel_without_an_answer_is_made_again(room: OrdersRoom, when: str) -> None:
    trade = await room.submitted(quantity="1", price="90")
    executor, _ = room.executor()
    await executor.cycle()
    room.exchange.fail("cancel_order", ExchangeUnavailable("504"), when=when)
    await sync_to_async(desk.cancel)(trade_id=trade.id, user_id=room.user.id, now=room.clock.now())
    await room.settle(executor, seconds=5)
    assert (await refreshed(trade)).status == "cancelled"
    assert (await OrderCommand.objects.aget()).status == "done"


async def test_cancel_before_sending_never_reaches_the_exchange(room: OrdersRoom) -> None:
    trade = await room.submitted()
    await sync_to_async(desk.cancel)(trade_id=trade.id, user_id=room.user.id, now=room.clock.now())
    executor, _ = room.executor()
    await executor.cycle()
    assert (await refreshed(trade)).status == "cancelled"
    assert room.exchange.calls == []


async def test_orders_of_one_market_leave_in_order_and_others_side_by_side(room: OrdersRoom) -> None:
    trades = [await room.submitted(quantity=str(number)) for number in (1, 2, 3)]
    executor, _ = room.executor()
    await executor.cycle()
    sent = [order.ticket.client_order_id for order in room.exchange.accepted]
    assert sent == [trade.client_order_id for trade in trades]


async def test_a_close_s_orders_leave_side_by_side_and_each_owner_s_in_order(room: OrdersRoom) -> None:
    first, second, third = [
        await room.submitted(quantity=quantity, owner=owner)
        for quantity, owner in (("1", "bot:1"), ("2", "bot:2"), ("3", "bot:1"))
    ]
    gate = room.exchange.gate("create_order")
    executor, _ = room.executor()
    cycle = asyncio.create_task(executor.cycle())
    await until(lambda: room.exchange.calls.count("create_order") == 2)
    assert [(await refreshed(each)).status for each in (first, second, third)] == ["sending", "sending", "pending"]
    gate.set()
    await cycle
    assert room.exchange.accepted[-1].ticket.client_order_id == third.client_order_id
    assert {(await refreshed(each)).status for each in (first, second, third)} == {"filled"}


async def test_two_executors_never_send_the_same_order(room: OrdersRoom) -> None:
    trades = [await room.submitted(quantity="1") for _ in range(8)]
    first, _ = room.executor()
    second, _ = room.executor()
    # Both claim as fast as they can; recovery is what the lease protects, so it is done first.
    await first.cycle()
    await second.cycle()
    more = [await room.submitted(quantity="1") for _ in range(8)]
    await asyncio.gather(first.cycle(), second.cycle())
    for trade in trades + more:
        assert len(room.exchange.orders_of(trade.client_order_id)) == 1


async def test_run_sends_on_wake_and_publishes(room: OrdersRoom) -> None:
    executor, _ = room.executor()
    running = asyncio.create_task(executor.run())
    try:
        trade = await room.submitted()
        async with asyncio.timeout(10):
            while (await refreshed(trade)).status != OrderStatus.FILLED:
                executor.wake()
            await until(lambda: ("orders", "filled") in _published(room))
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    bodies = [data for topic, kind, data, user in room.publisher.events if kind == "position"]
    assert bodies[-1]["quantity"] == "0.999"
    assert {user for *_, user in room.publisher.events} == {room.user.id}


def _published(room: OrdersRoom) -> set[tuple[str, str]]:
    return {(topic, data["status"]) for topic, kind, data, _ in room.publisher.events if kind == "trade"}


def _cut_own_connection() -> None:
    """Let the ORM's own connection be found dead by its next query."""
    connection.ensure_connection()
    connection.connection.close()


async def test_a_lost_database_connection_loses_nothing(room: OrdersRoom) -> None:
    trade = await room.submitted()
    gate = room.exchange.gate("create_order")
    executor, _ = room.executor()
    working = asyncio.create_task(executor.cycle())
    async with asyncio.timeout(10):
        await until(lambda: "create_order" in room.exchange.calls)
        await sync_to_async(_cut_own_connection)()
        gate.set()
        while not working.done():
            room.clock.advance(1)  # the back-off of the database
            await asyncio.sleep(0)
    await room.settle(executor, seconds=5)
    assert (await refreshed(trade)).status == "filled"
    assert len(room.exchange.accepted) == 1


async def test_a_claim_committed_without_our_knowing_leaves_at_once(
    room: OrdersRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was never told that it had claimed an order never began to send it: there is nothing to prove."""
    executor, _ = room.executor()
    trade = await room.submitted()
    claim_all = claims.claim_all

    def answer_lost(*args: Any, **kwargs: Any) -> None:
        claim_all(*args, **kwargs)
        monkeypatch.setattr(claims, "claim_all", claim_all)
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(claims, "claim_all", answer_lost)
    await executor.cycle()
    assert ((await refreshed(trade)).status, room.exchange.accepted) == ("sending", [])
    await room.settle(executor, seconds=2)
    assert ((await refreshed(trade)).status, len(room.exchange.accepted)) == ("filled", 1)


async def test_a_task_that_fails_during_the_recovery_gets_another_one(
    room: OrdersRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor, _ = room.executor()
    recoveries = []

    def meanwhile(**facts: Any) -> None:
        recoveries.append(facts)
        executor._must_recover = len(recoveries) == 1  # a task met a database that is down

    monkeypatch.setattr("apps.orders.executor.recover", meanwhile)
    for _ in range(3):
        await executor.cycle()
    assert len(recoveries) == 2


@pytest.mark.parametrize(
    ("claimed_by", "got", "later_s", "types", "expected"),
    [
        ("me", False, 0, {OrderType.MARKET}, ("pending", None)),
        ("me", True, 0, {OrderType.MARKET}, ("unknown", 20 + 30)),  # its validity, and the span of the proof
        ("me", False, 20, {OrderType.MARKET}, ("unknown", 30)),  # what is no longer valid may be forgotten
        ("other", False, 0, {OrderType.MARKET}, ("unknown", 4)),  # the end of the other one's lease and the span
        ("other", False, 0, {OrderType.LIMIT}, ("unknown", 20 + 30)),  # this exchange would take it late
        (None, False, 0, {OrderType.MARKET}, ("unknown", 20 + 30)),
    ],
)
async def test_an_order_left_on_its_way_is_presumed_absent_when_that_can_be_known(
    room: OrdersRoom,
    claimed_by: str | None,
    got: bool,
    later_s: int,
    types: set[OrderType],
    expected: tuple[str, float | None],
) -> None:
    await sync_to_async(room.become)(OrderAbilities(refused_late=frozenset(types)))
    trade = await room.submitted()
    room.clock.advance(later_s)
    now = room.clock.now()
    await Trade.objects.filter(id=trade.id).aupdate(status="sending", sending_at=now, claimed_by=claimed_by)
    await sync_to_async(recover)(
        now=now,
        proof_span=timedelta(seconds=30),
        others_until=now + timedelta(seconds=4),
        own=Claims("me", got={trade.id} if got else ()),
    )
    row = await refreshed(trade)
    after = None if row.absent_after is None else (row.absent_after - now).total_seconds()
    assert (row.status, after) == expected


async def test_an_outcome_that_the_database_lost_is_looked_up_and_never_sent_again(room: OrdersRoom) -> None:
    """A database that fell back to an earlier state says `sending` of an order that left and was filled."""
    executor, _ = room.executor()
    trade = await room.submitted()
    await executor.cycle()
    await Fill.objects.all().adelete()
    await Position.objects.all().adelete()
    lost = {"status": "sending", "filled_quantity": 0, "exchange_order_id": "", "closed_at": None}
    await Trade.objects.filter(id=trade.id).aupdate(sending_at=room.clock.now() - timedelta(seconds=6), **lost)
    await room.settle(executor, seconds=10)
    assert ((await refreshed(trade)).status, len(room.exchange.accepted)) == ("filled", 1)


async def test_a_claim_found_after_the_takeover_waits_for_the_long_proof(room: OrdersRoom) -> None:
    """Who made it may have slept with its clocks: then it does not know that it was replaced."""
    await sync_to_async(room.become)(OrderAbilities(refused_late=frozenset(OrderType)))
    executor, _ = room.executor(others_until=room.clock.now())
    await executor.cycle()
    trade, now = await room.submitted(), room.clock.now()
    claimed_at = now - timedelta(seconds=6)
    await Trade.objects.filter(id=trade.id).aupdate(status="sending", sending_at=claimed_at, claimed_by="other")
    await room.settle(executor, seconds=10)
    row = await refreshed(trade)
    assert (row.status, row.absent_after) == ("unknown", trade.valid_until + timedelta(seconds=30))


async def test_a_process_that_was_replaced_claims_nothing(room: OrdersRoom) -> None:
    trade, now = await room.submitted(), room.clock.now()
    await SenderLease.objects.acreate(holder="the successor", renewed_at=now)
    asked = {"broker_id": room.broker.id, "busy": [], "by": "a", "now": now}
    assert await sync_to_async(claims.claim_all)(lease="the one before", **asked) == []
    (claimed,) = await sync_to_async(claims.claim_all)(lease="the successor", **asked)
    assert claimed.trade_ids == [trade.id]


async def test_a_claim_that_came_to_nothing_leaves_the_next_ones_alone(room: OrdersRoom) -> None:
    """Its outcome may be written late, when another process has claimed the order again."""
    trade, now = await room.submitted(), room.clock.now()
    await Trade.objects.filter(id=trade.id).aupdate(status="sending", sending_at=now, claimed_by="successor")
    outcome = {"error": OrderNotExecuted("Droit échu."), "now": now, "retry_at": now}
    for by, status in (("before", "sending"), (None, "sending"), ("successor", "pending")):
        await sync_to_async(ledger.mark_not_executed)(trade.id, by=by, **outcome)
        assert (await refreshed(trade)).status == status


async def test_sessions_of_a_killed_process_send_nothing(room: OrdersRoom) -> None:
    sessions = FakeSessions(room.exchange)
    sessions.kill()
    with pytest.raises(asyncio.CancelledError):
        await sessions.session(room.broker.id)


async def test_order_of_a_deleted_user_disturbs_nobody(room: OrdersRoom) -> None:
    trade = await room.submitted(quantity="1", price="90")
    executor, _ = room.executor()
    await executor.cycle()
    await Trade.objects.filter(id=trade.id).adelete()
    other = await room.submitted()
    await room.settle(executor, seconds=3)
    assert (await refreshed(other)).status == "filled"


async def test_rejection_by_the_exchange_keeps_other_markets_going(room: OrdersRoom) -> None:
    room.exchange.fail("create_order", OrderRejected("Filter failure: NOTIONAL"))
    refused, good = await room.submitted(), await room.submitted()
    executor, _ = room.executor()
    await executor.cycle()
    assert ((await refreshed(refused)).status, (await refreshed(good)).status) == ("rejected", "filled")
    assert (await refreshed(refused)).closed_at - room.clock.now() == timedelta(0)


async def test_broker_deleted_while_its_order_is_on_its_way_ends_it_without_a_trace(room: OrdersRoom) -> None:
    await room.submitted()
    gate = room.exchange.gate("create_order")
    executor, _ = room.executor()
    sending = asyncio.create_task(executor.cycle())
    await until(lambda: "create_order" in room.exchange.calls)
    await room.broker.adelete()
    gate.set()
    with capture_logs() as logs:
        await asyncio.wait_for(sending, 5)
    assert [line["event"] for line in logs if line["log_level"] != "info"] == []
    assert len(room.exchange.accepted) == 1
    await executor.cycle()
