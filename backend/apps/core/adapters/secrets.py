"""Encrypts credentials at rest and on the bus: Fernet, keys derived from SECRET_KEY, versioned.

`SECRET_KEY_FALLBACKS` still decrypt after a rotation; what is written always uses `SECRET_KEY`.
"""

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from domain.errors import AristobotError

TOKEN_PREFIX = "v1:"  # noqa: S105 — the version of a token
_CONTEXT = b"aristobot3 credentials v1"


class SecretUnreadable(AristobotError):
    """The token was written under another SECRET_KEY, or altered."""

    code = "secret_unreadable"


def encrypt(text: str) -> str:
    """Return the versioned token of `text`; an empty text stays empty (no credential)."""
    return f"{TOKEN_PREFIX}{_box().encrypt(text.encode()).decode()}" if text else ""


def decrypt(token: str) -> str:
    """Return the text of a token made by `encrypt`.

    Raises:
        SecretUnreadable: another version, another SECRET_KEY or an altered token.
    """
    if not token:
        return ""
    try:
        if not token.startswith(TOKEN_PREFIX):
            raise InvalidToken
        return _box().decrypt(token.removeprefix(TOKEN_PREFIX).encode()).decode()
    except InvalidToken as exc:
        raise SecretUnreadable(
            "Identifiants illisibles : ils ont été chiffrés avec une autre SECRET_KEY. Remettre l'ancienne clé "
            "dans SECRET_KEY_FALLBACKS ou les saisir à nouveau."
        ) from exc


def is_current(token: str) -> bool:
    """Return whether the token is of the present SECRET_KEY, not of a former one."""
    try:
        Fernet(_derive(settings.SECRET_KEY)).decrypt(token.removeprefix(TOKEN_PREFIX).encode())
    except InvalidToken:
        return False
    return token.startswith(TOKEN_PREFIX)


def _box() -> MultiFernet:
    return _box_of((settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


@lru_cache(maxsize=4)
def _box_of(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(_derive(key)) for key in keys])


def _derive(key: str) -> bytes:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_CONTEXT).derive(key.encode())
    return base64.urlsafe_b64encode(derived)
