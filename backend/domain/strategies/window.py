"""Candles as a strategy sees them, the same for the engine, the quick test, the backtest and the replay."""

from collections.abc import Sequence

from domain.candles import Candle
from domain.strategies.contract import CandleWindow
from domain.timeframes import to_ms


def candle_window(candles: Sequence[Candle]) -> CandleWindow:
    """Return closed candles, oldest first, as the columns of floats a strategy gets."""
    return CandleWindow(
        open_time_ms=[to_ms(candle.open_time) for candle in candles],
        open=[float(candle.open) for candle in candles],
        high=[float(candle.high) for candle in candles],
        low=[float(candle.low) for candle in candles],
        close=[float(candle.close) for candle in candles],
        volume=[float(candle.volume) for candle in candles],
    )
