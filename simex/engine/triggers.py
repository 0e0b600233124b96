"""When a stop or take-profit order wakes up."""

from decimal import Decimal

STOPS = ("STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")


def waits_for_rise(kind: str, side: str) -> bool:
    """Tell whether the order wakes when the price rises to its stop (it falls to it otherwise).

    A stop loss that buys and a take profit that sells wait above the market; the two others below.
    """
    return kind.startswith("STOP_LOSS") == (side == "BUY")


def is_reached(kind: str, side: str, stop_price: Decimal, price: Decimal) -> bool:
    """Tell whether a trade at a price wakes the order."""
    return price >= stop_price if waits_for_rise(kind, side) else price <= stop_price
