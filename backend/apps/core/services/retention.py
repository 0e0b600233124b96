"""Deletes what nobody looks at any more, a few rows at a time, and says what it deleted.

Invariant: nothing that is money is ever deleted here (orders, fills, positions), nor the candles of backtests.
Each room says by a `Rule` what of its own may go; `settings.RETENTION_DAYS` says after how long.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db.models import QuerySet

from apps.core.adapters.database import in_database
from apps.core.models import RetentionRun
from domain.errors import Unavailable
from domain.ports import Clock
from domain.retention import is_due

log = structlog.get_logger(__name__)

BATCH = 500
_LOOK_S = 600.0
_BREATH_S = 0.5  # between two batches: the traders come first
_RUNS_KEPT = 400


@dataclass(frozen=True)
class Rule:
    """What may go.

    Args:
        name: key of `settings.RETENTION_DAYS`.
        old: returns the rows that may go, given the moment before which they are old.
        forget: what is done to a batch; None deletes it.
    """

    name: str
    old: Callable[[datetime], "QuerySet[Any]"]
    forget: Callable[["QuerySet[Any]"], int] | None = None


class Retention:
    """Looks every ten minutes whether the time has come."""

    def __init__(self, rules: Sequence[Rule], *, clock: Clock) -> None:
        self._rules = rules
        self._clock = clock

    async def run(self) -> None:
        """Work until cancelled; a database that is away is asked again later."""
        while True:
            await self._clock.sleep(_LOOK_S)
            try:
                if is_due(self._clock.now(), await in_database(last_run, self._clock.now())):
                    await self.forget_all()
            except Unavailable as exc:
                log.warning("retention.postponed", reason=exc.message)

    async def forget_all(self) -> Mapping[str, int]:
        """Apply every rule once; return how many rows went, by rule."""
        began = self._clock.now()
        counts: dict[str, int] = {}
        for rule in self._rules:
            before = began - timedelta(days=settings.RETENTION_DAYS[rule.name])
            while count := await in_database(forget_batch, rule, before):
                counts[rule.name] = counts.get(rule.name, 0) + count
                await self._clock.sleep(_BREATH_S)
        await in_database(note_run, began, counts)
        log.info("retention.done", **counts)
        return counts


def forget_batch(rule: Rule, before: datetime) -> int:
    """Let the oldest rows of a rule go, `BATCH` at most; return how many."""
    found = rule.old(before)
    keys = list(found.order_by("pk").values_list("pk", flat=True)[:BATCH])
    if not keys:
        return 0
    batch = found.model._default_manager.filter(pk__in=keys)
    if rule.forget is None:
        batch.delete()
    else:
        rule.forget(batch)
    return len(keys)


def last_run(now: datetime) -> datetime:
    """Return when rows were last deleted; the first time asked counts as one."""
    last = RetentionRun.objects.order_by("-id").values_list("ran_at", flat=True).first()
    if last is None:
        RetentionRun.objects.create(ran_at=now)
        return now
    found: datetime = last
    return found


def note_run(ran_at: datetime, counts: Mapping[str, int]) -> None:
    """Keep what was deleted."""
    row = RetentionRun.objects.create(ran_at=ran_at, deleted=dict(counts))
    RetentionRun.objects.filter(id__lte=row.pk - _RUNS_KEPT).delete()
