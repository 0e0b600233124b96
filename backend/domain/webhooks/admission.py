"""Whether a call that was read may be acted upon: its secret, its age, its market."""

import hmac
from collections.abc import Collection
from datetime import datetime, timedelta

from domain.webhooks.call import Call
from domain.webhooks.refusal import CallRefused

# A sender's clock may be a little ahead of ours.
MAX_AHEAD = timedelta(seconds=60)


class Forged(CallRefused):
    """The body does not hold the secret."""

    code = "bad_secret"


class Stale(CallRefused):
    """Too old to be acted upon."""

    code = "stale"


def check_secret(call: Call, secret: str) -> None:
    """Compare without telling by the time taken how much was right. Raises Forged."""
    if secret and not hmac.compare_digest(call.secret.encode(), secret.encode()):
        why = "il est faux" if call.secret else "il est absent"
        raise Forged(f"Secret du message refusé : {why}.")


def check_sent_at(call: Call, *, received_at: datetime, max_age: timedelta) -> None:
    """Raises Stale when the sender's own time is too far from that of reception."""
    if call.sent_at is None:
        return
    age = received_at - call.sent_at
    if age > max_age:
        raise Stale(
            f"Trop ancien : émis {_seconds(age)} avant d'être reçu, limite {_seconds(max_age)}. Pour « time », "
            "{{timenow}} donne l'heure de l'alerte, {{time}} celle de l'ouverture de la bougie."
        )
    if age < -MAX_AHEAD:
        raise Stale(f"Daté de {_seconds(-age)} après sa réception : horloge de l'émetteur fausse.")


def check_age(*, received_at: datetime, now: datetime, max_age: timedelta, waited_for: str = "") -> None:
    """Raises Stale when too long has passed since the call was received."""
    age = now - received_at
    if age > max_age:
        why = waited_for or "le moteur (terminal 3) n'a pas pu l'exécuter avant"
        raise Stale(f"Trop ancien : reçu il y a {_seconds(age)}, limite {_seconds(max_age)} ; {why}.")


def check_symbol(symbol: str, allowed: Collection[str]) -> None:
    """Raises CallRefused when the source names its markets and this is none of them."""
    if allowed and symbol not in allowed:
        raise CallRefused(
            f"Symbole {symbol} refusé : la source n'autorise que {', '.join(sorted(allowed))}.",
            code="symbol_not_allowed",
        )


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():.0f} s"
