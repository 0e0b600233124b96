"""The open sessions of a user. A row beside each of Django's sessions says where it was opened and last seen;
it goes with its session, so that closing one is deleting the session."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session
from django.utils import timezone

from apps.accounts.models import User, UserSession
from apps.accounts.user_agents import browser_name
from domain.errors import InvalidInput, NotFound

log = structlog.get_logger(__name__)

_SEEN_EVERY = timedelta(minutes=1)
_MAX_USER_AGENT = 256


@dataclass(frozen=True, slots=True)
class Device:
    """An open session, as its user sees it. `id` is no key to it."""

    id: int
    browser: str
    address: str | None
    created_at: datetime
    last_seen_at: datetime
    is_current: bool


def note_seen(user: Any, session_key: str, *, address: str | None, user_agent: str, now: datetime) -> None:
    """Remember that the session is in use; at most one write per minute and session."""
    known = UserSession.objects.filter(session_id=session_key).values("user_id", "last_seen_at").first()
    facts = {"address": address, "user_agent": user_agent[:_MAX_USER_AGENT], "last_seen_at": now}
    if known is None:
        row = UserSession(session_id=session_key, user_id=user.pk, created_at=now, **facts)
        UserSession.objects.bulk_create([row], ignore_conflicts=True)
    elif now - known["last_seen_at"] >= _SEEN_EVERY or known["user_id"] != user.pk:
        UserSession.objects.filter(session_id=session_key).update(user_id=user.pk, **facts)


def open_devices(user: User, *, current_key: str | None) -> list[Device]:
    """Return the sessions that have not expired: this one first, then the last seen."""
    rows = UserSession.objects.filter(user=user, session__expire_date__gt=timezone.now()).order_by("-last_seen_at")
    devices = [
        Device(
            id=row.pk,
            browser=browser_name(row.user_agent),
            address=row.address,
            created_at=row.created_at,
            last_seen_at=row.last_seen_at,
            is_current=row.session_id == current_key,
        )
        for row in rows
    ]
    return sorted(devices, key=lambda device: not device.is_current)


def close(user: User, device_id: int, *, current_key: str | None) -> None:
    """End one session of the user; its sockets close at once.

    Raises:
        NotFound: none of that id, or another user's.
        InvalidInput: it is the one that asks.
    """
    row = UserSession.objects.filter(user=user, pk=device_id).first()
    if row is None:
        raise NotFound(f"Session {device_id} introuvable : elle est peut-être déjà fermée.")
    if row.session_id == current_key:
        raise InvalidInput("Cette session est la vôtre : la quitter par « Déconnexion ».", code="own_session")
    Session.objects.filter(pk=row.session_id).delete()
    log.info("session.closed", user_id=user.pk, device_id=device_id)


def close_others(user: User, *, keep_key: str | None) -> int:
    """End every session of the user but the one given; return how many."""
    noted = set(UserSession.objects.filter(user=user).values_list("session_id", flat=True))
    keys = (noted | _never_noted(user)) - {keep_key}
    Session.objects.filter(pk__in=keys).delete()
    if keys:
        log.info("session.others_closed", user_id=user.pk, count=len(keys))
    return len(keys)


def _never_noted(user: User) -> set[str]:
    """Sessions of the user whose use could not be written down (`note_seen`): looked for in what they hold."""
    unknown = Session.objects.filter(device=None, expire_date__gt=timezone.now())
    return {row.session_key for row in unknown if row.get_decoded().get(SESSION_KEY) == str(user.pk)}


def is_open(session_key: str) -> bool:
    """Return whether the session exists and has not expired."""
    return bool(Session.objects.filter(pk=session_key, expire_date__gt=timezone.now()).exists())
