"""The queue of runs and sweeps: PostgreSQL rows, moved on here only once they are claimed.

A row is claimed by a conditional update and a lease. Every later write names its claim (`claimed_by` and
`attempts`): a worker that lost it, by a pause longer than its lease, writes nothing any more. A lease that ran
out puts the row back into the queue, once; a second time it has failed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.expressions import RawSQL
from django.db.models.functions import Greatest

from apps.backtest.models import BacktestResult, BacktestSweep, Job

log = structlog.get_logger(__name__)

KINDS: tuple[type[Job], ...] = (BacktestResult, BacktestSweep)
LEASE = timedelta(seconds=15)
MAX_ATTEMPTS = 2
AT_WORK = (Job.Status.LOADING, Job.Status.RUNNING)
_HEAVY = {BacktestResult: ("trades_detail", "curves"), BacktestSweep: ()}


@dataclass(frozen=True, slots=True)
class Claim:
    """Who may write a row: this worker, at this attempt."""

    kind: type[Job]
    pk: int
    claimed_by: str
    attempt: int

    def rows(self) -> "QuerySet[Job]":
        return self.kind.objects.filter(
            pk=self.pk, claimed_by=self.claimed_by, attempts=self.attempt, status__in=AT_WORK
        )


def claim(kind: type[Job], worker: str, *, now: datetime, lease: timedelta = LEASE) -> Job | None:
    """Take the oldest waiting row of a user who has none at work, so that nobody waits for another's.

    Returns:
        The row with its status `loading`, None when nobody waits.
    """
    with transaction.atomic():
        busy = kind.objects.filter(status__in=AT_WORK).values("user_id")
        waiting = kind.objects.filter(status=Job.Status.QUEUED).exclude(user_id__in=busy).order_by("pk")
        row: Job | None = waiting.defer(*_HEAVY[kind]).select_for_update(skip_locked=True, of=("self",)).first()
        if row is None:
            return None
        claimed = kind.objects.filter(pk=row.pk, status=Job.Status.QUEUED).update(
            status=Job.Status.LOADING,
            phase_progress=0.0,
            claimed_by=worker,
            attempts=F("attempts") + 1,
            lease_until=now + lease,
            started_at=now,
        )
        if not claimed:
            return None
        row.refresh_from_db(fields=["status", "phase_progress", "claimed_by", "attempts", "started_at"])
    return row


def claim_of(row: Job) -> Claim:
    return Claim(type(row), row.pk, row.claimed_by, row.attempts)


def renew(claims: Mapping[Claim, tuple[str, float]], *, now: datetime, lease: timedelta = LEASE) -> set[Claim]:
    """Lengthen the leases and note each one's progress; return the claims that must stop.

    Those are the ones whose user asked for the end, whose row is gone, or that another worker has taken.

    Args:
        claims: with each one's phase and its share when this was asked for: a row that has gone on to the
            next phase meanwhile, or further, keeps what it says.
    """
    stopped = set()
    for each, (phase, share) in claims.items():
        going_on = each.rows().filter(cancel_requested=False)
        further = Case(When(status=phase, then=Greatest("phase_progress", Value(share))), default="phase_progress")
        if not going_on.update(lease_until=now + lease, phase_progress=further):
            stopped.add(each)
    return stopped


def write(claim: Claim, **columns: Any) -> Job | None:
    """Change a claimed row in one statement; return it as it is now, None when the claim is lost.

    Args:
        columns: by name; `trades_detail` as JSON text.
    """
    if "trades_detail" in columns:  # JSON already: thousands of objects are not made into Python's and back
        columns["trades_detail"] = RawSQL("%s::jsonb", [columns["trades_detail"]])
    if not claim.rows().update(**columns):
        log.warning("backtests.claim_lost", kind=claim.kind.__name__, id=claim.pk, attempt=claim.attempt)
        return None
    row: Job | None = claim.kind.objects.filter(pk=claim.pk).defer(*_HEAVY[claim.kind]).first()
    return row


def take_back_orphans(kind: type[Job], *, now: datetime) -> list[Job]:
    """Put rows whose worker died back into the queue, or end them; return those that changed."""
    changed = []
    with transaction.atomic():
        dead = kind.objects.filter(status__in=AT_WORK).filter(Q(lease_until__lt=now) | Q(lease_until=None))
        for row in dead.defer(*_HEAVY[kind]).select_for_update(skip_locked=True, of=("self",)):
            row.status, row.claimed_by, row.lease_until, row.phase_progress = Job.Status.QUEUED, "", None, 0.0
            if row.cancel_requested:
                row.status, row.finished_at = Job.Status.CANCELLED, now
            elif row.attempts >= MAX_ATTEMPTS:
                row.status, row.finished_at = Job.Status.FAILED, now
                row.error = (
                    f"Backtest interrompu : le moteur de trading (terminal 3) s'est arrêté {row.attempts} fois "
                    "pendant son calcul. Le relancer."
                )
            row.save(
                update_fields=[
                    *("status", "claimed_by", "lease_until", "phase_progress", "finished_at", "error"),
                ]
            )
            log.warning("backtests.taken_back", kind=kind.__name__, id=row.pk, status=row.status)
            changed.append(row)
    return changed
