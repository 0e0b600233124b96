"""The class every user strategy inherits from, with the signature the specification fixes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class StrategyPosition:
    """The open position as a strategy reads it (`self.position`); prices in quote, quantity in base."""

    side: str
    quantity: float
    entry_price: float
    entry_time: datetime
    stop_loss: float | None
    take_profit: float | None
    unrealized_pnl: float


class Strategy:
    """A decision at each close, from closed candles only.

    Args:
        candles: pandas DataFrame, oldest first, columns open, high, low, close, volume (floats), indexed by
            the opening time (UTC). It is the strategy's own copy.
        balance: free quote currency.
        position: None, or the open position.
    """

    params: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, candles: Any, balance: float, position: StrategyPosition | None = None) -> None:
        self.candles = candles
        self.balance = balance
        self.position = position

    def should_long(self) -> bool:
        """Whether to buy now."""
        return False

    def should_short(self) -> bool:
        """Whether to leave the long position (spot)."""
        return False

    def calculate_position_size(self) -> float:
        """Amount of quote currency to spend."""
        return 0.0

    def calculate_stop_loss(self) -> float:
        """Fraction of the entry price (0.02 = 2 %), 0.0 = none."""
        return 0.0

    def calculate_take_profit(self) -> float:
        """Fraction of the entry price (0.04 = 4 %), 0.0 = none."""
        return 0.0


METHODS = (
    "should_long",
    "should_short",
    "calculate_position_size",
    "calculate_stop_loss",
    "calculate_take_profit",
)
