"""Creates users, at most `settings.MAX_USERS` of them, whoever asks at the same time."""

from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import connection, transaction

from apps.accounts.models import User
from apps.accounts.signals import user_registered
from domain.errors import Conflict, InvalidInput, LimitReached

_LOCK_USERS = 4_201  # advisory lock: one registration at a time


def register(*, username: str, password: str) -> User:
    """Create a user and tell the other rooms once it is committed.

    Raises:
        InvalidInput: empty or unusable name, password refused by the validators.
        Conflict: the name is taken.
        LimitReached: the five places are taken.
    """
    name = username.strip()
    _check_name(name)
    _check_password(name, password)
    with transaction.atomic():
        _take_lock()
        if User.objects.count() >= settings.MAX_USERS:
            raise LimitReached(
                f"Création du compte « {name} » refusée : les {settings.MAX_USERS} places sont prises.",
                details={"max_users": settings.MAX_USERS},
            )
        if User.objects.filter(username__iexact=name).exists():
            raise Conflict(f"Création du compte refusée : le nom « {name} » est déjà pris.", code="name_taken")
        user: User = User.objects.create_user(username=name, password=password)
        transaction.on_commit(lambda: _announce(user))
    return user


def _take_lock() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK_USERS])


def _announce(user: User) -> None:
    """Tell the listeners; one that fails must not undo the account (each repairs itself at its start)."""
    user_registered.send_robust(sender=User, user=user)


def _check_name(name: str) -> None:
    try:
        User.username_validator(name)
    except ValidationError as exc:
        raise InvalidInput(
            f"Nom d'utilisateur « {name} » refusé : {' '.join(exc.messages)}", code="invalid_username"
        ) from exc
    if not 2 <= len(name) <= 32:
        raise InvalidInput(
            f"Nom d'utilisateur « {name} » refusé : {len(name)} caractères, attendu de 2 à 32.",
            code="invalid_username",
        )


def _check_password(name: str, password: str) -> None:
    check_password_strength(User(username=name), password)


def check_password_strength(user: Any, password: str) -> None:
    """Raises InvalidInput with the validators' own French sentences."""
    try:
        validate_password(password, user)
    except ValidationError as exc:
        raise InvalidInput("Mot de passe refusé : " + " ".join(exc.messages), code="weak_password") from exc
