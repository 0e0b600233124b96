"""Two terminals 5: only the holder of the lease sends, and the other takes over when it dies."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
import pytest_asyncio
from django.db import connections

from apps.orders.executor import OrderExecutor
from apps.orders.lease import LOCK_KEY, AdvisoryLease, LeaseLost
from apps.orders.models import Trade
from tests.fakes.clock import FakeClock
from tests.fakes.exchange import FakeSessions
from tests.fakes.orders_room import OrdersRoom, orders_room, refreshed

pytestmark = pytest.mark.django_db(transaction=True)


@pytest_asyncio.fixture
async def room() -> AsyncIterator[OrdersRoom]:
    async with orders_room() as made:
        yield made


async def cut_holder() -> None:
    """Let PostgreSQL drop the connection that holds the lease, as when it restarts."""
    settings = connections["default"].get_connection_params()
    wanted = {name: settings[name] for name in ("dbname", "user", "password", "host", "port") if name in settings}
    async with await psycopg.AsyncConnection.connect(**wanted, autocommit=True) as admin:
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s",
            [LOCK_KEY & 0xFFFFFFFF],
        )


async def test_second_waits_until_the_first_releases(room: OrdersRoom) -> None:
    clock = FakeClock()
    first, second = AdvisoryLease(clock), AdvisoryLease(clock)
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    for _ in range(3):
        await first.check()
        clock.advance(1)
    assert not waiting.done()
    await first.release()
    async with asyncio.timeout(10):
        while not waiting.done():
            clock.advance(1)
            await asyncio.sleep(0)
    await second.check()
    with pytest.raises(LeaseLost):
        await first.check()
    await second.release()


async def test_a_dropped_connection_is_noticed(room: OrdersRoom) -> None:
    lease = AdvisoryLease(FakeClock())
    await lease.acquire()
    await cut_holder()
    with pytest.raises(LeaseLost):
        await lease.check()
    await lease.release()


async def test_standby_sends_nothing_until_the_first_dies(room: OrdersRoom) -> None:
    executors = [OrderExecutor(FakeSessions(room.exchange), room.publisher, room.clock) for _ in range(2)]
    first = asyncio.create_task(executors[0].run())
    trade = await room.submitted()
    executors[0].wake()
    await _filled(room, trade, executors[0])
    standby = asyncio.create_task(executors[1].run())
    try:
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        second = await room.submitted()
        await _filled(room, second, executors[1])
    finally:
        standby.cancel()
        await asyncio.gather(standby, return_exceptions=True)
    assert len(room.exchange.accepted) == 2


async def test_run_goes_on_after_the_lease_was_lost(room: OrdersRoom) -> None:
    executor = OrderExecutor(FakeSessions(room.exchange), room.publisher, room.clock)
    running = asyncio.create_task(executor.run())
    try:
        await _filled(room, await room.submitted(), executor)
        await cut_holder()
        await _filled(room, await room.submitted(), executor)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert len(room.exchange.accepted) == 2


async def _filled(room: OrdersRoom, trade: Trade, executor: OrderExecutor) -> None:
    async with asyncio.timeout(20):
        while (await refreshed(trade)).status != "filled":
            executor.wake()
            room.clock.advance(0.02)  # an order stays valid for a thousand looks
