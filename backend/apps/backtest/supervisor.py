"""Terminal 3's keeper of the backtests: claims what waits, plays it, ends what its user no longer wants.

Everything that must survive is in the rows: a supervisor that dies leaves leases that run out, and whoever
comes next takes the rows back (`queue.take_back_orphans`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, Protocol
from uuid import uuid4

import structlog
from django.db import DatabaseError, InterfaceError

from apps.backtest import queue
from apps.backtest.announce import tell
from apps.backtest.models import Job
from apps.backtest.work import ClaimLost, Work
from apps.market_data.services.candle_history import Queries
from domain.errors import AristobotError, Unavailable
from domain.ports import Clock, Publisher

log = structlog.get_logger(__name__)

_LOOKS_EVERY_S = 1.0  # without being rung
MAX_AT_WORK = 5  # of each kind; one a user

# Plays a claimed row to its `done`.
Player = Callable[[Any, Work], Awaitable[None]]


class WakeUp(Protocol):
    """Wakes the supervisor when a row was committed for it."""

    async def wait(self, timeout_s: float) -> None: ...


class Supervisor:
    """Runs the queue until cancelled.

    Args:
        players: by kind of row.
        lease: how long a row stays its worker's without news.
    """

    def __init__(
        self,
        *,
        players: Mapping[type[Job], Player],
        wake_up: WakeUp,
        queries: Queries,
        publisher: Publisher,
        clock: Clock,
        lease: timedelta = queue.LEASE,
    ) -> None:
        self._players = players
        self._wake_up = wake_up
        self._queries = queries
        self._publisher = publisher
        self._clock = clock
        self._lease = lease
        self._name = uuid4().hex
        self._at_work: dict[queue.Claim, tuple[Work, asyncio.Task[None]]] = {}
        self._stopped: set[queue.Claim] = set()
        self._one_ended = asyncio.Event()

    async def run(self) -> None:
        """Look at the rows when rung, when a run ends, and every second."""
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    await self._look(group)
                except (DatabaseError, InterfaceError, Unavailable) as exc:
                    log.warning("backtests.database_unavailable", error=str(exc))
                await self._woken()

    async def _look(self, group: asyncio.TaskGroup) -> None:
        now = self._clock.now()
        progress = {claim: (work.phase, work.progress) for claim, (work, _) in self._at_work.items()}
        for claim in await self._queries.run(queue.renew, progress, now=now, lease=self._lease):
            self._stop(claim)
        for kind in self._players:
            for orphan in await self._queries.run(queue.take_back_orphans, kind, now=now):
                await tell(self._publisher, orphan)
            while sum(claim.kind is kind for claim in self._at_work) < MAX_AT_WORK:
                row = await self._queries.run(queue.claim, kind, self._name, now=now, lease=self._lease)
                if row is None:
                    break
                await self._start(group, row)

    async def _start(self, group: asyncio.TaskGroup, row: Job) -> None:
        work = Work(row, queries=self._queries, publisher=self._publisher, clock=self._clock)
        log.info("backtests.started", kind=type(row).__name__, id=row.pk, user_id=row.user_id, attempt=row.attempts)
        self._at_work[work.claim] = work, group.create_task(self._play(row, work), name=f"backtest.{row.pk}")
        await tell(self._publisher, row)

    def _stop(self, claim: queue.Claim) -> None:
        work, task = self._at_work.get(claim, (None, None))
        # A row that has just been written to its end is no longer renewed: that is no reason to stop.
        if work is not None and task is not None and not work.is_ending and claim not in self._stopped:
            self._stopped.add(claim)
            task.cancel()

    async def _play(self, row: Job, work: Work) -> None:
        """Play a row; whatever happens to it stays with it."""
        try:
            async with work.telling():
                await self._players[type(row)](row, work)
            log.info("backtests.done", kind=type(row).__name__, id=row.pk, seconds=work.seconds)
        except asyncio.CancelledError:
            await self._cancelled(work)
        except ClaimLost:
            log.info("backtests.left", kind=type(row).__name__, id=row.pk)
        except AristobotError as exc:
            log.info("backtests.failed", kind=type(row).__name__, id=row.pk, error=exc.message)
            await self._end(work, Job.Status.FAILED, error=exc.message, error_details=exc.details)
        except Exception:  # a run's boundary: the others and the bots go on
            log.exception("backtests.broken", kind=type(row).__name__, id=row.pk)
            await self._end(work, Job.Status.FAILED, error="Backtest interrompu par une erreur interne.")
        finally:
            self._at_work.pop(work.claim, None)
            self._stopped.discard(work.claim)
            self._one_ended.set()

    async def _cancelled(self, work: Work) -> None:
        if work.claim in self._stopped:  # its user wants no more of it
            await self._end(work, Job.Status.CANCELLED)
        else:  # this service stops: the next one starts it again at once
            await self._end(work, Job.Status.QUEUED, attempts=work.claim.attempt - 1)

    async def _end(self, work: Work, status: str, **columns: Any) -> None:
        over = status != Job.Status.QUEUED
        try:
            await work.write(
                status=status,
                lease_until=None,
                phase_progress=work.progress if over else 0.0,
                finished_at=self._clock.now() if over else None,
                **columns,
            )
        except ClaimLost:
            log.info("backtests.gone", kind=work.claim.kind.__name__, id=work.claim.pk)
        except (DatabaseError, InterfaceError, Unavailable) as exc:  # its lease runs out
            log.warning("backtests.end_not_written", id=work.claim.pk, status=status, error=str(exc))

    async def _woken(self) -> None:
        """Return when rung, when a run has ended, or after a second."""
        waits = {
            asyncio.create_task(self._wake_up.wait(_LOOKS_EVERY_S)),
            asyncio.create_task(self._one_ended.wait()),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        self._one_ended.clear()
