"""The heartbeat against a market in memory, on a real PostgreSQL."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections

from apps.core.models import CandleHeartbeat, HeartbeatIncident, HeartbeatStatus
from apps.core.services.heartbeat import HeartbeatService
from apps.core.services.heartbeat_events import EventOutbox, RawOutbox
from apps.core.services.heartbeat_signals import SignalSender
from domain.errors import Unavailable
from domain.market_feed import StreamEvent, TradeEvent
from domain.messages import Signal
from domain.timeframes import Timeframe, to_ms
from domain.trade_sequence import AggTrade
from tests.fakes.market_feed import Cut, FakeMarketFeed, Item, perfect_stream
from tests.fakes.publisher import FakePublisher
from tests.unit.market_recording import Row, batch_rebuild

pytestmark = pytest.mark.django_db(transaction=True)

M = 60_000
START = 1_600_000_000_000 - 1_600_000_000_000 % (240 * M)
SYMBOL = "BTCUSDT"


@pytest.fixture(autouse=True)
async def _database_thread_lets_go() -> AsyncIterator[None]:
    yield
    await sync_to_async(connections.close_all)()


class MarketClock:
    """Time passes only when the market's task waits; the other tasks wait for it to pass."""

    def __init__(self) -> None:
        self._start = datetime(2026, 1, 1, tzinfo=UTC)
        self._elapsed_s = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed_s)

    def monotonic(self) -> float:
        return self._elapsed_s

    async def sleep(self, seconds: float) -> None:
        task = asyncio.current_task()
        if task is not None and task.get_name() == "heartbeat.market":
            self._pass(seconds)
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._elapsed_s + seconds, future))
        await future

    def _pass(self, seconds: float) -> None:
        self._elapsed_s += seconds
        due = [future for at, future in self._sleepers if at <= self._elapsed_s]
        self._sleepers = [(at, future) for at, future in self._sleepers if at > self._elapsed_s]
        for future in due:
            if not future.done():
                future.set_result(None)


class FakeSignals:
    def __init__(self) -> None:
        self.sent: list[Signal] = []
        self.is_down = False

    async def publish_all(self, signals: Sequence[Signal]) -> None:
        if self.is_down:
            raise Unavailable("Redis arrêté")
        self.sent += signals


class NoRaw:
    async def publish(self, messages: Sequence[bytes]) -> None: ...


def market(seed: int, minutes: int = 250) -> list[AggTrade]:
    """Random trades from START on, with empty minutes and bursts, contiguous ids."""
    rng = random.Random(seed)
    times = sorted(
        START + minute * M + rng.randrange(M)
        for minute in range(minutes)
        for _ in range(rng.choice([0, 0, 1, 2, 3, 9]))
    )
    trades, raw_id = [], 1000
    for index, time_ms in enumerate(times):
        count = rng.choice([1, 1, 1, 4])
        price = Decimal(100_000 + rng.randrange(2_000)).scaleb(-2)
        quantity = Decimal(rng.randrange(1, 500)).scaleb(-3)
        trades.append(AggTrade(500 + index, price, quantity, raw_id, raw_id + count - 1, time_ms))
        raw_id += count
    return trades


Fault = Callable[[list[Item], random.Random], list[Item]]


def loss(items: list[Item], rng: random.Random) -> list[Item]:
    return [i for i in items if not isinstance(i, TradeEvent) or rng.random() > 0.1]


def duplication(items: list[Item], rng: random.Random) -> list[Item]:
    return [again for i in items for again in ([i, i] if rng.random() < 0.2 else [i])]


def reordering(items: list[Item], rng: random.Random) -> list[Item]:
    return [i for _, i in sorted((index + rng.random() * 4, i) for index, i in enumerate(items))]


def _cuts(items: list[Item], rng: random.Random, *, is_stall: bool) -> list[Item]:
    result: list[Item] = []
    skip_until = 0
    end_ms = max(item.event_ms for item in items if not isinstance(item, Cut))
    for item in items:
        assert not isinstance(item, Cut)
        if item.event_ms < skip_until and item is not items[-1]:
            continue
        result.append(item)
        if rng.random() < 0.004 and item is not items[-1]:
            # Back before the script ends: later, the market's own clock would pass minutes nobody expects.
            skip_until = min(item.event_ms + rng.randrange(1, 30 * M), end_ms)
            result.append(Cut(skip_until - 1, is_stall=is_stall))
    return result


def disconnection(items: list[Item], rng: random.Random) -> list[Item]:
    return _cuts(items, rng, is_stall=False)


def stall(items: list[Item], rng: random.Random) -> list[Item]:
    return _cuts(items, rng, is_stall=True)


class Harness:
    def __init__(self, feed: FakeMarketFeed, clock: MarketClock, signals: FakeSignals) -> None:
        self.feed, self.clock, self.signals = feed, clock, signals
        self.publisher = FakePublisher()
        self.service = HeartbeatService(
            feed=feed,
            sender=SignalSender(publisher=signals, clock=clock, source="primary", location="ici"),
            events=EventOutbox(self.publisher),
            raw=RawOutbox(NoRaw()),
            clock=clock,
            source="primary",
            location="ici",
            symbols=[SYMBOL],
            jitter=lambda: 0.0,
        )


def harness(trades: Sequence[AggTrade], script: Sequence[Item], **options: object) -> Harness:
    clock = MarketClock()
    feed = FakeMarketFeed(SYMBOL, trades, script, clock, **options)  # type: ignore[arg-type]
    return Harness(feed, clock, FakeSignals())


@asynccontextmanager
async def running(h: Harness) -> AsyncIterator[None]:
    task = asyncio.create_task(h.service.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 — conditions on a plain fake, no event to await
            await asyncio.sleep(0.005)


async def play(h: Harness) -> None:
    """Run until the script is over and everything it closed is stored."""
    async with running(h):
        await until(lambda: h.feed.is_over)
        quiet_s = h.clock.monotonic() + 3
        await until(lambda: h.clock.monotonic() > quiet_s)


async def stored() -> dict[tuple[str, int], Row]:
    rows = {}
    async for r in CandleHeartbeat.objects.filter(symbol=SYMBOL):
        values = (r.open_price, r.high_price, r.low_price, r.close_price, r.volume, r.trade_count)
        rows[(r.signal_type, to_ms(r.open_time))] = values
    return rows


def perfect(trades: Sequence[AggTrade], minutes: int = 250) -> list[StreamEvent]:
    return perfect_stream(SYMBOL, trades, kline_every_ms=20_000, end_ms=START + minutes * M + 20_000)


def expected(trades: Sequence[AggTrade], minutes: int = 250) -> dict[tuple[str, int], Row]:
    return batch_rebuild(trades, until_ms=START + minutes * M)


FAULTS: list[Fault] = [loss, duplication, reordering, disconnection, stall]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)
async def test_faulty_stream_ends_with_the_candles_of_the_complete_log(fault: Fault, seed: int) -> None:
    trades = market(seed)
    h = harness(trades, fault([*perfect(trades)], random.Random(seed)), batch=5 + seed * 20)
    await play(h)
    assert await stored() == expected(trades)
    assert len({s.signal_id for s in h.signals.sent}) == len(h.signals.sent) == len(expected(trades))


async def test_perfect_stream_signals_in_order_and_never_late() -> None:
    trades = market(7)
    h = harness(trades, perfect(trades))
    await play(h)
    order = [(s.close_time, s.timeframe.milliseconds) for s in h.signals.sent]
    assert order == sorted(order)
    assert [s for s in h.signals.sent if s.late] == []
    assert await CandleHeartbeat.objects.filter(published_at=None).acount() == 0
    assert await HeartbeatIncident.objects.acount() == 0


async def test_candles_missed_while_disconnected_come_back_late_and_nothing_is_invented_meanwhile() -> None:
    trades = market(3)
    items = perfect(trades)
    cut_at = next(i for i, e in enumerate(items) if e.event_ms > START + 30 * M)
    back_ms = START + 50 * M
    script = [*items[:cut_at], Cut(back_ms), *[e for e in items[cut_at:] if e.event_ms > back_ms]]
    h = harness(trades, script)
    await play(h)
    assert await stored() == expected(trades)
    outage = await HeartbeatIncident.objects.aget()
    assert (outage.kind, outage.message) == ("disconnect", "coupé")
    assert outage.mended_at is not None
    lates = {s.signal_id for s in h.signals.sent if s.late}
    # One second of ours passed between the cut and the next connection: nothing is old enough to be late.
    assert lates == set()


async def test_restart_resumes_where_it_stopped_and_old_candles_are_late() -> None:
    trades = market(4)
    items = perfect(trades)
    half = next(i for i, e in enumerate(items) if e.event_ms > START + 100 * M)
    first = harness(trades, items[:half])
    await play(first)
    before = await stored()
    later = [e for e in items[half:] if e.event_ms > START + 130 * M]
    second = harness(trades, later)
    await play(second)
    assert await stored() == expected(trades)
    assert before.items() <= (await stored()).items()
    late = [s for s in second.signals.sent if s.late]
    fresh = [s for s in second.signals.sent if not s.late]
    assert late
    assert max(s.close_time for s in late) < min(s.close_time for s in fresh)
    assert {s.signal_id for s in first.signals.sent}.isdisjoint(s.signal_id for s in second.signals.sent)
    assert await HeartbeatStatus.objects.filter(last_application_stop__isnull=False).acount() == 2


async def test_late_trade_makes_a_revision_and_no_second_signal() -> None:
    trades = market(5, minutes=10)
    items = perfect(trades, 10)
    index = next(i for i, e in enumerate(items) if isinstance(e, TradeEvent) and e.event_ms > START + 4 * M)
    item = items.pop(index)
    assert isinstance(item, TradeEvent)
    # Its minute is closed by klines that do not know it either, then it comes.
    cut = item.trade
    known = [t for t in trades if t.id < cut.id]
    early = perfect_stream(SYMBOL, known, kline_every_ms=20_000, end_ms=cut.time_ms + 3 * M)
    late = TradeEvent(SYMBOL, cut.time_ms + 3 * M, cut, b"{}")
    world = [*known, cut]
    h = harness(world, [*early, late], batch=1)
    await play(h)
    minute = cut.time_ms // M * M
    row = await CandleHeartbeat.objects.aget(signal_type="1m", open_time=_at(minute))
    assert row.revision == 2
    assert row.close_price == cut.price
    name = f"1m_{minute + M}"
    assert [s.signal_id for s in h.signals.sent].count(name) == 1
    assert await HeartbeatIncident.objects.filter(kind="correction").acount() == 1


async def test_signals_wait_for_redis_and_leave_in_order_once_it_is_back() -> None:
    trades = market(6, minutes=40)
    h = harness(trades, perfect(trades, 40))
    h.signals.is_down = True
    async with running(h):
        await until(lambda: h.feed.is_over)
        await until(lambda: h.clock.monotonic() > 20)
        assert h.signals.sent == []
        h.signals.is_down = False
        await until(lambda: len(h.signals.sent) >= len(expected(trades, 40)))
        async with asyncio.timeout(60):  # a row is stamped once its signal is sent: after it, not with it
            while await CandleHeartbeat.objects.filter(published_at=None).aexists():  # noqa: ASYNC110
                await asyncio.sleep(0.005)
    order = [(s.close_time, s.timeframe.milliseconds) for s in h.signals.sent]
    assert order == sorted(order)
    assert all(s.late for s in h.signals.sent)
    assert await CandleHeartbeat.objects.filter(published_at=None).acount() == 0


@pytest.mark.usefixtures("sessions_may_be_cut")
async def test_lost_database_connection_costs_no_candle() -> None:
    trades = market(8)
    h = harness(trades, perfect(trades), batch=3)
    async with running(h):
        for share in (0.2, 0.5, 0.8):
            await until(lambda: h.feed._at > len(h.feed.script) * share)  # noqa: B023
            await _kill_database_sessions()
        await until(lambda: h.feed.is_over)
        quiet_s = h.clock.monotonic() + 10
        await until(lambda: h.clock.monotonic() > quiet_s)
    assert await stored() == expected(trades)


async def test_rest_failures_are_repeated_until_the_hole_is_filled() -> None:
    trades = market(9)
    h = harness(trades, loss([*perfect(trades)], random.Random(9)), rest_failures=9)
    await play(h)
    assert await stored() == expected(trades)


async def test_status_is_told_at_start_and_at_stop() -> None:
    trades = market(1, minutes=5)
    h = harness(trades, perfect(trades, 5))
    await play(h)
    status = await HeartbeatStatus.objects.aget()
    assert status.last_application_stop is not None
    assert (status.is_connected, status.feed, status.symbols_monitored) == (False, "simex:test", [SYMBOL])
    shown = [data for _, kind, data, _ in h.publisher.events if kind == "candle"]
    assert {row["timeframe"] for row in shown} == {"1m", "3m", "5m"}
    assert any(kind == "status" and data["is_coherent"] for _, kind, data, _ in h.publisher.events)


async def _kill_database_sessions() -> None:
    def kill() -> None:
        connection.close()
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            cursor.execute("SELECT pg_backend_pid()")
            mine = cursor.fetchone()[0]
        import psycopg

        with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": psycopg.Cursor}) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [mine])

    await sync_to_async(kill)()


def _at(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def test_timeframes_of_the_rebuild_are_those_of_the_domain() -> None:
    from tests.unit.market_recording import LENGTHS

    assert {t.value: t.milliseconds // M for t in Timeframe} == LENGTHS
