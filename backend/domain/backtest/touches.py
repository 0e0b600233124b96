"""Finds the candle in which a protection was met, whatever the distance, by blocks of minima and maxima."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from domain.backtest.contract import CandleSeries, Foreseen

_BLOCK = 256
_SHORT = 64  # so few candles are looked through faster one by one


@dataclass(frozen=True, slots=True)
class Touched:
    """The first candle that met a protection, and which ones it met."""

    bar: int
    stop: bool
    target: bool


class TouchIndex:
    """Searches lows and highs. A stop is met when a low reaches it; a take profit when a high goes through it."""

    def __init__(self, candles: CandleSeries, foreseen: Foreseen | None = None) -> None:
        self._low, self._high = candles.low, candles.high
        self._lows, self._highs = floats(candles.low), floats(candles.high)
        self._block_low = _blocks(candles.low, np.minimum)
        self._block_high = _blocks(candles.high, np.maximum)
        self.rides = None if foreseen is None else Rides(candles, foreseen)

    def first(self, first: int, last: int, low: float, high: float) -> Touched | None:
        """Return the first candle in first..last (inclusive) that met a stop at `low` or a target at `high`.

        Infinite ones are never met.
        """
        rides = self.rides
        if rides is not None and rides.untouched(first, last, low, high):
            return None
        start = first
        if last - first < _SHORT:
            if min(self._lows[first : last + 1]) > low and max(self._highs[first : last + 1]) <= high:
                return None
            return self._scan(first, last + 1, low, high)
        while start <= last:
            end = min((start // _BLOCK + 1) * _BLOCK, last + 1)
            if start % _BLOCK == 0 and end - start == _BLOCK:
                start = self._skip_blocks(start, last, low, high)
                end = min(start + _BLOCK, last + 1)
            found = self._scan(start, end, low, high)
            if found is not None:
                return found
            start = end
        return None

    def _skip_blocks(self, start: int, last: int, low: float, high: float) -> int:
        """Return the start of the first whole block that may hold a touch, or of the remainder after them."""
        block, end = start // _BLOCK, (last + 1) // _BLOCK
        hits = (self._block_low[block:end] <= low) | (self._block_high[block:end] > high)
        offset = int(hits.argmax()) if hits.any() else end - block
        return (block + offset) * _BLOCK

    def _scan(self, start: int, end: int, low: float, high: float) -> Touched | None:
        stops, targets = self._low[start:end] <= low, self._high[start:end] > high
        either = stops | targets
        if not either.any():
            return None
        offset = int(either.argmax())
        return Touched(start + offset, bool(stops[offset]), bool(targets[offset]))


class Rides:
    """The lowest low and highest high of stretches known beforehand, found all at once.

    `number` is that of the stretch that begins at a bar, -1 where none does.
    """

    def __init__(self, candles: CandleSeries, foreseen: Foreseen) -> None:
        self.foreseen, first = foreseen, foreseen.first
        numbers: Any = np.full(len(candles), -1, dtype="int32")
        numbers[first] = np.arange(len(first), dtype="int32")
        self.number = memoryview(numbers)
        self._last = memoryview(np.ascontiguousarray(foreseen.last, dtype="int64"))
        edges = np.stack((first, foreseen.last + 1), axis=1).ravel()
        self.low: Any = np.minimum.reduceat(candles.low, edges)[::2] if len(edges) else edges
        self.high: Any = np.maximum.reduceat(candles.high, edges)[::2] if len(edges) else edges
        self._low, self._high = floats(self.low), floats(self.high)

    def untouched(self, first: int, last: int, low: float, high: float) -> bool:
        """Tell whether a stretch that begins there is known to have met neither a stop nor a target."""
        number = self.number[first]
        return number >= 0 and self._last[number] >= last and self._low[number] > low and self._high[number] <= high


def floats(values: Any) -> memoryview:
    """Return a view whose items are Python floats, quicker to read one by one than an array's."""
    return memoryview(np.ascontiguousarray(values, dtype="float64"))


def _blocks(values: Any, function: Any) -> Any:
    whole = len(values) // _BLOCK * _BLOCK
    return function.reduce(values[:whole].reshape(-1, _BLOCK), axis=1) if whole else values[:0]
