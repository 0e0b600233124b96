"""Brings together the answers of one account's bots, so that one transaction commits all their decisions.

Nothing waits for company: what came while the account's previous transaction ran makes the next one. And no
bot's failure loses another's decision: what failed together is settled again one by one.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import structlog
from structlog.contextvars import bound_contextvars

from apps.trading_engine.database import Database, DatabaseDown
from apps.trading_engine.jobs import Job
from apps.trading_engine.models import BotDecision
from apps.trading_engine.settlement import Answer, settle_all
from domain.ports import Clock

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Waiting:
    job: Job
    answer: Answer
    row: "asyncio.Future[BotDecision | None]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Settler:
    """Commits answers, the accounts side by side.

    Args:
        max_age: see `settle_all`.
    """

    def __init__(self, *, database: Database, clock: Clock, max_age: timedelta) -> None:
        self._database = database
        self._clock = clock
        self._max_age = max_age
        self._waiting: defaultdict[int, list[_Waiting]] = defaultdict(list)
        self._working: dict[int, asyncio.Task[None]] = {}

    async def settle(self, job: Job, answer: Answer) -> BotDecision | None:
        """Return the committed decision, None when the lease was lost. Raises what the database raised."""
        waiting = _Waiting(job, answer)
        self._waiting[job.broker_id].append(waiting)
        if job.broker_id not in self._working:
            # The task starts in the next turn of the loop: answers of this one come along.
            self._working[job.broker_id] = asyncio.create_task(self._work(job.broker_id))
        return await waiting.row

    async def _work(self, broker_id: int) -> None:
        batch: list[_Waiting] = []
        try:
            with bound_contextvars(trace_id=""):  # not that of the bot whose answer began this work
                while batch := self._waiting.pop(broker_id, []):
                    await self._commit(batch)
        finally:
            del self._working[broker_id]
            for each in (*batch, *self._waiting.pop(broker_id, [])):
                each.row.cancel()  # only when this work was cancelled itself: nobody waits for ever

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        try:
            rows = await self._settle(batch)
        except DatabaseDown as exc:
            for each in batch:
                _fail(each, exc)
        except Exception as exc:  # noqa: BLE001 — boundary: the one who asked alone hears of it
            if len(batch) == 1:
                _fail(batch[0], exc)
                return
            log.warning("engine.settled_one_by_one", broker_id=batch[0].job.broker_id, reason=repr(exc))
            for each in batch:
                await self._commit([each])
        else:
            for each, row in zip(batch, rows, strict=True):
                if not each.row.done():
                    each.row.set_result(row)

    async def _settle(self, batch: Sequence[_Waiting]) -> list[BotDecision | None]:
        answered = [(each.job, each.answer) for each in batch]
        return await self._database.run(settle_all, answered, now=self._clock.now(), max_age=self._max_age)


def _fail(waiting: _Waiting, error: Exception) -> None:
    if not waiting.row.done():
        waiting.row.set_exception(error)
