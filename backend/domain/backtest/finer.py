"""Finer candles say which protection a larger candle met first."""

import numpy as np

from domain.backtest.contract import CandleSeries, HeldPosition, Touch


class FinerCandles:
    """The `Inside` of an engine: looks into the finer candles of one larger candle.

    Args:
        finer: of the same market, oldest first; they may cover a part only.
    """

    def __init__(self, candles: CandleSeries, finer: CandleSeries) -> None:
        self._candles, self._finer = candles, finer

    def __call__(self, bar: int, position: HeldPosition) -> Touch | None:
        """Return which came first; None when finer candles are missing before it, or one met both."""
        opened = int(self._candles.open_time_ms[bar])
        times, step_ms = self._finer.open_time_ms, self._finer.step_ms
        at = int(np.searchsorted(times, opened))
        expected = opened
        while expected < opened + self._candles.step_ms and at < len(times) and int(times[at]) == expected:
            stopped = position.stop_loss is not None and self._finer.low[at] <= float(position.stop_loss)
            reached = position.take_profit is not None and self._finer.high[at] > float(position.take_profit)
            if stopped or reached:
                return None if stopped and reached else Touch.STOP_FIRST if stopped else Touch.TARGET_FIRST
            at, expected = at + 1, expected + step_ms
        return None
