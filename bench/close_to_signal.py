"""From the message that closes a candle to its signal in Redis, on a real instance.

A second listener on the same stream of the simulated exchange runs the heartbeat's own tracker: it says
which message (a trade, or a kline when nobody trades: the timer) closes which candle, and stamps its
arrival. A reader blocked on the Redis stream `heartbeat` stamps the signal. Both stamps are of one
monotonic clock of one process; in between lie the heartbeat's parsing, its commit in PostgreSQL and its
XADD, and the time the reader takes to be woken.
"""

import asyncio
import time
from dataclasses import dataclass, field

import psycopg
from websockets.asyncio.client import connect as connect_websocket

from apps.core.adapters.binance_stream import parse_message
from apps.core.adapters.redis_connection import connect as connect_redis
from apps.core.adapters.redis_signals import RedisSignalStream
from bench.throughput import new_tracker
from domain.market_feed import TradeEvent
from domain.market_tracker import MarketTracker
from domain.messages import signal_id
from domain.timeframes import Timeframe
from tests.system.instance import Instance

_PATIENCE_S = 60.0


@dataclass(slots=True)
class Stamps:
    """When each candle's closing message arrived, and when its signal could be read (monotonic seconds)."""

    closed: dict[str, float] = field(default_factory=dict)
    read: dict[str, float] = field(default_factory=dict)

    def delays_ms(self) -> list[float]:
        """Delays of the candles seen at both ends."""
        return [(self.read[each] - at) * 1000 for each, at in self.closed.items() if each in self.read]

    def unread(self) -> list[str]:
        """Candles whose signal was never seen."""
        return sorted(self.closed.keys() - self.read.keys())

    def minutes(self) -> int:
        return sum(1 for each in self.closed if each in self.read and each.startswith(f"{Timeframe.M1.value}_"))


async def watch(instance: Instance, *, minutes: int) -> Stamps:
    """Follow the market until that many one-minute signals were timed.

    Raises:
        TimeoutError: they did not come.
    """
    stamps = Stamps()
    market = asyncio.create_task(_watch_market(instance, stamps))
    signals = asyncio.create_task(_watch_signals(instance, stamps))
    try:
        async with asyncio.timeout(_PATIENCE_S + 3.0 * minutes):
            while stamps.minutes() < minutes:
                done, _ = await asyncio.wait((market, signals), timeout=0.2, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
    finally:
        market.cancel()
        await asyncio.sleep(0.5)  # the signals of the last candles
        signals.cancel()
        await asyncio.gather(market, signals, return_exceptions=True)
    return stamps


async def _watch_market(instance: Instance, stamps: Stamps) -> None:
    symbol = instance.setting("HEARTBEAT_SYMBOLS").split(",")[0]
    name = symbol.lower()
    url = f"{instance.setting('BINANCE_WS_URL')}/stream?streams={name}@aggTrade/{name}@kline_1m"
    tracker: MarketTracker | None = None
    async with connect_websocket(url, compression=None, proxy=None, ping_interval=None) as socket:
        while True:
            raw = await socket.recv(decode=False)
            arrived = time.monotonic()
            if tracker is None:
                tracker = new_tracker(symbol, raw)
            _follow(tracker, raw)
            for candle, is_correction in tracker.drain():
                if not is_correction:
                    stamps.closed.setdefault(signal_id(candle.timeframe, candle.close_time), arrived)


def _follow(tracker: MarketTracker, raw: bytes) -> None:
    event = parse_message(raw)
    if type(event) is TradeEvent:
        tracker.on_trade(event.trade, event.event_ms)
    elif event is not None:
        tracker.on_kline(event)  # type: ignore[arg-type]  # the only other kind


async def _watch_signals(instance: Instance, stamps: Stamps) -> None:
    redis = connect_redis(instance.setting("REDIS_URL"))
    try:
        async for _, signal in RedisSignalStream(redis).read(after="$", block_s=1.0):
            stamps.read.setdefault(signal.signal_id, time.monotonic())
    finally:
        await redis.aclose()


async def floor(instance: Instance, *, count: int) -> list[float]:
    """Return the delays (ms) of the least a committed signal can cost on the same servers, without a heartbeat.

    One row inserted and committed, then one entry in a Redis stream, acknowledged.
    """
    redis = connect_redis(instance.setting("REDIS_URL"))
    body = b'{"v": 1, "type": "bench", "signal_id": "1m_1577836800000"}'
    delays = []
    with psycopg.connect(instance.setting("DATABASE_URL"), autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS bench_floor (id bigserial PRIMARY KEY, body text, at timestamptz)"
        )
        for _ in range(count):
            began = time.monotonic()
            connection.execute("INSERT INTO bench_floor (body, at) VALUES (%s, now())", [body.decode()])
            await redis.xadd("bench_floor", {"m": body}, maxlen=1000)
            delays.append((time.monotonic() - began) * 1000)
            await asyncio.sleep(0.02)
    await redis.aclose()
    return delays
