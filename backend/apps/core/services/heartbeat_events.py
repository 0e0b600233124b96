"""What browsers see of the heartbeat. Never in the way of the market: full boxes lose their oldest content."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from apps.core.adapters.redis_connection import RedisUnavailable
from apps.core.models import CandleHeartbeat
from apps.core.selectors.heartbeat import candle_wire
from domain.errors import Unavailable
from domain.market_feed import RawPublisher
from domain.ports import Publisher

log = structlog.get_logger(__name__)

TOPIC = "heartbeat"
EVENTS_WAITING = 500
RAW_WAITING = 2_000
CANDLES_PER_TIMEFRAME = 10  # of one batch; a replay at full speed closes hundreds at once


class EventOutbox:
    """Sends events in order, from a task of its own."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._waiting: deque[tuple[str, Mapping[str, Any]]] = deque(maxlen=EVENTS_WAITING)
        self._filled = asyncio.Event()

    def put(self, event_type: str, body: Mapping[str, Any]) -> None:
        self._waiting.append((event_type, body))
        self._filled.set()

    def put_candles(self, rows: Sequence[CandleHeartbeat]) -> None:
        """Tell of closed candles; of a crowd, only the newest of each timeframe."""
        by_timeframe: dict[str, deque[CandleHeartbeat]] = defaultdict(lambda: deque(maxlen=CANDLES_PER_TIMEFRAME))
        for row in rows:
            by_timeframe[row.signal_type].append(row)
        shown = {row.pk for kept in by_timeframe.values() for row in kept}
        for row in rows:
            if row.pk in shown:
                self.put("candle", candle_wire(row))

    async def run(self) -> None:
        """Send until cancelled; an event that Redis does not take is lost, browsers refetch."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            while self._waiting:
                event_type, body = self._waiting.popleft()
                try:
                    await self._publisher.publish(TOPIC, event_type, body)
                except (*RedisUnavailable, OSError) as exc:
                    log.debug("heartbeat.event_lost", type=event_type, error=str(exc))


class RawOutbox:
    """Passes raw messages on to `StreamBrut`."""

    def __init__(self, publisher: RawPublisher) -> None:
        self._publisher = publisher
        self._waiting: deque[bytes] = deque(maxlen=RAW_WAITING)
        self._filled = asyncio.Event()

    def put(self, messages: Sequence[bytes]) -> None:
        if messages:
            self._waiting.extend(messages)
            self._filled.set()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            messages = list(self._waiting)
            self._waiting.clear()
            try:
                await self._publisher.publish(messages)
            except Unavailable as exc:
                log.debug("heartbeat.raw_lost", error=exc.message)
