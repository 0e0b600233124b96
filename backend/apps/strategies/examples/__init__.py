"""The library of worked examples. New accounts own the first one; the others are copied on demand."""

from apps.strategies.examples import bollinger, donchian, ema_cross, multi_timeframe, rsi, supertrend
from apps.strategies.examples.example import Example

EXAMPLES: tuple[Example, ...] = (
    ema_cross.EXAMPLE,
    rsi.EXAMPLE,
    bollinger.EXAMPLE,
    supertrend.EXAMPLE,
    donchian.EXAMPLE,
    multi_timeframe.EXAMPLE,
)
FIRST: tuple[Example, ...] = EXAMPLES[:1]

__all__ = ["EXAMPLES", "FIRST", "Example"]
