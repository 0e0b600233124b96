"""Two terminals 5: only the holder of the lease sends, and the other takes over when it dies."""

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import LiteralString

import psycopg
import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.db import connection, connections
from django.db.models import F
from structlog.testing import capture_logs

from apps.orders.database import in_claims, in_database
from apps.orders.executor import OrderExecutor
from apps.orders.lease import APPLICATION_NAME, LASTS, SPAN, LeaseLost, RowLease
from apps.orders.models import SenderLease, Trade
from apps.orders.process_mark import is_dead, new_mark
from tests.fakes.clock import FakeClock
from tests.fakes.exchange import FakeSessions
from tests.fakes.orders_room import OrdersRoom, orders_room, refreshed, until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest_asyncio.fixture
async def room() -> AsyncIterator[OrdersRoom]:
    async with orders_room() as made:
        yield made


async def cut_holder() -> None:
    """Let PostgreSQL drop the connection that holds the lease, as when it restarts."""
    await _cut(by="application_name = %s", value=APPLICATION_NAME)


async def _cut(*, by: LiteralString, value: object) -> None:
    settings = connections["default"].get_connection_params()
    wanted = {name: settings[name] for name in ("dbname", "user", "password", "host", "port") if name in settings}
    async with await psycopg.AsyncConnection.connect(**wanted, autocommit=True) as admin:
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE " + by  # noqa: S608 — ours
        await admin.execute(query, [value])


async def test_second_waits_until_the_first_releases(room: OrdersRoom) -> None:
    clock = FakeClock()
    first, second = RowLease(clock), RowLease(clock)
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
    lease = RowLease(FakeClock())
    await lease.acquire()
    await cut_holder()
    with pytest.raises(LeaseLost):
        await lease.check()
    await lease.release()


def age_row(by: timedelta) -> None:
    """Let time pass for the database, whose clock counts the lease."""
    SenderLease.objects.update(renewed_at=F("renewed_at") - by)


async def test_silent_holder_is_replaced_once_its_time_and_the_span_are_over(room: OrdersRoom) -> None:
    clock = FakeClock()
    first, second = RowLease(clock), RowLease(clock)
    await first.acquire()
    await sync_to_async(age_row)(LASTS + SPAN - timedelta(seconds=5))
    assert (await second._try(), second.is_taken) == (False, True)
    await sync_to_async(age_row)(timedelta(seconds=5))
    assert (await second._try(), second.is_taken) == (True, False)
    with pytest.raises(LeaseLost, match="pris par un autre"):
        await first.check()
    assert first.until < clock.now() < second.until
    for lease in (first, second):
        await lease.release()


async def test_a_wall_clock_that_moves_never_lengthens_the_lease(room: OrdersRoom) -> None:
    clock = FakeClock()
    lease = RowLease(clock)
    await lease.acquire()
    clock.advance(5)
    clock._now -= timedelta(minutes=1)
    assert lease.until == clock.now() + LASTS - timedelta(seconds=5)
    clock._now += timedelta(minutes=2)
    assert lease.until < clock.now()
    await lease.release()


async def test_tells_when_nothing_of_the_one_before_can_arrive_any_more(room: OrdersRoom) -> None:
    clock = FakeClock()
    leases = [RowLease(clock) for _ in range(3)]
    await leases[0].acquire()
    assert leases[0].others_until == clock.now() + LASTS + SPAN  # nobody before it is known
    await leases[0].release()
    await sync_to_async(age_row)(timedelta(seconds=5))
    assert await leases[1]._try()
    left = leases[1].others_until - clock.now()
    assert LASTS + SPAN - timedelta(seconds=10) < left <= LASTS + SPAN - timedelta(seconds=5)
    await sync_to_async(age_row)(LASTS + SPAN)
    assert await leases[2]._try()
    assert leases[2].others_until == clock.now()
    for lease in leases:
        await lease.release()


async def test_holder_that_ended_on_this_machine_is_replaced_at_once(room: OrdersRoom) -> None:
    script = "from apps.orders.process_mark import new_mark; print(new_mark(), flush=True); input()"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    mark = (await process.stdout.readline()).decode().strip()
    assert not is_dead(mark)
    await sync_to_async(SenderLease.objects.create)(holder=mark, renewed_at=datetime.now(UTC))
    lease = RowLease(FakeClock())
    assert not await lease._try()
    process.kill()
    await process.wait()
    assert is_dead(mark)
    async with asyncio.timeout(10):
        await lease.acquire()
    await lease.release()


def test_processes_of_elsewhere_are_never_called_dead() -> None:
    mark = new_mark()
    assert not is_dead(mark)
    assert not is_dead(f"another-boot.{mark.partition('.')[2]}")
    assert not is_dead("")
    assert not is_dead("nonsense")


async def test_woken_after_its_lease_a_sender_sends_nothing_and_the_order_waits(room: OrdersRoom) -> None:
    lease = RowLease(room.clock)
    sessions = FakeSessions(room.exchange)
    executor = OrderExecutor(sessions, room.publisher, room.clock, lease=lease)
    await lease.acquire()
    room.clock.advance(LASTS.total_seconds())  # paused; in `cycle` it still believes that it may send
    trade = await room.submitted()
    await executor.cycle()
    assert room.exchange.accepted == []
    assert ((await refreshed(trade)).status, (await refreshed(trade)).error_code) == ("pending", "lease_lost")
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


async def test_who_takes_over_does_not_use_the_connections_of_its_wait(room: OrdersRoom) -> None:
    """The server behind them may be another one since: the first look would be lost on finding out."""
    trade = await room.submitted()
    pids = [await run(_backend) for run in (in_database, in_claims)]
    await _cut(by="pid = ANY(%s)", value=pids)
    executor = OrderExecutor(FakeSessions(room.exchange), room.publisher, room.clock)
    with capture_logs() as said:
        running = asyncio.create_task(executor.run())
        try:
            await until(lambda: executor.holds_lease)
            await _filled(room, trade, executor)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    assert [line for line in said if line["event"] == "orders.database_down"] == []


def _backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


async def _filled(room: OrdersRoom, trade: Trade, executor: OrderExecutor) -> None:
    async with asyncio.timeout(20):
        while (await refreshed(trade)).status != "filled":
            executor.wake()
            room.clock.advance(0.02)  # an order stays valid for a thousand looks
