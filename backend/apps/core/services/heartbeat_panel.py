"""What the heartbeat says of itself: its run's row, the status event every 2 s, the open candles."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from apps.core.models import HeartbeatStatus
from apps.core.selectors.heartbeat import candles_24h, forming_wire, status_wire
from apps.core.services import heartbeat_store as store
from apps.core.services.heartbeat_events import EventOutbox
from domain.candles import Candle
from domain.errors import Unavailable
from domain.ports import Clock
from domain.timeframes import from_ms

log = structlog.get_logger(__name__)

PERIOD_S = 2.0
FORMING_PERIOD_S = 0.5
RATE_WINDOW_S = 60.0
LATENCIES_KEPT = 1_000
_count_candles = store.in_database(candles_24h)


class HeartbeatPanel:
    """The state of a run, kept in memory and written every 2 s and at each change.

    Args:
        status: the run's row; only this object and `heartbeat_store` touch it.
    """

    def __init__(self, *, status: HeartbeatStatus, events: EventOutbox, clock: Clock) -> None:
        self.status = status
        self.forming: Callable[[], Sequence[Candle]] = list
        self.malformed = 0
        self._events = events
        self._clock = clock
        self._changed = asyncio.Event()
        self._latencies_ms: deque[float] = deque(maxlen=LATENCIES_KEPT)
        self._arrivals: deque[tuple[float, int]] = deque()
        self._shown_forming: Sequence[Candle] = ()

    def set_state(self, *, connected: bool, coherent: bool) -> None:
        """Say at once that the connection or the coherence changed."""
        if (self.status.is_connected, self.status.is_coherent) != (connected, coherent):
            self.status.is_connected, self.status.is_coherent = connected, coherent
            self._changed.set()

    def note_error(self, message: str) -> None:
        self.status.last_error = message
        self.status.last_error_at = self._clock.now()

    def note_messages(self, count: int, market_ms: int) -> None:
        """Record messages that just arrived."""
        self.status.last_message_at = self._clock.now()
        self.status.market_time = from_ms(market_ms)
        self._arrivals.append((self._clock.monotonic(), count))

    def note_latency(self, latency_ms: float) -> None:
        """Record the delay from the message that closed a candle to its signal on the stream."""
        self._latencies_ms.append(latency_ms)

    def live(self) -> dict[str, Any]:
        """Return what only this process knows; also the `details` of its presence."""
        ordered = sorted(self._latencies_ms)
        p50 = _quantile(ordered, 0.50)
        return {
            "lag_ms": p50,
            "latency_ms_p50": p50,
            "latency_ms_p99": _quantile(ordered, 0.99),
            "messages_per_minute": self._rate(),
            "malformed_messages": self.malformed,
            "is_connected": self.status.is_connected,
            "is_coherent": self.status.is_coherent,
            "feed": self.status.feed,
            "forming": self._forming_wire(self.forming()),
        }

    async def run(self) -> None:
        """Every 2 s and at each change, write the row and tell browsers; until cancelled."""
        while True:
            try:
                async with asyncio.timeout(PERIOD_S):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            await self.tell()

    async def tell(self) -> None:
        """Write the row and tell browsers once."""
        try:
            await store.save_status(self.status)
            counts = await _count_candles(self.status)
        except Unavailable as exc:
            log.info("heartbeat.status_not_written", error=exc.message)
            return
        self._events.put("status", status_wire(self.status, live=self.live(), candles_24h=counts))

    async def run_forming(self) -> None:
        """Every 500 ms, tell browsers of the open candles when they moved; until cancelled."""
        while True:
            await self._clock.sleep(FORMING_PERIOD_S)
            forming = self.forming()
            if forming and forming != self._shown_forming:
                self._shown_forming = forming
                self._events.put("forming", self._forming_wire(forming))

    def _forming_wire(self, candles: Sequence[Candle]) -> dict[str, Any]:
        now = self._clock.now()
        return {c.timeframe.value: forming_wire(c, source=self.status.source, now=now) for c in candles}

    def _rate(self) -> int:
        oldest = self._clock.monotonic() - RATE_WINDOW_S
        while self._arrivals and self._arrivals[0][0] < oldest:
            self._arrivals.popleft()
        return sum(count for _, count in self._arrivals)


def _quantile(ordered: Sequence[float], ratio: float) -> float | None:
    if not ordered:
        return None
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * ratio))], 2)
