"""Exact numbers: integers of 1e-8 in the market, Decimal for money, Binance's 8-decimal text."""

from decimal import ROUND_DOWN, ROUND_UP, Decimal, InvalidOperation

SCALE = 100_000_000
ZERO = Decimal(0)
UNIT = Decimal("0.00000001")


def text8(value8: int) -> str:
    """Write an integer of 1e-8 units with eight decimals, as Binance does."""
    digits = f"{value8:09d}"
    return f"{digits[:-8]}.{digits[-8:]}"


def text16(value16: int) -> str:
    """Write an integer of 1e-16 units (price times quantity) with eight decimals, cut down."""
    return text8(value16 // SCALE)


def units8(text: str) -> int:
    """Read a decimal text as an integer of 1e-8 units.

    Raises:
        ValueError: the text is no number or has more than eight decimals.
    """
    try:
        scaled = Decimal(text) * SCALE
        whole = int(scaled)
    except (InvalidOperation, OverflowError) as error:
        raise ValueError(f"not a number: {text!r}") from error
    if whole != scaled:
        raise ValueError(f"more than eight decimals: {text!r}")
    return whole


def decimal8(value8: int) -> Decimal:
    """Turn an integer of 1e-8 units into a Decimal."""
    return Decimal(value8).scaleb(-8)


def to_units8(value: Decimal) -> int:
    """Turn a Decimal into 1e-8 units, cut down."""
    return int(value.scaleb(8))


def money(value: Decimal) -> str:
    """Write a Decimal with eight decimals, never with an exponent."""
    return format(value.quantize(UNIT, rounding=ROUND_DOWN), "f")


def floor8(value: Decimal) -> Decimal:
    """Round down to eight decimals."""
    return value.quantize(UNIT, rounding=ROUND_DOWN)


def ceil8(value: Decimal) -> Decimal:
    """Round up to eight decimals."""
    return value.quantize(UNIT, rounding=ROUND_UP)


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """Round down to a multiple of step."""
    return (value // step) * step
