"""Candles made by formula, to try a strategy on: trends, quiet stretches and crossings, always the same."""

import math

from domain.strategies.contract import CandleWindow

_START_MS = 1_577_836_800_000  # 2020-01-01T00:00Z
_MINUTE_MS = 60_000


def sample_window(count: int) -> CandleWindow:
    """Return `count` one-minute candles around 100, moving by two sines of unrelated periods."""
    closes = [100 + 8 * math.sin(i / 17) + 3 * math.sin(i / 5.3) for i in range(-1, count)]
    opens, closes = closes[:-1], closes[1:]
    wicks = [0.2 + 0.1 * (i % 7) for i in range(count)]
    return CandleWindow(
        open_time_ms=[_START_MS + i * _MINUTE_MS for i in range(count)],
        open=opens,
        high=[max(pair) + wick for pair, wick in zip(zip(opens, closes, strict=True), wicks, strict=True)],
        low=[min(pair) - wick for pair, wick in zip(zip(opens, closes, strict=True), wicks, strict=True)],
        close=closes,
        volume=[10.0 + i % 13 for i in range(count)],
    )
