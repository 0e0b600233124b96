"""The heartbeat: sessions on the market one after the other, for as long as the process lives."""

import asyncio
import random
from collections.abc import Callable, Sequence

import structlog

from apps.core.metrics import RECONNECTS
from apps.core.models import HeartbeatStatus
from apps.core.services import heartbeat_store as store
from apps.core.services.heartbeat_events import EventOutbox, RawOutbox
from apps.core.services.heartbeat_incidents import IncidentLog, Kind
from apps.core.services.heartbeat_panel import HeartbeatPanel
from apps.core.services.heartbeat_past import MarketPast
from apps.core.services.heartbeat_session import RENEWAL, STALLED, MarketSession, Parts
from apps.core.services.heartbeat_signals import SignalSender
from domain.errors import AristobotError, ExchangeError, Unavailable
from domain.market_feed import MarketFeed
from domain.market_pace import MarketPace
from domain.ports import Clock

log = structlog.get_logger(__name__)

LONGEST_PAUSE_S = 30.0  # for the exchange
LONGEST_LOCAL_PAUSE_S = 3.0  # for PostgreSQL, which is ours


class HeartbeatService:
    """Owns the run's row and its tasks.

    Args:
        symbols: Binance names; the first is the reference whose closes are signals.
        jitter: a ratio in [0, 1[ that spreads reconnections.
    """

    def __init__(
        self,
        *,
        feed: MarketFeed,
        sender: SignalSender,
        events: EventOutbox,
        raw: RawOutbox,
        clock: Clock,
        source: str,
        location: str,
        symbols: Sequence[str],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._feed = feed
        self._sender = sender
        self._events = events
        self._raw = raw
        self._clock = clock
        self._source = source
        self._location = location
        self._symbols = tuple(symbols)
        self._jitter = jitter
        self._failures = 0
        self.panel: HeartbeatPanel | None = None

    async def run(self) -> None:
        """Follow the market until cancelled; then stamp the stop."""
        status = await self._start()
        panel = self.panel = HeartbeatPanel(status=status, events=self._events, clock=self._clock)
        parts = Parts(
            feed=self._feed,
            past=MarketPast(self._feed, self._clock),
            sender=self._sender,
            panel=panel,
            incidents=IncidentLog(status=status, events=self._events, clock=self._clock),
            events=self._events,
            raw=self._raw,
            pace=MarketPace(),
            clock=self._clock,
            symbols=self._symbols,
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow(parts), name="heartbeat.market")
                tasks.create_task(self._sender.run(), name="heartbeat.signals")
                tasks.create_task(self._events.run(), name="heartbeat.events")
                tasks.create_task(self._raw.run(), name="heartbeat.raw")
                tasks.create_task(panel.run(), name="heartbeat.status")
                tasks.create_task(panel.run_forming(), name="heartbeat.forming")
        finally:
            await self._stop(status)

    async def _start(self) -> HeartbeatStatus:
        failures = 0
        while True:
            try:
                now = self._clock.now()
                status: HeartbeatStatus = await store.start_run(
                    source=self._source, location=self._location, symbols=self._symbols, now=now
                )
                await store.mend_left_behind(source=self._source, now=now)
                log.info("heartbeat.started", source=self._source, location=self._location)
                return status
            except Unavailable as exc:
                failures += 1
                if failures == 1 or failures % 20 == 0:
                    log.warning("heartbeat.waits_for_database", error=exc.message, attempt=failures)
                await self._clock.sleep(min(LONGEST_LOCAL_PAUSE_S, 0.2 * 2 ** min(failures, 5)))

    async def _stop(self, status: HeartbeatStatus) -> None:
        status.is_connected = status.is_coherent = False
        status.last_application_stop = self._clock.now()
        try:
            await store.save_status(status)
        except Unavailable as exc:
            log.warning("heartbeat.stop_not_stamped", error=exc.message)

    async def _follow(self, parts: Parts) -> None:
        while True:
            try:
                await self._session(parts)
            except AristobotError as exc:
                await self._note_failure(parts, exc)
                await self._clock.sleep(self._pause_s(exc))
            except Exception as exc:  # the task's boundary: logged, then a fresh session
                log.exception("heartbeat.session_failed")
                failure = ExchangeError(f"Erreur interne du heartbeat : {exc!r}.", code="internal_error")
                await self._note_failure(parts, failure)
                await self._clock.sleep(self._pause_s(failure))

    async def _session(self, parts: Parts) -> None:
        async with self._feed.connect(self._symbols) as stream:
            session = MarketSession(parts, stream)
            try:
                await session.run()
            finally:
                if session.is_following:
                    self._failures = 0

    async def _note_failure(self, parts: Parts, exc: AristobotError) -> None:
        parts.panel.set_state(connected=False, coherent=False)
        if exc.error_code == RENEWAL:
            log.info("heartbeat.renewal", reason=exc.message)
            return
        self._failures += 1
        RECONNECTS.labels("heartbeat").inc()
        parts.panel.note_error(exc.message)
        if self._failures == 1 or self._failures % 20 == 0:
            log.warning("heartbeat.disconnected", error=exc.message, attempt=self._failures)
        kind = Kind.STALL if exc.error_code == STALLED else Kind.DISCONNECT
        await parts.incidents.begin_outage(kind, symbol=self._symbols[0], message=exc.message)

    def _pause_s(self, exc: AristobotError) -> float:
        """Return 1, 2, 4 … 30 s shortened by up to half; nothing for a renewal, little for PostgreSQL."""
        if exc.error_code == RENEWAL:
            return 0.0
        longest = LONGEST_PAUSE_S if isinstance(exc, ExchangeError) else LONGEST_LOCAL_PAUSE_S
        return min(longest, 2.0 ** (min(max(self._failures, 1), 10) - 1)) * (1 - self._jitter() / 2)
