"""The only writer of restorations: begun by the restoring command, reported on by terminal 5, ended by the user."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.core.models import Restoration
from domain.errors import Conflict, NotFound


def begin(
    bots: Mapping[int, Sequence[int]],
    *,
    backup_taken_at: datetime,
    host: str,
    settled: Mapping[str, int],
    now: datetime,
) -> None:
    """Hold every user back until he confirms.

    Args:
        bots: by user, the bots that were on.
        settled: how much was in flight in the backup, by kind.
    """
    Restoration.objects.filter(confirmed_at=None).update(confirmed_at=now)  # of a backup of a restored instance
    Restoration.objects.bulk_create(
        Restoration(
            user_id=user_id,
            backup_taken_at=backup_taken_at,
            host=host[:255],
            restored_at=now,
            bots=list(ids),
            settled=dict(settled),
        )
        for user_id, ids in bots.items()
    )


def note_report(restoration_id: int, report: Mapping[str, Any], *, now: datetime) -> None:
    """Keep what the exchanges say, until the user confirms."""
    waiting = Restoration.objects.filter(id=restoration_id, confirmed_at=None)
    waiting.update(report=dict(report), reconciled_at=now)


def confirm(user_id: int, *, now: datetime) -> Restoration:
    """Let the instance act for this user again; takes part in the caller's transaction.

    Raises:
        NotFound: nothing waits for him.
        Conflict: his exchanges have not been asked yet.
    """
    with transaction.atomic():
        rows = Restoration.objects.select_for_update().filter(user_id=user_id, confirmed_at=None)
        row: Restoration | None = rows.order_by("-id").first()
        if row is None:
            raise NotFound("Aucune restauration n'attend votre confirmation.")
        if row.reconciled_at is None:
            raise Conflict(
                "Reprise refusée : vos exchanges n'ont pas encore dit ce qui s'y est passé depuis la sauvegarde.",
                code="not_reconciled",
            )
        row.confirmed_at = now
        row.save(update_fields=["confirmed_at"])
    return row
