"""Does a request once: its effect and its reply are committed together.

The only writer of `terminal_replies`.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.db import IntegrityError, transaction
from django.utils.crypto import salted_hmac

from apps.trading_manual.models import TerminalReply
from domain.errors import AristobotError, Conflict

KEPT_FOR = timedelta(days=1)
_SALT = "trading_manual.client_order_id"


@dataclass(frozen=True, slots=True)
class Reply:
    """What the socket answers: `data` when ok, else an error's body."""

    ok: bool
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that does something, by the name its sender gave it."""

    user_id: int
    request_id: str
    digest: str

    @classmethod
    def of(cls, user_id: int, request_id: str, content: Mapping[str, Any]) -> "Asked":
        """Name a request by its id and by what it asks (its other fields as received)."""
        canonical = orjson.dumps(dict(content), option=orjson.OPT_SORT_KEYS)
        return cls(user_id, request_id, hashlib.sha256(canonical).hexdigest())


def client_order_id(user_id: int, name: str) -> str:
    """Return the id under which an order of that name is found again: 32 hex digits, the same for ever.

    Keyed with the instance's secret: nobody can take the id of another user's order before him.
    """
    return salted_hmac(_SALT, f"{user_id}:{name}", algorithm="sha256").hexdigest()[:32]


def known_reply(asked: Asked) -> Reply | None:
    """Return the reply given to that request, or None when it was never carried out.

    Raises:
        Conflict: the id was used for another request.
    """
    row = TerminalReply.objects.filter(user_id=asked.user_id, request_id=asked.request_id).first()
    if row is None:
        return None
    if row.digest != asked.digest:
        raise Conflict(
            f"Requête refusée : l'identifiant « {asked.request_id} » a déjà servi à une autre demande.",
            code="request_id_reused",
        )
    return Reply(row.ok, row.body)


def once(asked: Asked, act: Callable[[], Mapping[str, Any]], *, now: datetime) -> Reply:
    """Carry a request out, or return the reply it already got.

    Two that arrive together meet at the unique id: the second waits for the first's commit. An error of
    `act` is a reply like another, kept with what `act` committed of it (a refused order's row).
    """
    known = known_reply(asked)
    if known is not None:
        return known
    try:
        with transaction.atomic():
            row = TerminalReply.objects.create(
                user_id=asked.user_id, request_id=asked.request_id, digest=asked.digest
            )
            reply = _outcome(act)
            row.ok, row.body = reply.ok, dict(reply.body)
            row.save(update_fields=["ok", "body"])
            TerminalReply.objects.filter(user_id=asked.user_id, created_at__lt=now - KEPT_FOR).delete()
            return reply
    except IntegrityError:
        known = known_reply(asked)
        if known is None:
            raise
        return known


def _outcome(act: Callable[[], Mapping[str, Any]]) -> Reply:
    try:
        return Reply(True, act())
    except AristobotError as refusal:
        return Reply(False, refusal.as_dict())
