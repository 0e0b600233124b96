"""Columns of long memory as each window shows them, for all bars at once.

A window's average starts anew, from the mean of the window's first candles, and by the last one it has not always
forgotten that start. From there on both go through the same candles, so that at any position of any window

    window's value = whole series' value + shape(position) × (window's start - whole's value there)

with one shape for all windows: powers of what the average keeps. An average of such an average has the shapes of
both; a difference those of its two sides; whatever else is computed from them is computed from what they show.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_NEAR = 1e-10  # of a column's size: nearer to each other, rounding could decide which of two is larger


class Shown(ABC):
    """A column; `values` are those on the whole series, `start` the first position of a window that has one."""

    values: Any
    start: int
    window: int

    @abstractmethod
    def seen(self, back: int, first: int, last: int) -> Any:
        """Return for the bars first..last-1 what `.iloc[-back]` reads."""

    @abstractmethod
    def window_at(self, bar: int) -> Any:
        """Return all values of the window that ends at a bar."""

    def doubt(self, back: int, first: int, last: int) -> Any:
        """Return where rounding could make another value of what `seen` returns; None = nowhere."""
        return None

    def window_doubt(self, bar: int) -> Any:
        """Return `doubt` for all positions of a window."""
        return None


@dataclass(frozen=True, slots=True)
class Term:
    """`shape` by position in the window, `off` by the bar at which the window ends."""

    shape: Any
    off: Any


class Line(Shown):
    """A column of candles, an average, or what is added and subtracted of them.

    Args:
        near_zero: under which size a value's sign is in doubt; 0 = it has no sign to speak of.
    """

    def __init__(
        self, values: Any, start: int, window: int, terms: Sequence[Term] = (), *, near_zero: float = 0.0
    ) -> None:
        self.values, self.start, self.window, self.terms = values, start, window, tuple(terms)
        self._near_zero = near_zero

    def seen(self, back: int, first: int, last: int) -> Any:
        begin = first + 1 - back
        part = self.values[max(0, begin) : max(0, last + 1 - back)]
        missing = last - first - len(part)
        if missing:
            part = np.concatenate([np.full(missing, np.nan), part])
        position = self.window - back
        if position < self.start:
            return np.where(np.arange(first, last) >= self.window - 1, np.nan, part)
        for term in self.terms:
            part = part + term.shape[position] * term.off[first:last]
        return part

    def window_at(self, bar: int) -> Any:
        first = max(0, bar + 1 - self.window)
        found: Any = self.values[first : bar + 1].copy()
        if bar >= self.window:
            found[: self.start] = np.nan
            for term in self.terms:
                found += term.shape * term.off[bar]
        return found

    def doubt(self, back: int, first: int, last: int) -> Any:
        return np.abs(self.seen(back, first, last)) <= self._near_zero if self._near_zero else None

    def window_doubt(self, bar: int) -> Any:
        return np.abs(self.window_at(bar)) <= self._near_zero if self._near_zero else None

    def minus(self, other: "Line", values: Any) -> "Line":
        """Return the difference of two, whose values are given."""
        terms = [*self.terms, *(Term(-term.shape, term.off) for term in other.terms)]
        room = _NEAR * size(self.values)
        return Line(values, max(self.start, other.start), self.window, terms, near_zero=room)

    def averaged(self, values: Any, *, start: int, keep: float) -> "Line":
        """Return the average of this one that keeps a part of itself at each candle and starts as a mean.

        Args:
            values: of that average on the whole series.
            start: the position of its first value: the mean of all that is defined up to there.
        """
        import pandas as pd

        count, window = len(values), self.window
        off: Any = np.zeros(count)  # nothing where the window is the series
        # Compensated sums: a plain running one drifts.
        mean = pd.Series(self.values).rolling(start + 1 - self.start).mean().to_numpy()
        begun = slice(start + 1, count - window + start + 1)
        off[window:] = mean[begun] - values[begun]
        own: Any = np.zeros(window)
        own[start:] = keep ** np.arange(window - start)
        terms = [Term(own, off)]
        for term in self.terms:
            terms.append(Term(_response(term.shape, self.start, start, keep), term.off))
        return Line(values, start, window, terms)


def _response(shape: Any, defined: int, start: int, keep: float) -> Any:
    """Return what an average makes of a shape, by position."""
    found: Any = np.zeros(len(shape))
    found[start] = shape[defined : start + 1].mean()
    for at in range(start + 1, len(shape)):
        found[at] = keep * found[at - 1] + (1 - keep) * shape[at]
    return found


class Weighted(Shown):
    """pandas' `ewm` with `adjust=True`: a mean of all the window's candles, each weighing `keep` of the next."""

    def __init__(self, values: Any, source: Any, start: int, window: int, keep: float) -> None:
        self.values, self.start, self.window, self._keep = values, start, window, keep
        self._sums: Any = values * weight(keep, np.arange(len(values)))  # of all candles up to there, weighed
        for at in range(start):  # `min_periods` hides them
            self._sums[at] = source[at] + (keep * self._sums[at - 1] if at else 0.0)

    def seen(self, back: int, first: int, last: int) -> Any:
        bars = np.arange(first, last)
        return self._at(bars + 1 - back, np.where(bars >= self.window, self.window - back, bars + 1 - back))

    def window_at(self, bar: int) -> Any:
        first = max(0, bar + 1 - self.window)
        at = np.arange(first, bar + 1)
        return self._at(at, at - first)

    def _at(self, at: Any, position: Any) -> Any:
        """Return values at bars, which are at these positions of their windows."""
        before = at - position - 1
        past = np.where(before >= 0, self._sums[np.maximum(before, 0)], 0.0)
        known = np.maximum(position, 0)
        found = (self._sums[np.maximum(at, 0)] - self._keep ** (known + 1.0) * past) / weight(self._keep, known)
        return np.where((position < self.start) | (at < 0), np.nan, found)


def weight(keep: float, position: Any) -> Any:
    """Return what the candles up to a position weigh together, the last one 1."""
    return (1 - keep ** (position + 1.0)) / (1 - keep)


class Derived(Shown):
    """What is computed of others, value by value.

    Args:
        function: of their values; of those of the candle before too where `looks_back`.
        unsure: the same, where rounding could change the answer.
    """

    def __init__(
        self,
        values: Any,
        parts: Sequence[Line],
        function: Callable[..., Any],
        unsure: Callable[..., Any],
        *,
        looks_back: bool = False,
    ) -> None:
        self.values, self._parts, self._function, self._unsure = values, parts, function, unsure
        self._backs = (0, 1) if looks_back else (0,)
        self.start, self.window = max(part.start for part in parts), parts[0].window

    def seen(self, back: int, first: int, last: int) -> Any:
        return self._apply(self._function, self._seen(back, first, last)).astype(self.values.dtype)

    def doubt(self, back: int, first: int, last: int) -> Any:
        return self._apply(self._unsure, self._seen(back, first, last))

    def window_at(self, bar: int) -> Any:
        return self._apply(self._function, self._windows(bar)).astype(self.values.dtype)

    def window_doubt(self, bar: int) -> Any:
        return self._apply(self._unsure, self._windows(bar))

    def _seen(self, back: int, first: int, last: int) -> list[Any]:
        return [part.seen(back + more, first, last) for more in self._backs for part in self._parts]

    def _windows(self, bar: int) -> list[Any]:
        windows = [part.window_at(bar) for part in self._parts]
        before = [np.concatenate([[np.nan], values[:-1]]) for values in windows]
        return [*windows, *before][: len(self._backs) * len(windows)]

    def _apply(self, function: Callable[..., Any], values: list[Any]) -> Any:
        with np.errstate(all="ignore"):
            return function(*values)


def size(values: Any) -> float:
    """Return how large a column's values are: the root of their mean square, of some thousands of them."""
    part = values[:: max(1, len(values) // 4096)]
    finite = part[np.isfinite(part)]
    return float(np.sqrt(np.mean(np.square(finite)))) if len(finite) else 0.0
