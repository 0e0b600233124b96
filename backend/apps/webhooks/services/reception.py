"""Keeps calls as they arrive. What is committed here is executed by terminal 3, whatever dies in between."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.db import IntegrityError
from django.db.models import Q

from apps.webhooks.models import Webhook, WebhookSource
from domain.webhooks.parse import MAX_BYTES, text_of

_COLUMNS = (
    "id",
    "user_id",
    "name",
    "rate_per_minute",
    "tradingview_only",
    "is_enabled",
    "token_hash",
    "revoked_at",
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
    named = Q(token_hash=token_hash) | Q(previous_token_hash=token_hash)
    found = WebhookSource.objects.filter(named).values(*_COLUMNS).first()
    if found is None:
        return None
    return Address(
        source_id=found["id"],
        user_id=found["user_id"],
        name=found["name"],
        rate_per_minute=found["rate_per_minute"],
        tradingview_only=found["tradingview_only"],
        obstacle=_obstacle(found, token_hash),
    )


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


def _obstacle(source: Mapping[str, Any], token_hash: str) -> tuple[str, str] | None:
    if source["token_hash"] != token_hash:
        return "old_token", "Ancienne adresse : le jeton de cette source a été changé depuis."
    if source["revoked_at"] is not None:
        return "revoked", "Adresse révoquée."
    if not source["is_enabled"]:
        return "disabled", "Source désactivée."
    return None


def _insert(address: Address, call: Arrival, **fields: object) -> Webhook:
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
    try:
        row.save(force_insert=True)  # one statement, committed by itself
    except IntegrityError:
        known: Webhook | None = Webhook.objects.filter(reference=call.reference).first()
        if known is None:
            raise
        return known
    return row
