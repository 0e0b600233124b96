"""Orders placed outside Aristobot, found by asking: each once, and never one of ours."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async

from apps.brokers.models import Broker
from apps.orders import amendments, attribution, external, selectors
from apps.orders.external_watch import ExternalTimings, ExternalWatch
from apps.orders.models import Fill, Position, Trade
from apps.orders.stream_board import StreamBoard, StreamState
from domain.errors import ExchangeError, ExchangeUnavailable, InvalidInput, OrderOutcomeUnknown
from domain.orders import OrderReport, OrderStatus, OrderTicket, OrderType, Side
from domain.ports import BrokerAccess
from tests.fakes.exchange import BTC_USDT, FakeSessions, PlacedOrder
from tests.fakes.gateway_world import FakeDirectory
from tests.fakes.orders_room import OrdersRoom, orders_room, refreshed

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class World:
    room: OrdersRoom
    directory: FakeDirectory
    board: StreamBoard
    watch: ExternalWatch
    access: BrokerAccess

    def place(self, name: str, side: Side, quantity: str, price: str | None = None) -> PlacedOrder:
        """Place an order at the exchange's own page."""
        kind = OrderType.MARKET if price is None else OrderType.LIMIT
        limit = None if price is None else Decimal(price)
        ticket = OrderTicket(name, "BTC/USDT", side, kind, Decimal(quantity), limit)
        return self.room.exchange.place(self.room.broker.id, ticket)

    async def look(self) -> None:
        await self.watch.look(self.access)


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with orders_room() as room:
        directory, board = FakeDirectory(), StreamBoard(room.clock)
        access = directory.add(room.broker.id, room.user.id, "simex", {})
        watch = ExternalWatch(
            FakeSessions(room.exchange), directory, room.clock, board=board, may_apply=lambda: True
        )
        yield World(room, directory, board, watch, access)


async def external_rows() -> list[Trade]:
    return [row async for row in Trade.objects.filter(source="external").order_by("id")]


async def test_resting_order_is_imported_once_and_own_ones_are_not(world: World) -> None:
    own = await world.room.submitted(price="80")
    executor, _ = world.room.executor()
    await executor.cycle()
    placed = world.place("x" * 60, Side.BUY, "2", "90")
    await world.look()
    await world.look()
    (row,) = await external_rows()
    assert (row.exchange_order_id, row.status, row.quantity, row.price) == (placed.exchange_order_id, "open", 2, 90)
    assert len(row.client_order_id) == 36
    assert await Trade.objects.acount() == 2
    assert (await refreshed(own)).status == "open"


async def test_what_it_locks_is_not_reserved_a_second_time(world: World) -> None:
    world.place("web", Side.BUY, "2", "90")
    await world.look()
    held = await sync_to_async(selectors.reserved_by_currency)(world.room.broker.id)
    assert held == {}


async def test_order_that_came_and_went_is_found_by_its_executions(world: World) -> None:
    await world.room.submitted()  # so that BTC/USDT is a market of this account
    executor, _ = world.room.executor()
    await executor.cycle()
    world.room.clock.advance(60)
    world.place("web", Side.BUY, "0.5")
    await world.look()
    await world.look()
    (row,) = await external_rows()
    assert (row.status, row.filled_quantity, row.average_price) == ("filled", Decimal("0.5"), 100)
    assert await Fill.objects.acount() == 2
    owners = {position.owner: position.quantity async for position in Position.objects.all()}
    assert owners == {"manual": Decimal("0.999"), "external": Decimal("0.4995")}


async def test_executions_before_the_first_one_known_are_not_imported(world: World) -> None:
    world.place("before", Side.BUY, "1")
    world.room.clock.advance(600)
    await world.room.submitted()
    executor, _ = world.room.executor()
    await executor.cycle()
    await world.look()
    assert await external_rows() == []


async def test_unknown_order_of_ours_is_not_imported_by_either_way(world: World) -> None:
    await world.room.submitted(quantity="0.5")
    trade = await world.room.submitted(quantity="2", price="90")
    executor, _ = world.room.executor()
    world.room.exchange.hidden[trade.client_order_id] = 10_000
    world.room.exchange.fail("create_order", OrderOutcomeUnknown("Délai dépassé."), when="after", times=2)
    await executor.cycle()
    await executor.cycle()
    await world.look()
    assert await external_rows() == []


async def test_same_order_by_two_ways_at_once_is_one_row(world: World) -> None:
    report = world.room.exchange.report(world.place("web", Side.BUY, "2", "90"))
    adopt = sync_to_async(external.adopt, thread_sensitive=False)
    first = await sync_to_async(external.adopt)(world.room.broker.id, report, now=world.room.clock.now())
    second = await adopt(world.room.broker.id, report, now=world.room.clock.now())
    assert first is not None
    assert second is None
    assert len(await external_rows()) == 1


async def test_same_exchange_id_in_another_market_is_another_order(world: World) -> None:
    report = world.room.exchange.report(world.place("web", Side.BUY, "2", "90"))
    now = world.room.clock.now()
    for each in (report, replace(report, symbol="ETH/USDT")):
        await sync_to_async(external.adopt)(world.room.broker.id, each, now=now)
    assert len(await external_rows()) == 2


async def test_order_sent_through_another_broker_of_ours_is_not_external(world: World) -> None:
    trade = await world.room.submitted(price="90")
    twin = await Broker.objects.acreate(user=world.room.user, name="Même compte", exchange="simex")
    report = report_of(client_order_id=trade.client_order_id)
    assert await sync_to_async(external.adopt)(twin.id, report, now=world.room.clock.now()) is None


async def test_order_made_by_the_exchange_out_of_a_trigger_of_ours_is_left_to_it(world: World) -> None:
    await Broker.objects.filter(id=world.room.broker.id).aupdate(exchange="bitget")
    trade = await world.room.submitted(Side.SELL, "1", "90")
    await Trade.objects.filter(id=trade.id).aupdate(type="stop_loss", status="open", exchange_order_id="plan-1")
    child = report_of(side=Side.SELL, exchange_order_id="77")
    now = world.room.clock.now()
    assert await sync_to_async(external.adopt)(world.room.broker.id, child, now=now) is None
    other = replace(child, quantity=Decimal(3))
    assert await sync_to_async(external.adopt)(world.room.broker.id, other, now=now) is not None


async def test_order_of_a_simulated_exchange_that_began_again_is_not_an_old_one_of_ours(world: World) -> None:
    trade = await world.room.submitted()
    executor, _ = world.room.executor()
    await executor.cycle()
    old = await refreshed(trade)
    again = report_of(exchange_order_id=old.exchange_order_id, client_order_id="web")
    assert await sync_to_async(attribution.find)(world.room.broker.id, again) is None


async def test_exchange_that_tells_resting_orders_by_market_only_is_asked_so(world: World) -> None:
    await world.room.submitted(price="80")
    world.place("web", Side.BUY, "2", "90")
    world.room.exchange.fail("fetch_open_orders", ExchangeError("symbol required"))
    await world.look()
    assert len(await external_rows()) == 1


async def test_accounts_are_asked_in_turns_and_rarely_where_a_stream_tells(world: World) -> None:
    other = await Broker.objects.acreate(user=world.room.user, name="B", exchange="simex")
    world.directory.add(other.id, world.room.user.id, "simex", {})
    timings = ExternalTimings(first_s=10, asked_every_s=60, told_every_s=300)
    watch = ExternalWatch(
        FakeSessions(world.room.exchange),
        world.directory,
        world.room.clock,
        board=world.board,
        may_apply=lambda: True,
        timings=timings,
    )
    asked: list[int] = []
    for second in range(400):
        before = len(world.room.exchange.calls)
        await watch.tick()
        asked += [second] * (len(world.room.exchange.calls) - before)
        if second == 100:
            world.board.put(world.room.broker.id, "simex", StreamState.UP)
            world.board.put(other.id, "simex", StreamState.UP)
        world.room.clock.advance(1)
    # The second account's look at 100 came just before its stream; the first one's next was due at 130.
    assert asked == [10, 40, 70, 100, 130, 160]


async def test_failing_exchange_does_not_end_the_watch(world: World) -> None:
    world.room.exchange.fail("fetch_open_orders", ExchangeUnavailable("maintenance"))
    world.place("web", Side.BUY, "2", "90")
    world.watch.ask(world.room.broker.id)
    await world.watch.tick()
    assert await external_rows() == []
    world.watch.ask(world.room.broker.id)
    await world.watch.tick()
    assert len(await external_rows()) == 1


async def test_imported_order_is_not_amended_from_here(world: World) -> None:
    world.place("web", Side.BUY, "2", "90")
    await world.look()
    (row,) = await external_rows()
    with pytest.raises(InvalidInput, match="placé hors d'Aristobot"):
        await sync_to_async(amendments.amend)(
            trade_id=row.id,
            user_id=world.room.user.id,
            market=BTC_USDT,
            reference_price=Decimal(100),
            now=world.room.clock.now(),
            price=Decimal(91),
        )


async def test_imported_order_that_its_exchange_forgot_is_closed_and_nothing_else_is(world: World) -> None:
    own = await world.room.submitted(price="80")
    executor, _ = world.room.executor()
    await executor.cycle()
    world.place("web", Side.BUY, "2", "90")
    await world.look()
    world.room.exchange.accepted.clear()  # other keys, or a reset
    await world.room.settle(executor, seconds=120)
    (row,) = await external_rows()
    assert (row.status, row.error_code) == ("expired", "order_gone")
    assert (await refreshed(own)).status == "open"


def report_of(
    *, side: Side = Side.BUY, exchange_order_id: str = "500", client_order_id: str | None = None
) -> OrderReport:
    return OrderReport(
        exchange_order_id=exchange_order_id,
        client_order_id=client_order_id,
        symbol="BTC/USDT",
        side=side,
        order_type=OrderType.LIMIT,
        status=OrderStatus.OPEN,
        quantity=Decimal(1),
        filled_quantity=Decimal(0),
        average_price=None,
        price=Decimal(90),
        fills=(),
        market_time=None,
    )
