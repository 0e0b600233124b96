"""Sets a restored database right, in every room, before any process runs on it."""

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction

from apps.alerts.services import outbox
from apps.core.services import restorations
from apps.orders import restoring
from apps.trading_engine.services.restoring import hold_bots
from apps.webhooks.services import verdicts

_REASON = "Instance restaurée depuis une sauvegarde : appel reçu par l'ancienne instance, pas rejoué ici."
_NOT_SENT = "Abandonnée : instance restaurée depuis une sauvegarde."


@transaction.atomic
def mark_restored(facts: Mapping[str, str], *, now: datetime) -> Mapping[str, int]:
    """Put what was in flight aside and hold every user's bots back; return the counts.

    Args:
        facts: "taken_at" (ISO time of the backup) and "host" of its manifest.
    """
    orders = restoring.settle(now)
    settled = {
        "orders": orders.orders,
        "commands": orders.commands,
        "webhooks": verdicts.abandon_all(reason=_REASON, now=now),
        "alerts": outbox.abandon_pending(now, reason=_NOT_SENT),
    }
    taken_at = datetime.fromisoformat(facts["taken_at"])
    restorations.begin(hold_bots(), backup_taken_at=taken_at, host=facts["host"], settled=settled, now=now)
    return settled
