"""What exchanges tell by themselves: applied once, whoever tells it first, and asked for when they fall silent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async

from apps.orders import desk
from apps.orders.executor import OrderExecutor
from apps.orders.live_reports import LiveReports, StreamTimings
from apps.orders.models import Fill, Position, Trade
from apps.orders.stream_board import StreamBoard
from domain.errors import ExchangeUnavailable, OrderOutcomeUnknown
from domain.orders import OrderTicket, OrderType, Side
from domain.ports import Balance, BrokerAccess
from tests.fakes.exchange import FakeSessions, PlacedOrder
from tests.fakes.gateway_world import FakeDirectory
from tests.fakes.orders_room import FreeLease, OrdersRoom, orders_room, refreshed, until
from tests.fakes.private_stream import FakeStream

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class Desk:
    """An orders room whose broker has a stream, with the executor and the listener of one process."""

    room: OrdersRoom
    stream: FakeStream
    directory: FakeDirectory
    board: StreamBoard
    executor: OrderExecutor
    sessions: FakeSessions
    live: LiveReports
    group: asyncio.TaskGroup
    is_leader: bool = True
    opened: list[int] = field(default_factory=list)

    async def refresh(self) -> None:
        await self.live.refresh(self.group)

    async def advance(self, seconds: float, *, step: float = 1.0) -> None:
        """Let time pass while the executor works."""
        passed = 0.0
        while passed < seconds:
            await self.executor.cycle()
            self.room.clock.advance(step)
            passed += step
            for _ in range(5):
                await asyncio.sleep(0)

    async def place_elsewhere(self, side: Side, quantity: str, price: str | None = None) -> PlacedOrder:
        kind = OrderType.MARKET if price is None else OrderType.LIMIT
        ticket = OrderTicket(
            "web_a-long-name", "BTC/USDT", side, kind, Decimal(quantity), None if price is None else Decimal(price)
        )
        return self.room.exchange.place(self.room.broker.id, ticket)


@asynccontextmanager
async def made_desk() -> AsyncIterator[Desk]:
    async with orders_room() as room, asyncio.TaskGroup() as group:
        stream, directory, board = FakeStream(), FakeDirectory(), StreamBoard(room.clock)
        room.exchange.streams[room.broker.id] = stream
        directory.add(room.broker.id, room.user.id, "simex", {})
        sessions = FakeSessions(room.exchange)
        executor = OrderExecutor(sessions, room.publisher, room.clock, lease=FreeLease(), board=board)
        opened: list[int] = []
        live = LiveReports(
            sessions,
            directory,
            room.publisher,
            room.clock,
            board=board,
            may_apply=lambda: desk_.is_leader,
            wake=executor.wake,
            opened=opened.append,
            stream_timings=StreamTimings(inbox=20),
        )
        desk_ = Desk(room, stream, directory, board, executor, sessions, live, group, opened=opened)
        await desk_.refresh()
        await until(lambda: board.is_up(room.broker.id))
        yield desk_
        directory.accesses.clear()
        await desk_.refresh()


@pytest_asyncio.fixture
async def at() -> AsyncIterator[Desk]:
    async with made_desk() as made:
        yield made


async def trade_becomes(trade: Trade, status: str) -> Trade:
    async with asyncio.timeout(10):
        while (row := await refreshed(trade)).status != status:  # noqa: ASYNC110 — rows have no event
            await asyncio.sleep(0.005)
    return row


async def external_row() -> Trade:
    async with asyncio.timeout(10):
        while (row := await Trade.objects.filter(source="external").afirst()) is None:  # noqa: ASYNC110 — rows have no event
            await asyncio.sleep(0.005)
    return row


async def test_fill_that_is_told_is_applied_without_asking(at: Desk) -> None:
    trade = await at.room.submitted(price="90")
    await at.executor.cycle()
    at.room.exchange.trade(trade.client_order_id, "0.4")
    at.room.exchange.calls.clear()
    (order,) = at.room.exchange.orders_of(trade.client_order_id)
    at.room.exchange.tell(order)
    row = await trade_becomes(trade, "partially_filled")
    assert (row.filled_quantity, row.average_price) == (Decimal("0.4"), 90)
    assert (await Position.objects.aget()).owner == "manual"
    assert at.room.exchange.calls == []


async def test_the_same_event_again_and_an_older_one_change_nothing(at: Desk) -> None:
    trade = await at.room.submitted(price="90")
    await at.executor.cycle()
    (order,) = at.room.exchange.orders_of(trade.client_order_id)
    older = at.room.exchange.report(order)
    at.room.exchange.trade(trade.client_order_id, "1")
    at.room.exchange.tell(order)
    filled = await trade_becomes(trade, "filled")
    at.room.exchange.tell(order)
    at.stream.send(older)
    await at.advance(3)
    again = await refreshed(trade)
    facts = [(row.status, row.filled_quantity, row.average_price, row.closed_at) for row in (filled, again)]
    assert facts[0] == facts[1]
    assert await Fill.objects.acount() == 1


async def test_event_before_the_answer_settles_an_order_whose_answer_is_lost(at: Desk) -> None:
    trade = await at.room.submitted()
    gate = at.room.exchange.gate("create_order")
    at.room.exchange.fail("create_order", OrderOutcomeUnknown("Délai dépassé."), when="after")
    sending = asyncio.create_task(at.executor.cycle())
    await trade_becomes(trade, "sending")
    gate.set()
    await until(lambda: bool(at.room.exchange.accepted))
    at.room.exchange.tell(at.room.exchange.accepted[0])
    await sending
    row = await trade_becomes(trade, "filled")
    assert row.filled_quantity == 1
    assert len(at.room.exchange.accepted) == 1


async def test_event_without_its_fills_has_them_fetched(at: Desk) -> None:
    trade = await at.room.submitted(price="90")
    await at.executor.cycle()
    at.room.exchange.trade(trade.client_order_id, "0.4")
    at.room.exchange.trade(trade.client_order_id, "0.6")
    (order,) = at.room.exchange.orders_of(trade.client_order_id)
    # The first fill's event was lost: this one names the second only.
    at.stream.send(replace(at.room.exchange.report(order), fills=(order.fills[1],)))
    await trade_becomes(trade, "partially_filled")
    await at.advance(2)
    row = await refreshed(trade)
    assert (row.status, row.filled_quantity) == ("filled", 1)
    assert await Fill.objects.acount() == 2


async def test_told_orders_are_asked_for_rarely_and_at_once_when_the_stream_fails(at: Desk) -> None:
    trade = await at.room.submitted(price="90")
    await at.executor.cycle()
    at.room.exchange.calls.clear()
    await at.advance(14)
    assert at.room.exchange.calls.count("fetch_open_orders") == 1  # the first look, before it was known as told
    await at.advance(5)
    assert at.room.exchange.calls.count("fetch_open_orders") == 2
    at.room.exchange.trade(trade.client_order_id, "1")  # and nobody tells
    at.stream.fail(ExchangeUnavailable("coupé"))
    await until(lambda: not at.board.is_up(at.room.broker.id))
    assert at.board.details() == {"simex": {"down": 1}}
    await at.advance(1)
    assert (await refreshed(trade)).status == "filled"


async def test_stream_comes_back_after_a_pause_and_what_it_missed_is_asked_for(at: Desk) -> None:
    trade = await at.room.submitted(price="90")
    await at.executor.cycle()
    at.stream.fail(ExchangeUnavailable("coupé"))
    await until(lambda: not at.board.is_up(at.room.broker.id))
    assert at.stream.connections == 1
    at.room.exchange.trade(trade.client_order_id, "1")
    await at.advance(3)
    await until(lambda: at.board.is_up(at.room.broker.id))
    assert (at.stream.connections, at.opened) == (2, [at.room.broker.id] * 2)
    await at.advance(1)
    assert (await refreshed(trade)).status == "filled"


async def test_stream_that_withholds_a_change_is_given_up(at: Desk) -> None:
    trade = await at.room.submitted(price="90")
    await at.advance(40)
    at.room.exchange.trade(trade.client_order_id, "0.5")
    await at.advance(16)  # found by asking
    assert (await refreshed(trade)).filled_quantity == Decimal("0.5")
    await at.advance(15)
    assert at.stream.connections == 2


async def test_balance_reaches_its_user_s_browsers_only_and_the_newest_wins(at: Desk) -> None:
    at.room.publisher.events.clear()
    for amount in ("3", "2", "1"):
        at.stream.send(Balance(free={"USDT": Decimal(amount)}, locked={"BTC": Decimal("0.5000")}))
    await until(lambda: bool(at.room.publisher.events))
    assert at.room.publisher.events == [
        (
            "orders",
            "balance",
            {"broker": at.room.broker.id, "free": {"USDT": "1"}, "locked": {"BTC": "0.5"}},
            at.room.user.id,
        )
    ]


async def test_a_flood_is_bounded_and_what_was_dropped_is_asked_for(at: Desk) -> None:
    trade = await at.room.submitted(price="90")
    await at.executor.cycle()
    (order,) = at.room.exchange.orders_of(trade.client_order_id)
    report = at.room.exchange.report(order)
    at.room.exchange.trade(trade.client_order_id, "1")
    at.room.exchange.tell(order)
    for _ in range(25):  # the fill is pushed out of the queue
        at.stream.send(report)
    async with asyncio.timeout(10):
        while (await refreshed(trade)).status != "filled":
            await at.executor.cycle()
            await asyncio.sleep(0.01)


async def test_nothing_is_applied_by_a_process_that_stands_by(at: Desk) -> None:
    at.is_leader = False
    order = await at.place_elsewhere(Side.BUY, "1", "90")
    at.room.exchange.tell(order)
    for _ in range(50):
        await asyncio.sleep(0.001)
    assert not await Trade.objects.aexists()
    await at.refresh()
    assert at.board.details() == {}


async def test_changed_broker_is_listened_to_anew_and_a_deleted_one_no_more(at: Desk) -> None:
    at.directory.accesses[at.room.broker.id] = BrokerAccess(
        at.room.user.id, at.room.broker.id, "simex", False, {"apiKey": "new"}
    )
    await at.refresh()
    await until(lambda: at.stream.connections == 2)
    at.directory.accesses.clear()
    await at.refresh()
    assert at.board.details() == {}


async def test_order_placed_elsewhere_is_imported_once_with_its_own_position_and_no_reservation(at: Desk) -> None:
    order = await at.place_elsewhere(Side.BUY, "1", "90")
    at.room.exchange.tell(order)
    row = await external_row()
    assert (row.status, row.owner, row.quantity, row.price) == ("open", "external", 1, 90)
    assert (row.reserved_currency, row.reserved_amount, row.user_id) == ("", 0, at.room.user.id)
    at.room.exchange.move_price("BTC/USDT", 90)
    at.room.exchange.tell(order)
    at.room.exchange.tell(order)
    filled = await trade_becomes(row, "filled")
    assert (filled.exchange_order_id, filled.average_price) == (order.exchange_order_id, 90)
    assert await Trade.objects.acount() == 1
    assert (await Position.objects.aget()).owner == "external"
    told = [data for topic, kind, data, _ in at.room.publisher.events if (topic, kind) == ("orders", "trade")]
    assert told == []  # the relay is the executor's; the rows speak here


async def test_imported_order_is_followed_to_its_end_by_asking(at: Desk) -> None:
    order = await at.place_elsewhere(Side.BUY, "1", "90")
    at.room.exchange.tell(order)
    row = await external_row()
    at.room.exchange.move_price("BTC/USDT", 90)  # and nobody tells
    await at.advance(20)
    assert (await refreshed(row)).status == "filled"
    assert await Fill.objects.acount() == 1


async def test_imported_order_is_cancelled_from_here(at: Desk) -> None:
    order = await at.place_elsewhere(Side.BUY, "1", "90")
    at.room.exchange.tell(order)
    row = await external_row()
    await sync_to_async(desk.cancel)(trade_id=row.id, user_id=at.room.user.id, now=at.room.clock.now())
    await at.advance(3)
    assert order.status.value == "cancelled"
    assert (await refreshed(row)).status == "cancelled"


async def test_own_order_whose_exchange_id_is_unknown_is_never_taken_for_external(at: Desk) -> None:
    trade = await at.room.submitted(price="90")
    at.room.exchange.fail("create_order", OrderOutcomeUnknown("Délai dépassé."), when="after")
    at.room.exchange.hidden[trade.client_order_id] = 10_000
    await at.executor.cycle()
    assert (await refreshed(trade)).status == "unknown"
    (order,) = at.room.exchange.accepted
    nameless = replace(at.room.exchange.report(order), client_order_id=None)
    at.stream.send(nameless)
    for _ in range(50):
        await asyncio.sleep(0.002)
    assert await Trade.objects.acount() == 1
    at.room.exchange.tell(order)  # under its client id
    await trade_becomes(trade, "open")
    at.stream.send(nameless)  # now its exchange id is known
    await at.advance(2)
    assert await Trade.objects.acount() == 1
