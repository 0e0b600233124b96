"""The heartbeat's real parts (WebSocket, REST, PostgreSQL, Valkey) against the simulated exchange."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection, connections

from apps.core.adapters.binance_stream import BinanceFeed
from apps.core.adapters.clock import SystemClock
from apps.core.adapters.redis_connection import connect
from apps.core.adapters.redis_signals import RedisRawStream, RedisSignalStream
from apps.core.models import CandleHeartbeat, HeartbeatIncident, HeartbeatStatus
from apps.core.services.heartbeat import HeartbeatService
from apps.core.services.heartbeat_events import EventOutbox, RawOutbox
from apps.core.services.heartbeat_signals import SignalSender
from domain.messages import RAW_STREAM, SIGNAL_STREAM
from domain.timeframes import to_ms
from tests.fakes.publisher import FakePublisher
from tests.integration.simex_process import SimexProcess, simex
from tests.unit.market_recording import Row, batch_rebuild, recorded_trades, recording_path

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

NATIVE = {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "1h": 60, "2h": 120, "4h": 240}
M = 60_000
BACKEND = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
async def _clean() -> AsyncIterator[None]:
    redis = connect(settings.REDIS_URL)
    await redis.delete(SIGNAL_STREAM, RAW_STREAM)
    yield
    await redis.aclose()
    await sync_to_async(connections.close_all)()


@asynccontextmanager
async def heartbeat(exchange: SimexProcess, symbol: str) -> AsyncIterator[HeartbeatService]:
    clock = SystemClock()
    redis = connect(settings.REDIS_URL)
    feed = BinanceFeed(ws_url=exchange.ws_url, rest_url=exchange.url, clock=clock)
    service = HeartbeatService(
        feed=feed,
        sender=SignalSender(publisher=RedisSignalStream(redis), clock=clock, source="primary", location="ici"),
        events=EventOutbox(FakePublisher()),
        raw=RawOutbox(RedisRawStream(redis)),
        clock=clock,
        source="primary",
        location="ici",
        symbols=[symbol],
    )
    task = asyncio.create_task(service.run())
    try:
        yield service
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await feed.close()
        await redis.aclose()


async def until(condition: Callable[[], Coroutine[Any, Any, bool]], *, timeout_s: float = 90) -> None:
    async with asyncio.timeout(timeout_s):
        while not await condition():  # noqa: ASYNC110 — the state of other processes
            await asyncio.sleep(0.1)


async def stored(symbol: str) -> dict[tuple[str, int], Row]:
    rows = {}
    async for r in CandleHeartbeat.objects.filter(symbol=symbol):
        values = (r.open_price, r.high_price, r.low_price, r.close_price, r.volume, r.trade_count)
        rows[(r.signal_type, to_ms(r.open_time))] = values
    return rows


async def newest_minute_end(symbol: str) -> int:
    row = await CandleHeartbeat.objects.filter(symbol=symbol, signal_type="1m").order_by("-open_time").afirst()
    return 0 if row is None else to_ms(row.dhm_candle)


async def klines(exchange: SimexProcess, symbol: str, interval: str, start_ms: int) -> dict[tuple[str, int], Row]:
    rows = await exchange.get("/api/v3/klines", symbol=symbol, interval=interval, startTime=start_ms, limit=1000)
    return {(interval, k[0]): (*(Decimal(v) for v in k[1:6]), k[8]) for k in rows}


async def assert_no_minute_missing(symbol: str) -> None:
    times = [
        to_ms(r.open_time) async for r in CandleHeartbeat.objects.filter(signal_type="1m").order_by("open_time")
    ]
    assert times == list(range(times[0], times[-1] + 1, M))


async def assert_klines_agree(exchange: SimexProcess, symbol: str, ours: dict[tuple[str, int], Row]) -> int:
    """Compare every native candle with the exchange's own kline; return how many."""
    start_ms = min(at for _, at in ours)
    compared = 0
    for interval in NATIVE:
        theirs = await klines(exchange, symbol, interval, start_ms - start_ms % (NATIVE[interval] * M))
        mine = {key: row for key, row in ours.items() if key[0] == interval and key in theirs}
        assert mine == {key: theirs[key] for key in mine}
        compared += len(mine)
    return compared


async def signals() -> list[tuple[int, str]]:
    redis = connect(settings.REDIS_URL)
    stream = RedisSignalStream(redis)
    found = []
    try:
        async with asyncio.timeout(2):
            async for _, one in stream.read(after="0", block_s=0.5):
                found.append((to_ms(one.close_time), one.timeframe.value))
    except TimeoutError:
        pass
    await redis.aclose()
    return found


async def test_replay_at_full_speed_gives_the_candles_of_the_recording() -> None:
    path = recording_path()
    trades = recorded_trades()
    end_ms = trades[-1].time_ms // M * M + M
    expected = batch_rebuild(trades, until_ms=end_ms)
    arguments = ["--symbols", "XRPETH", "--source", f"trades:{path}", "--speed", "max", "--wait-for-consumer"]
    async with simex(*arguments) as exchange:
        async with heartbeat(exchange, "XRPETH"):

            async def is_done() -> bool:
                return await newest_minute_end("XRPETH") >= end_ms

            await until(is_done, timeout_s=150)
        ours = await stored("XRPETH")
        assert ours == expected
        assert await assert_klines_agree(exchange, "XRPETH", ours) > 1_500
    assert await HeartbeatIncident.objects.acount() == 0
    sent = await signals()
    assert len(set(sent)) == len(sent)
    lengths = {**NATIVE, "10m": 10}
    assert [(at, lengths[name]) for at, name in sent] == sorted((at, lengths[name]) for at, name in sent)


async def test_walk_at_speed_60_agrees_with_the_exchange_through_stream_faults() -> None:
    async with simex("--symbols", "BTCUSDT", "--source", "walk", "--seed", "7", "--speed", "60") as exchange:
        for kind in ("drop", "duplicate", "reorder", "malformed"):
            stream = "btcusdt@aggTrade"
            await exchange.post("/__sim/faults", kind=kind, stream=stream, probability=0.05, times=1000)
        async with heartbeat(exchange, "BTCUSDT"):

            async def has_ten_minutes_and_a_gap() -> bool:  # the faults are drawn: a gap may be long in coming
                gaps = HeartbeatIncident.objects.filter(kind="gap")
                return await has_minutes(10)() and await gaps.aexists()

            await until(has_ten_minutes_and_a_gap)
        await assert_no_minute_missing("BTCUSDT")
        assert await assert_klines_agree(exchange, "BTCUSDT", await stored("BTCUSDT")) >= 10
    assert await HeartbeatStatus.objects.filter(feed__startswith="simex:").acount() == 1


async def test_command_killed_and_exchange_killed_lose_no_candle(tmp_path: Path) -> None:
    data = ["--data-dir", str(tmp_path / "simex")]
    arguments = ["--symbols", "BTCUSDT", "--source", "walk", "--seed", "3", "--speed", "60", *data]
    async with simex(*arguments) as exchange:
        command = await run_command(exchange)
        try:
            await until(has_minutes(4))
            command.kill()
            await command.wait()
            seen = await CandleHeartbeat.objects.filter(signal_type="1m").acount()
            command = await run_command(exchange)
            await until(has_minutes(seen + 4))
            await exchange.kill()
            seen = await CandleHeartbeat.objects.filter(signal_type="1m").acount()
            await exchange.start()
            await until(has_minutes(seen + 4))
        finally:
            command.send_signal(signal.SIGTERM)
            async with asyncio.timeout(20):
                await command.wait()
        assert command.returncode == 0
        await assert_no_minute_missing("BTCUSDT")
        assert await assert_klines_agree(exchange, "BTCUSDT", await stored("BTCUSDT")) >= 12
    killed, stopped = [run async for run in HeartbeatStatus.objects.order_by("id")]
    assert killed.last_application_stop is None
    assert stopped.last_application_stop is not None
    assert await CandleHeartbeat.objects.filter(published_at=None).acount() == 0


def has_minutes(count: int) -> Callable[[], Coroutine[Any, Any, bool]]:
    async def condition() -> bool:
        return await CandleHeartbeat.objects.filter(signal_type="1m").acount() >= count

    return condition


async def run_command(exchange: SimexProcess) -> asyncio.subprocess.Process:
    """Start `manage.py run_heartbeat` on the test's own database."""
    server = urlsplit(os.environ["DATABASE_URL"])
    url = server._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    environment = {
        **os.environ,
        "DATABASE_URL": url,
        "BINANCE_WS_URL": exchange.ws_url,
        "BINANCE_REST_URL": exchange.url,
        "HEARTBEAT_SYMBOLS": "BTCUSDT",
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "manage.py", "run_heartbeat", cwd=BACKEND, env=environment
    )
