"""Writes what became of a call; with `settling`, the only writer of a call after its reception.

Each function takes part in the caller's transaction, in which the row is locked.
"""

from datetime import datetime

import structlog

from apps.core.adapters import secrets
from apps.core.tracing import webhook_trace
from apps.webhooks.models import Webhook
from domain.errors import AristobotError
from domain.webhooks.admission import Stale

log = structlog.get_logger(__name__)

_KEPT_BODY = 4096  # of a call that came to nothing: TradingView's own limit, and no way to fill the disk

# Refused before anybody read the text: the same text may still come by the right way.
AT_THE_DOOR = ("old_token", "revoked", "disabled", "wrong_address", "too_many", "too_long", "bad_secret")


SHORT_IS_EXIT = "« short » compris comme une sortie : ce compte est au comptant, rien n'y est vendu à découvert."


def executed(row: Webhook, *, reason: str, now: datetime) -> None:
    """Its orders are committed with it."""
    _settle(row, Webhook.Status.EXECUTED, code="", reason=_with_note(row, reason), now=now)


def nothing(row: Webhook, *, reason: str, now: datetime) -> None:
    """What it asked for was already so."""
    _settle(row, Webhook.Status.NOTHING, code="", reason=_with_note(row, reason), now=now)


def refuse(row: Webhook, refusal: AristobotError, *, now: datetime) -> None:
    """Refused, or too old, with the reason that its owner reads."""
    status = Webhook.Status.STALE if isinstance(refusal, Stale) else Webhook.Status.REFUSED
    _settle(row, status, code=refusal.error_code, reason=refusal.message, now=now)


def repeat(row: Webhook, first: Webhook, *, call_id: str, reason: str, now: datetime) -> None:
    """It came before."""
    row.duplicate_of, row.call_id = first, call_id
    row.symbol = first.symbol
    _settle(row, Webhook.Status.DUPLICATE, code="duplicate", reason=reason, now=now)


def abandon(source_id: int, *, reason: str, now: datetime) -> None:
    """Refuse what still waits of a source that goes away."""
    waiting = Webhook.objects.select_for_update(of=("self",)).filter(origin_id=source_id, processed=False)
    for row in waiting.order_by("id"):
        _settle(row, Webhook.Status.REFUSED, code="source_deleted", reason=reason, now=now)


def abandon_all(*, reason: str, now: datetime) -> int:
    """Refuse every call that waits, of whatever source; return how many."""
    waiting = list(Webhook.objects.select_for_update(of=("self",)).filter(processed=False).order_by("id"))
    for row in waiting:
        _settle(row, Webhook.Status.REFUSED, code="restored", reason=reason, now=now)
    return len(waiting)


def _settle(row: Webhook, status: str, *, code: str, reason: str, now: datetime) -> None:
    row.status, row.code, row.reason = str(status), code[:32], reason
    row.processed, row.processed_at, row.not_before = True, now, None
    row.body = _without_secret(row)
    if status != Webhook.Status.EXECUTED:
        row.body = row.body[:_KEPT_BODY]
    row.save()
    log.info(
        "webhooks.settled",
        user_id=row.user_id,
        trace_id=webhook_trace(row.id),
        webhook_id=row.id,
        source_id=row.origin_id,
        status=row.status,
        code=row.code,
    )


def _with_note(row: Webhook, reason: str) -> str:
    return f"{reason} {SHORT_IS_EXIT}" if row.payload.get("is_short") else reason


def _without_secret(row: Webhook) -> str:
    """Return the text of a call that nobody will read again for its secret."""
    token = "" if row.origin is None else row.origin.secret
    return row.body.replace(secrets.decrypt(token), "•••") if token else row.body
