"""What the browser learns of its session, and the facts other rooms contribute to it."""

from typing import Any, Protocol

from django.conf import settings

from apps.accounts.models import User
from apps.accounts.selectors import assistant_is_on, chosen_model
from apps.accounts.services import debug_mode


class SessionFacts(Protocol):
    """What higher rooms know; joined in aristobot.wiring.web."""

    def mode(self, user: User) -> str:
        """Return simulation, testnet or real: what the user's default broker trades with."""
        ...

    def default_broker_id(self, user: User) -> int | None: ...

    def active_strategies(self) -> int:
        """Return how many bots are active over all users."""
        ...


def session_body(user: Any, facts: SessionFacts, *, awaits_code: bool = False) -> dict[str, Any]:
    """Return the body of GET /api/session/; `user` is null when nobody is signed in."""
    known: User | None = user if user.is_authenticated else None
    return {
        "user": None if known is None else _user_body(known, facts),
        "debug": {"allowed": debug_mode.is_allowed(), "active": debug_mode.is_active()},
        "mode": "simulation" if known is None else facts.mode(known),
        "prices": "real" if settings.SIMEX_REAL_PRICES else "simulated",
        "limits": {
            "max_users": settings.MAX_USERS,
            "users": User.objects.count(),
            "max_active_strategies": settings.MAX_ACTIVE_STRATEGIES,
            "active_strategies": facts.active_strategies() if known is not None else 0,
        },
        "assistant": _assistant_body(known),
        "awaits_code": awaits_code,
    }


def _user_body(user: User, facts: SessionFacts) -> dict[str, Any]:
    return {
        "id": user.pk,
        "username": user.username,
        "theme": user.theme,
        "display_timezone": user.display_timezone,
        "default_broker_id": facts.default_broker_id(user),
    }


def _assistant_body(user: User | None) -> dict[str, Any]:
    if user is None:
        return {"is_on": False, "provider": "", "model": ""}
    return {"is_on": assistant_is_on(user), "provider": user.ai_provider, "model": chosen_model(user)}
