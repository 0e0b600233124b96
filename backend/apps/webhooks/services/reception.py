"""Keeps calls as they arrive. What is committed here is executed by terminal 3, whatever dies in between."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.db import connection

from apps.webhooks.models import Webhook, WebhookSource
from domain.webhooks.parse import MAX_BYTES, text_of

# Written by hand: the door pays for these two on every call, and the ORM costs more than PostgreSQL does.
_FIND = """
    SELECT id, user_id, name, rate_per_minute, tradingview_only, token_hash, revoked_at, is_enabled
    FROM webhook_sources WHERE token_hash = %(hash)s OR previous_token_hash = %(hash)s LIMIT 1
"""
_KEEP = """
    INSERT INTO webhooks (user_id, origin_id, source, reference, body, body_hash, payload, remote_address,
        processed, status, code, reason, call_id, symbol, action, is_test, created_at, processed_at)
    VALUES (%s, %s, %s, %s, %s, %s, '{}', %s, %s, %s, %s, %s, '', '', '', %s, %s, %s)
    ON CONFLICT (reference) DO NOTHING RETURNING id
"""
_KEPT = (
    *("user_id", "origin_id", "source", "reference", "body", "body_hash", "remote_address", "processed", "status"),
    *("code", "reason", "is_test", "created_at", "processed_at"),
)


@dataclass(frozen=True, slots=True)
class Address:
    """The source that an address leads to. `obstacle`: (code, French) why nobody may call it now."""

    source_id: int
    user_id: int
    name: str
    rate_per_minute: int
    tradingview_only: bool
    obstacle: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """One call at the door. `reference` is made there, so that keeping it twice is keeping it once."""

    body: bytes
    remote_address: str
    received_at: datetime
    reference: UUID


def arrival(body: bytes, *, remote_address: str, received_at: datetime) -> Arrival:
    """Return a call under a new reference."""
    return Arrival(body, remote_address, received_at, uuid4())


def find(token_hash: str) -> Address | None:
    """Return what an address leads to, also when it is no longer in use; None when it never was."""
    with connection.cursor() as cursor:
        cursor.execute(_FIND, {"hash": token_hash})
        found = cursor.fetchone()
    if found is None:
        return None
    source_id, user_id, name, rate_per_minute, tradingview_only, current_hash, revoked_at, is_enabled = found
    obstacle = None
    if current_hash != token_hash:
        obstacle = ("old_token", "Ancienne adresse : le jeton de cette source a été changé depuis.")
    elif revoked_at is not None:
        obstacle = ("revoked", "Adresse révoquée.")
    elif not is_enabled:
        obstacle = ("disabled", "Source désactivée.")
    return Address(source_id, user_id, name, rate_per_minute, tradingview_only, obstacle)


def address_of(source: WebhookSource) -> Address:
    """Return where a source's own address leads to."""
    return Address(
        source_id=source.id,
        user_id=source.user_id,
        name=source.name,
        rate_per_minute=source.rate_per_minute,
        tradingview_only=source.tradingview_only,
    )


def keep(address: Address, call: Arrival, *, is_test: bool = False) -> Webhook:
    """Commit a call that terminal 3 will look at."""
    return _insert(address, call, is_test=is_test)


def keep_refused(address: Address, call: Arrival, *, code: str, reason: str) -> Webhook:
    """Commit a call that was turned away at the door, for its owner to see."""
    return _insert(
        address,
        call,
        status=Webhook.Status.REFUSED,
        code=code,
        reason=reason,
        processed=True,
        processed_at=call.received_at,
    )


def _insert(address: Address, call: Arrival, **fields: Any) -> Webhook:
    """Commit a row by one statement; a reference that is there already is the same call."""
    row = Webhook(
        user_id=address.user_id,
        origin_id=address.source_id,
        source=address.name,
        reference=call.reference,
        body=text_of(call.body[:MAX_BYTES]),
        body_hash=hashlib.sha256(call.body).hexdigest(),
        remote_address=call.remote_address[:45],
        created_at=call.received_at,
        **fields,
    )
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, [getattr(row, name) for name in _KEPT])
        made = cursor.fetchone()
    row.id = made[0] if made else Webhook.objects.values_list("id", flat=True).get(reference=call.reference)
    return row
