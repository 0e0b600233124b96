"""Tells by their values what columns are: averages of candles, of other columns, and what is computed of these.

Nothing is believed of a name or of a text. A column is what a formula gives at each of its candles; proof.py then
compares the formula's windows with those of fresh instances, all of their positions.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from domain.backtest.contract import CandleSeries
from domain.backtest.shown import Derived, Line, Shown, Weighted, size, weight
from domain.backtest.snapshot import Key, Snapshot

_ROUNDING = 1e-13  # of the largest value: what two ways to write the same step differ by
_FIRST_LOOK = 1_000  # candles: what a formula does not give there is not that formula
_NEAR = 1e-10  # of a column's size: nearer to each other, rounding could decide which of two is larger
_NOTHING = 1e-4  # of the largest range of a ratio: where it is under that, rounding weighs too much
_MOST_PARTS = 24  # columns and candles of which pairs are tried


def find(whole: Snapshot, keys: Iterable[Key], candles: CandleSeries, window: int) -> dict[Key, Shown]:
    """Return those of the columns that are known by their values, and how each window shows them."""
    asked = set(keys)
    left = {
        key: values
        for key, values in whole.columns.items()
        if key in asked and values.dtype.kind in "fib" and len(values) > window
    }
    with np.errstate(all="ignore"):
        return _Search(candles, window).among(left)


class _Search:
    def __init__(self, candles: CandleSeries, window: int) -> None:
        self._window = window
        given = (candles.close, candles.open, candles.high, candles.low, candles.volume)
        self._given = [Line(values, 0, window) for values in given]
        means = (
            (candles.high + candles.low) / 2,
            (candles.high + candles.low + candles.close) / 3,
            (candles.open + candles.high + candles.low + candles.close) / 4,
        )
        self._gains, self._losses = (Line(values, 1, window) for values in _moves(candles.close))
        self._averaged = [
            *self._given, *(Line(values, 0, window) for values in means),
            Line(_true_range(candles), 1, window),
        ]  # fmt: skip

    def among(self, left: dict[Key, Any]) -> dict[Key, Shown]:
        """Look again as long as something is found: a column may be made of another one."""
        found: dict[Key, Shown] = {}
        while True:
            lines = [each for each in found.values() if isinstance(each, Line)]
            new = {key: shown for key, values in left.items() if (shown := self._known(values, lines)) is not None}
            if not new:
                return found
            found |= new
            left = {key: values for key, values in left.items() if key not in new}

    def _known(self, values: Any, lines: list[Line]) -> Shown | None:
        if values.dtype == np.float64:
            finite = np.isfinite(values)
            start = int(np.argmax(finite))
            if start < self._window and finite[start:].all():
                shown = self._average(values, start, lines) or self._strength(values, start)
                if shown is not None:
                    return shown
        return self._pair(values, lines)

    def _average(self, values: Any, start: int, lines: list[Line]) -> Shown | None:
        for source in [*self._averaged, *lines]:
            if start < source.start or not np.isfinite(source.values[source.start :]).all():
                continue
            keep = _kept(values, source, start)
            if keep is not None:
                return source.averaged(values, start=start, keep=keep)
        for source in self._averaged:
            keep = None if source.start else _weighing(values, source.values, start)
            if keep is not None:
                return Weighted(values, source.values, start, self._window, keep)
        return None

    def _strength(self, values: Any, start: int) -> Shown | None:
        """Look for an RSI: the share of gains in the averages of gains and of losses."""
        if start < 2:
            return None
        keep = 1 - 1 / start
        whole = [
            each.averaged(_smoothed(each, start, keep), start=start, keep=keep)
            for each in (self._gains, self._losses)
        ]
        gains, losses = (each.values for each in whole)
        if not _close(values[start:], 100 * gains[start:] / (gains + losses)[start:], 100.0):
            return None
        least = _NOTHING * float((gains + losses)[start:].max())

        def unsure(up: Any, down: Any) -> Any:
            return (up + down <= least) | (np.minimum(up, down) <= _NEAR * least)

        return Derived(values, whole, lambda up, down: 100 * up / (up + down), unsure)

    def _pair(self, values: Any, lines: list[Line]) -> Shown | None:
        parts = [*lines, *self._given][:_MOST_PARTS]
        for one in lines:
            for other in parts:
                for left, right in ((one, other), (other, one)):
                    shown = None if one is other else self._of_two(values, left, right)
                    if shown is not None:
                        return shown
        return None

    def _of_two(self, values: Any, left: Line, right: Line) -> Shown | None:
        a, b = left.values, right.values
        if values.dtype != np.float64:
            return self._compared(values, left, right)
        if all(_close(values[look], a[look] - b[look], size(a)) for look in _LOOKS):
            return left.minus(right, values)
        for formula in _RATIOS:
            if all(_close(values[look], formula(a[look], b[look]), 1.0) for look in _LOOKS):
                return Derived(values, [left, right], formula, _tied(_NEAR * size(a)))
        return None

    def _compared(self, values: Any, left: Line, right: Line) -> Shown | None:
        room = _NEAR * max(size(left.values), size(right.values))
        for looks_back, formula in _COMPARED:
            parts = [left.values, right.values]
            if looks_back:
                parts += [np.concatenate([[np.nan], part[:-1]]) for part in parts]
            if all(np.array_equal(values[look], formula(*(p[look] for p in parts))) for look in _LOOKS):
                return Derived(values, [left, right], formula, _tied(room), looks_back=looks_back)
        return None


_LOOKS = (slice(_FIRST_LOOK), slice(None))
_RATIOS: tuple[Callable[..., Any], ...] = (
    lambda x, y: x / y,
    lambda x, y: x / y - 1,
    lambda x, y: 100 * (x - y) / y,
)
_COMPARED: tuple[tuple[bool, Callable[..., Any]], ...] = (
    (False, lambda x, y: x > y),
    (False, lambda x, y: x >= y),
    (True, lambda x, y, x1, y1: (x > y) & (x1 <= y1)),
    (True, lambda x, y, x1, y1: (x > y) & (x1 < y1)),
    (True, lambda x, y, x1, y1: (x >= y) & (x1 < y1)),
)


def _tied(room: float) -> Callable[..., Any]:
    def unsure(*values: Any) -> Any:
        near = np.abs(values[0] - values[1]) <= room
        return near if len(values) == 2 else near | (np.abs(values[2] - values[3]) <= room)

    return unsure


def _kept(values: Any, source: Line, start: int) -> float | None:
    """Return what a column keeps of itself as the average of a line; its first candles deny most of them."""
    first, whole = ((values[look], source.values[look], start, source.start) for look in _LOOKS)
    return None if _keep(*first) is None else _keep(*whole)


def _keep(values: Any, source: Any, start: int, defined: int) -> float | None:
    """Return what a value keeps of the one before it, None if they are not made so."""
    before, after = values[start:-1], values[start + 1 :]
    pull = source[start + 1 :] - before
    if not len(pull):
        return None
    strongest = int(np.argmax(np.abs(pull)))
    taken = float((after[strongest] - before[strongest]) / pull[strongest])
    close = _ROUNDING * float(np.abs(values[start:]).max())
    if not 0 < taken < 1 or not float(np.abs(before + taken * pull - after).max()) <= close:
        return None
    return 1 - taken if abs(values[start] - source[defined : start + 1].mean()) <= 10 * close else None


def _weighing(values: Any, source: Any, start: int) -> float | None:
    """Return `keep` of pandas' `ewm` with `adjust=True`: or None."""
    for keep in _candidates(values, source, start):
        if all(_is_weighted(values[look], source[look], start, keep) for look in _LOOKS):
            return keep
    return None


def _candidates(values: Any, source: Any, start: int) -> tuple[float, ...]:
    """Return what may be kept, as the strongest step of the later half tells: a whole span first."""
    half = max(start, len(values) // 2)
    before, after = values[half:-1], values[half + 1 :]
    if not len(after):
        return ()
    strongest = int(np.argmax(np.abs(source[half + 1 :] - before)))
    step = float(before[strongest] - after[strongest])
    # One more candle weighs 1: after × weight = its value + before × (weight - 1).
    sought = 1 + float(after[strongest] - source[half + 1 + strongest]) / step if step else 0.0
    low, high = 0.0, 1 - 1e-6
    if not 1 < sought < weight(high, half + 1 + strongest):
        return ()
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if weight(middle, half + 1 + strongest) < sought else (low, middle)
    span, inverse = max(2, round(2 / (1 - low) - 1)), max(2, round(1 / (1 - low)))
    return 1 - 2 / (span + 1), 1 - 1 / inverse, low


def _is_weighted(values: Any, source: Any, start: int, keep: float) -> bool:
    if not 0 < keep < 1 or len(values) < start + 2:
        return False
    sums = values * weight(keep, np.arange(len(values)))
    made = (source[start + 1 :] + keep * sums[start:-1]) / weight(keep, np.arange(start + 1, len(values)))
    return _close(values[start + 1 :], made, float(np.abs(values[start:]).max()))


def _close(ours: Any, theirs: Any, scale: float) -> bool:
    """Tell whether two columns differ by rounding only, and are undefined at the same candles."""
    undefined = np.isnan(ours)
    if (undefined != np.isnan(theirs)).any() or undefined.all():
        return False
    gap = np.abs(ours - theirs)
    gap[undefined | (ours == theirs)] = 0.0
    return bool(gap.max() <= 50 * _ROUNDING * scale)


def _moves(close: Any) -> tuple[Any, Any]:
    """Return gains and losses of each candle, both positive, undefined at the first one."""
    moves = np.diff(close, prepend=np.nan)
    return np.maximum(moves, 0.0), np.maximum(-moves, 0.0)


def _true_range(candles: CandleSeries) -> Any:
    before = np.concatenate([[np.nan], candles.close[:-1]])
    return np.maximum(candles.high, before) - np.minimum(candles.low, before)


def _smoothed(source: Line, start: int, keep: float) -> Any:
    """Return the average of a line that starts as the mean of what is defined up to `start`."""
    import pandas as pd

    seeded = source.values.copy()
    seeded[start] = seeded[source.start : start + 1].mean()
    seeded[:start] = np.nan
    return pd.Series(seeded).ewm(alpha=1 - keep, adjust=False).mean().to_numpy()
