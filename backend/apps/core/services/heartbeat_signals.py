"""Sends the signal of each closed candle once its row is committed, again if the send was lost.

Invariant: a row without `published_at` is sent until it is stamped; readers see a signal at least once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import structlog

from apps.core.models import CandleHeartbeat
from apps.core.services import heartbeat_store as store
from domain.errors import Unavailable
from domain.messages import Signal
from domain.ports import Clock
from domain.timeframes import Timeframe

log = structlog.get_logger(__name__)

LATE_AFTER_S = 5.0
PERIOD_S = 1.0


class SignalPublisher(Protocol):
    async def publish_all(self, signals: Sequence[Signal]) -> None:
        """Send in this order. Raises Unavailable."""
        ...


class SignalSender:
    """Publishes and stamps.

    Args:
        location: where this heartbeat runs, told in each signal.
    """

    def __init__(self, *, publisher: SignalPublisher, clock: Clock, source: str, location: str) -> None:
        self._publisher = publisher
        self._clock = clock
        self._source = source
        self._location = location
        self._lock = asyncio.Lock()
        self._has_backlog = True  # what a killed run left; known after the first look

    async def commit_and_send(
        self, commit: Callable[[], Awaitable[list[CandleHeartbeat]]]
    ) -> tuple[list[CandleHeartbeat], bool]:
        """Commit rows, then send their signals; nothing is resent in between, so that none is sent twice.

        Returns:
            The rows of `commit`, and False when their signals wait for Redis or PostgreSQL.

        Raises:
            Whatever `commit` raises: then nothing is sent.
        """
        async with self._lock:
            rows = await commit()
            waiting = [row for row in rows if row.is_signal and row.published_at is None]
            if not waiting:
                return rows, True
            try:
                if self._has_backlog:
                    await self._resend()  # older ones first; these rows are among them
                else:
                    await self._publish(waiting)
            except Unavailable as exc:
                self._note_lost(exc)
                return rows, False
        return rows, True

    async def run(self) -> None:
        """Every second, send again what is unstamped; until cancelled."""
        while True:
            try:
                async with self._lock:
                    await self._resend()
            except Unavailable as exc:
                self._note_lost(exc)
            await self._clock.sleep(PERIOD_S)

    async def _resend(self) -> None:
        while rows := await store.unsent(self._source):
            await self._publish(rows)
        self._has_backlog = False

    async def _publish(self, rows: Sequence[CandleHeartbeat]) -> None:
        signals = [self._signal(row) for row in rows]
        await self._publisher.publish_all(signals)
        for signal in signals:
            log.info("heartbeat.signal", signal_id=signal.signal_id, feed=signal.feed, late=signal.late)
        try:
            await store.stamp(rows, now=self._clock.now())
        except Unavailable:
            self._has_backlog = True
            raise

    def _signal(self, row: CandleHeartbeat) -> Signal:
        now = self._clock.now()
        waited_s = (now - row.dhm_reception).total_seconds()
        return Signal(
            timeframe=Timeframe(row.signal_type),
            close_time=row.dhm_candle,
            symbol=row.symbol,
            feed=row.feed,
            source=row.source,
            location=self._location,
            sent_at=now,
            late=row.is_late or waited_s > LATE_AFTER_S,
        )

    def _note_lost(self, exc: Unavailable) -> None:
        if not self._has_backlog:
            log.warning("heartbeat.signals_wait", error=exc.message)
        self._has_backlog = True
