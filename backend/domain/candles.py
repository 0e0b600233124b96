"""Candles (OHLCV) and how they are built from trades."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from domain.timeframes import Timeframe


@dataclass(frozen=True, slots=True)
class Candle:
    """OHLCV of [open_time, close_time[, prices in quote, volume in base. `trade_count` 0 = flat candle."""

    symbol: str
    timeframe: Timeframe
    open_time: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trade_count: int | None = None  # None when the exchange does not say

    @property
    def close_time(self) -> datetime:
        """Exclusive end."""
        return self.open_time + self.timeframe.duration
