"""How credentials are stored: encrypted columns, by ccxt's names. Nothing here reaches a log or an answer."""

import json
from collections.abc import Mapping

from apps.brokers.models import Broker
from apps.core.adapters import secrets
from domain.errors import InvalidInput

# Every name ccxt knows as a credential: nothing else may reach a client's constructor.
NAMES = (
    "apiKey",
    "secret",
    "password",
    "uid",
    "accountId",
    "login",
    "privateKey",
    "walletAddress",
    "token",
    "twofa",
)
_COLUMNS = {"apiKey": "api_key", "secret": "api_secret", "password": "api_password"}
_HINT, _SHORTEST_HINTED = 4, 12


def encrypted(credentials: Mapping[str, str]) -> dict[str, str]:
    """Return the encrypted columns of a broker."""
    columns = {column: secrets.encrypt(credentials.get(name, "")) for name, column in _COLUMNS.items()}
    extra = {name: value for name, value in credentials.items() if name not in _COLUMNS and value}
    return {**columns, "api_extra": secrets.encrypt(json.dumps(extra)) if extra else ""}


def stored(broker: Broker) -> dict[str, str]:
    """Return the decrypted credentials of a broker by ccxt's names, only those that are there.

    Raises:
        SecretUnreadable: written under another SECRET_KEY.
    """
    named = {name: secrets.decrypt(getattr(broker, column)) for name, column in _COLUMNS.items()}
    extra: dict[str, str] = json.loads(secrets.decrypt(broker.api_extra) or "{}")
    return {name: value for name, value in {**named, **extra}.items() if value}


def hint(broker: Broker) -> str:
    """Return the last characters of the public part of the credentials, "" when it is short or unreadable."""
    try:
        known = stored(broker)
    except secrets.SecretUnreadable:
        return ""
    shown = known.get("apiKey") or known.get("walletAddress") or known.get("uid") or ""
    return shown[-_HINT:] if len(shown) >= _SHORTEST_HINTED else ""


def checked(credentials: Mapping[str, str], *, required: list[str], exchange_name: str) -> dict[str, str]:
    """Return the credentials without blanks around them, exactly those the exchange asks.

    Raises:
        InvalidInput: one is missing, or one is not asked by this exchange.
    """
    given = {name: value.strip() for name, value in credentials.items() if value.strip()}
    missing = [name for name in required if name not in given]
    unknown = [name for name in given if name not in required or name not in NAMES]
    if missing or unknown:
        parts = [
            f"manque {', '.join(missing)}" if missing else "",
            f"non demandé : {', '.join(unknown)}" if unknown else "",
        ]
        raise InvalidInput(
            f"Identifiants refusés : {exchange_name} demande {', '.join(required) or 'aucun identifiant'} "
            f"({' ; '.join(part for part in parts if part)}).",
            code="invalid_credentials",
            details={"required": required, "missing": missing, "unknown": unknown},
        )
    return given


def without_secrets(text: str, credentials: Mapping[str, str]) -> str:
    """Return `text` with every credential hidden: some exchanges repeat the key in their refusal."""
    for value in credentials.values():
        if len(value) >= _HINT:
            text = text.replace(value, "••••")
    return text
