"""Alerts: which kinds there are, how an address looks to people, how several alerts become one message."""

import enum
import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from domain.errors import InvalidInput


class AlertKind(enum.StrEnum):
    """What an alert is about; a user may mute those of `MUTABLE_KINDS`."""

    ORDER = "order"
    BOT_PAUSED = "bot_paused"
    SERVICE = "service"
    SUMMARY = "summary"  # wanted or not by a setting of its own
    TEST = "test"


MUTABLE_KINDS = (AlertKind.ORDER, AlertKind.BOT_PAUSED, AlertKind.SERVICE)

# The same code about the same subject within this span is said once.
REPEAT_WINDOW = timedelta(minutes=10)
# At most one message per address in this span: what comes meanwhile goes together in the next one.
QUIET_SPAN = timedelta(seconds=30)
# An alert that could not be delivered for this long is no news any more.
ABANDON_AFTER = timedelta(hours=24)
_FIRST_BACK_OFF, _LONGEST_BACK_OFF = timedelta(seconds=30), timedelta(hours=1)

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]{0,31})://(\S{3,})", re.IGNORECASE)
# They notify on the server's own screen or log, where nobody looks.
_LOCAL_ONLY = {"syslog", "dbus", "qt", "glib", "gnome", "kde", "macosx", "windows", "file"}
_SERVICES = {
    "discord": "Discord",
    "form": "Webhook (formulaire)",
    "gotify": "Gotify",
    "json": "Webhook JSON",
    "mailto": "Courriel",
    "matrix": "Matrix",
    "mmost": "Mattermost",
    "ntfy": "ntfy",
    "pover": "Pushover",
    "signal": "Signal",
    "slack": "Slack",
    "tgram": "Telegram",
    "xml": "Webhook XML",
}
_SHOWN, _SHORTEST_SHOWN = 4, 12
_MAX_TOGETHER = 20


def checked_address(text: str) -> str:
    """Return an apprise address without blanks around it.

    Raises:
        InvalidInput: not `protocol://…`, or a protocol that reaches only the server itself. Whether apprise
            knows the protocol is told by the first test.
    """
    address = text.strip()
    match = _ADDRESS.fullmatch(address)
    if match is None or not address.isprintable():
        raise InvalidInput(
            "Adresse d'alerte refusée : attendu « protocole://… », par exemple discord://identifiant/jeton ou "
            "mailto://utilisateur:motdepasse@domaine.",
            code="alert_address_malformed",
        )
    if match[1].lower() in _LOCAL_ONLY:
        raise InvalidInput(
            f"Adresse d'alerte refusée : « {match[1]} » n'atteint que l'écran ou le journal du serveur.",
            code="alert_address_local",
        )
    return address


def service_of(address: str) -> str:
    """Return the name people know the service by."""
    scheme, _, rest = address.partition("://")
    if rest.lower().startswith(("discord.com/", "discordapp.com/")):
        return _SERVICES["discord"]
    name = scheme.lower()
    return _SERVICES.get(name) or _SERVICES.get(name.removesuffix("s")) or name


def masked(address: str) -> str:
    """Return the protocol and a few characters: enough to tell two addresses apart, not to use one."""
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{rest[:_SHOWN] if len(rest) >= _SHORTEST_SHOWN else ''}••••"


def back_off(failures: int) -> timedelta:
    """Return how long an address rests after that many failures in a row: 30 s, 1 min, 2 min … 1 h."""
    return min(_FIRST_BACK_OFF * (1 << min(max(failures, 1) - 1, 10)), _LONGEST_BACK_OFF)


def counted(sentence: str, count: int) -> str:
    """Return a sentence with how often it was to be said, when that is more than once."""
    return sentence if count <= 1 else f"{sentence} (×{count})"


def compose(alerts: Sequence[tuple[datetime, str]], *, title: str = "Aristobot : alerte") -> tuple[str, str]:
    """Return (title, body) of one message for alerts given as (UTC time, sentence), oldest first."""
    if len(alerts) == 1:
        moment, sentence = alerts[0]
        return title, f"{sentence}\n{moment:%Y-%m-%d %H:%M:%S} UTC"
    shown = [f"• {moment:%H:%M:%S} UTC : {sentence}" for moment, sentence in alerts[:_MAX_TOGETHER]]
    if len(alerts) > _MAX_TOGETHER:
        shown.append(f"… et {len(alerts) - _MAX_TOGETHER} autres, dans « Mon Compte ».")
    return f"Aristobot : {len(alerts)} alertes", "\n".join(shown)
