"""The daily summary: when it is due in its user's zone, and its French sentences."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from domain.errors import InvalidInput
from domain.french import number

_SPAN = timedelta(hours=24)
_MOST_INCIDENTS = 5
_MODES = {"simulation": "Simulation", "testnet": "Testnet", "real": "Réel"}


@dataclass(frozen=True, slots=True)
class Due:
    """A summary to be made: of the 24 hours before `end`, named by its user's local day."""

    day: date
    end: datetime

    @property
    def begin(self) -> datetime:
        return self.end - _SPAN


@dataclass(frozen=True, slots=True)
class Result:
    """What was realised in one currency by the brokers of one mode (simulation, testnet, real)."""

    mode: str
    quote: str
    net: Decimal  # of the fees
    trades: int
    wins: int


@dataclass(frozen=True, slots=True)
class OpenPositions:
    """What is held in one currency. `unrealized`: None when a position has no price."""

    mode: str
    quote: str
    count: int
    unrealized: Decimal | None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a summary tells."""

    results: Sequence[Result] = ()
    positions: Sequence[OpenPositions] = ()
    orders: int = 0
    refused: int = 0
    incidents: Sequence[str] = ()
    active_bots: int = 0
    paused_bots: Sequence[str] = field(default_factory=tuple)


def checked_zone(name: str) -> str:
    """Raises InvalidInput: no such time zone."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise InvalidInput(f"Fuseau horaire « {name} » inconnu, attendu par exemple « Europe/Paris ».") from exc
    return name


def due_at(now: datetime, *, hour: int, zone: str) -> Due | None:
    """Return the summary that is due on the user's present day, None before its hour.

    An instance that was stopped at the hour makes it later that day; a day that ended without it has none.
    """
    local = now.astimezone(ZoneInfo(zone))
    end = local.replace(hour=hour, minute=0, second=0, microsecond=0)
    return Due(local.date(), end.astimezone(now.tzinfo)) if local >= end else None


def compose(due: Due, facts: Facts) -> str:
    """Return the summary as a text of a few lines."""
    lines = [f"Résumé du {due.day:%d/%m/%Y}, 24 heures jusqu'à {due.end:%H:%M} UTC."]
    lines += [_result(one) for one in facts.results] or ["Résultat : aucun trade clos."]
    refused = f", dont {facts.refused} refusé{_s(facts.refused)}" if facts.refused else ""
    lines.append(f"Ordres : {facts.orders}{refused}.")
    lines += [_positions(one) for one in facts.positions] or ["Positions ouvertes : aucune."]
    lines.append(f"Bots actifs : {facts.active_bots}.")
    lines += [f"En pause sur erreur : {name}." for name in facts.paused_bots]
    if not facts.incidents:
        return "\n".join([*lines, "Incidents : aucun."])
    lines.append(f"Incidents : {len(facts.incidents)}.")
    lines += [f"• {sentence}" for sentence in facts.incidents[:_MOST_INCIDENTS]]
    if len(facts.incidents) > _MOST_INCIDENTS:
        lines.append(f"… et {len(facts.incidents) - _MOST_INCIDENTS} autres, dans « Mon Compte ».")
    return "\n".join(lines)


def _result(one: Result) -> str:
    rate = f", {one.wins} gagnant{_s(one.wins)}"
    return (
        f"{_MODES[one.mode]} : {_signed(one.net)} {one.quote} net, {one.trades} trade{_s(one.trades)} clos{rate}."
    )


def _positions(one: OpenPositions) -> str:
    value = "" if one.unrealized is None else f", latent {_signed(one.unrealized)} {one.quote}"
    return f"Positions ouvertes ({_MODES[one.mode]}) : {one.count}{value}."


def _signed(value: Decimal) -> str:
    step = Decimal("0.01") if abs(value) >= 1 else Decimal("0.00000001")
    cents = value.quantize(step, rounding=ROUND_HALF_UP)
    return f"+{number(cents)}" if cents > 0 else number(cents)


def _s(count: int) -> str:
    return "s" if count > 1 else ""
