"""Numbers as French sentences write them."""

from datetime import UTC, datetime
from decimal import Decimal

_THIN_SPACE = "\u202f"  # unbreakable, between thousands
_MINUS = "\u2212"


def number(value: Decimal) -> str:
    """Write a number without an exponent or idle zeros: `43159.50` → « 43 159,5 »."""
    whole, _, decimals = f"{abs(value):f}".partition(".")
    decimals = decimals.rstrip("0")
    sign = _MINUS if value < 0 and (decimals or whole.strip("0")) else ""
    return f"{sign}{int(whole):,}".replace(",", _THIN_SPACE) + (f",{decimals}" if decimals else "")


def moment(at: datetime) -> str:
    """Write an aware moment as every page does: « 26.03.02_14:05 UTC »."""
    return f"{at.astimezone(UTC):%y.%m.%d_%H:%M} UTC"
