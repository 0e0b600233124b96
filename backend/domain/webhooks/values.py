"""The values of a call's fields: exact numbers, sizes, protections, times. Anything doubtful is refused."""

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from domain.webhooks.call import Level, Size, Unit
from domain.webhooks.refusal import CallRefused

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?")
_LIMIT = Decimal(10) ** 18
_MS_FROM = Decimal(10) ** 11  # a number of milliseconds; less is a number of seconds (until the year 5138)


def number(text: str, field: str) -> Decimal:
    """Return an exact number.

    Raises:
        CallRefused: not a number, with a comma (1,000 is one or a thousand), NaN, or beyond any order.
    """
    cleaned = text.strip().replace(" ", "").replace("\u202f", "").replace("\u00a0", "")
    if "," in cleaned:
        raise _bad(field, text, "la virgule est ambiguë, écrire un point décimal (1000.5)")
    if not _NUMBER.fullmatch(cleaned):
        raise _bad(field, text, "nombre attendu")
    try:
        value = Decimal(cleaned)
    except InvalidOperation as exc:
        raise _bad(field, text, "nombre attendu") from exc
    if abs(value) >= _LIMIT:
        raise _bad(field, text, "nombre démesuré")
    return value


def positive(text: str, field: str) -> Decimal:
    """Return a number above zero. Raises CallRefused."""
    value = number(text, field)
    if value <= 0:
        raise _bad(field, text, "nombre positif attendu")
    return value


def size(text: str, unit: Unit, *, may_be_zero: bool) -> Size:
    """Return a size; a sign % makes a share of it whatever the field. Raises CallRefused."""
    field = unit.value
    share = text.strip().endswith("%")
    value = number(text.strip().removesuffix("%"), field)
    kind = Unit.PERCENT if share else unit
    if value < 0 or (value == 0 and not may_be_zero):
        raise _bad(field, text, "nombre positif attendu")
    if kind is Unit.PERCENT and value > 100:
        raise _bad(field, text, "100 % au plus")
    return Size(value, kind)


def level(text: str, field: str) -> Level | None:
    """Return a protection; "0" means none, as strategies say it. Raises CallRefused."""
    share = text.strip().endswith("%")
    value = number(text.strip().removesuffix("%"), field)
    if value == 0:
        return None
    if value < 0:
        raise _bad(field, text, "distance ou prix positif attendu")
    if share and field == "stop_loss" and value >= 100:
        raise _bad(field, text, "un stop loss reste sous 100 %")
    return Level(value, share)


def moment(text: str) -> datetime:
    """Return an instant: ISO 8601 (UTC when it names no zone), or seconds or milliseconds since 1970.

    Raises:
        CallRefused: it is none of these.
    """
    cleaned = text.strip()
    try:
        if _NUMBER.fullmatch(cleaned):
            since = number(cleaned, "time")
            return datetime.fromtimestamp(float(since / 1000 if since >= _MS_FROM else since), UTC)
        found = datetime.fromisoformat(cleaned)
    except (ValueError, OverflowError, OSError) as exc:
        raise _bad("time", text, "date ISO 8601 attendue, telle que {{timenow}} la donne") from exc
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _bad(field: str, text: str, why: str) -> CallRefused:
    return CallRefused(f"Champ « {field} » refusé : « {text[:60]} », {why}.", code="bad_value")
