"""The debug switch: signs in « dev » without a password, only where the server's `.env` allows it."""

from django.conf import settings

from apps.accounts.models import DebugMode, User
from domain.errors import NotFound

DEV_USERNAME = "dev"


def is_allowed() -> bool:
    return bool(settings.DEBUG_ARISTOBOT)


def is_active() -> bool:
    """True only where it is allowed: a stale row has no effect."""
    return is_allowed() and DebugMode.objects.filter(id=1, is_active=True).exists()


def set_active(active: bool) -> None:
    DebugMode.objects.update_or_create(id=1, defaults={"is_active": active})


def force_off_unless_allowed() -> None:
    """At the server's start: the row is put back to OFF when `.env` forbids the mode."""
    if not is_allowed():
        set_active(False)


def dev_user() -> User:
    """Raises NotFound when `init_aristobot` has not made it."""
    user: User | None = User.objects.filter(username=DEV_USERNAME, is_active=True).first()
    if user is None:
        raise NotFound(
            "Mode développement impossible : l'utilisateur « dev » n'existe pas. "
            "Lancer « ./aristobot manage init_aristobot ».",
            code="dev_user_missing",
        )
    return user
