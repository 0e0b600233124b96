"""Averages that remember more candles than the window holds, as each window shows them.

`keep` parts of itself one candle before and `1 - keep` parts of a candles' column: an EMA or an RMA. On a
window it starts anew, from the mean of the window's first candles, and by the last one it has not always
forgotten that start. From there on both go through the same candles, so that at any bar

    window's value = whole series' value + keep^(candles since the start) × (window's start - whole's value there)

which serves all bars at once. Columns are recognised by their values, whoever computed them and however;
proof.py then compares them with what fresh instances hold, over whole windows.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from domain.backtest.contract import CandleSeries
from domain.backtest.literal import seen_at
from domain.backtest.snapshot import Key, Snapshot, take
from domain.backtest.source import Source
from domain.errors import StrategyError
from domain.strategies.evaluate import Asked

_ROUNDING = 1e-13  # of the largest value: what two ways to write the same step differ by
_PRICES = ("open", "high", "low", "close", "volume")
_FIRST_LOOK = 1_000  # candles: what is no such average is left after these
_STRETCHES = 4
_TIES_BACK = 3  # candles: what a crossing is told by
_ALTERED_BY = (10.0, 0.1)
_FORGOTTEN = 2e-5  # of a column's size, as proof.py counts a column as settled


class Windowed:
    """An average as the window that ends at each bar shows it.

    Args:
        values: on the whole series.
        source: what is averaged.
        start: how many candles of a window come before its first value, the mean of them and of its own.
        keep: what a value takes of the one before it.
    """

    def __init__(self, values: Any, source: Any, *, start: int, keep: float, window: int) -> None:
        import pandas as pd

        self.values, self.keep = values, keep
        self._start, self._window, self._count = start, window, len(values)
        # By how much the start of a bar's window is off the whole series; nothing where the window is the series.
        self._off: Any = np.zeros(self._count)
        mean = pd.Series(source).rolling(start + 1).mean().to_numpy()  # compensated: a plain running sum drifts
        begun = slice(start + 1, self._count - window + start + 1)
        self._off[window:] = mean[begun] - values[begun]

    def seen(self, back: int, first: int, last: int) -> Any:
        """Return for the bars first..last-1 what `.iloc[-back]` reads."""
        begin = first + 1 - back
        part = self.values[max(0, begin) : max(0, last + 1 - back)]
        missing = last - first - len(part)
        if missing:
            part = np.concatenate([np.full(missing, np.nan), part])
        since = self._window - back - self._start
        if since < 0:
            return np.where(np.arange(first, last) >= self._window - 1, np.nan, part)
        return part + self.keep**since * self._off[first:last]

    def window_at(self, bar: int) -> Any:
        """Return all values of the window that ends at a bar."""
        if bar < self._window:
            return self.values[max(0, bar + 1 - self._window) : bar + 1].copy()
        found: Any = self.values[bar + 1 - self._window : bar + 1].copy()
        found[: self._start] = np.nan
        found[self._start :] += self.keep ** np.arange(self._window - self._start) * self._off[bar]
        return found


def find(whole: Snapshot, keys: Iterable[Key], candles: CandleSeries, window: int) -> dict[Key, Windowed]:
    """Return those of the columns that are such averages of the candles."""
    found = {}
    asked = set(keys)
    for key, values in whole.columns.items():
        if key in asked and values.dtype == np.float64 and len(values) > window:
            with np.errstate(all="ignore"):
                average = _recognised(values, candles, window)
            if average is not None:
                found[key] = average
    return found


def _recognised(values: Any, candles: CandleSeries, window: int) -> Windowed | None:
    finite = np.isfinite(values)
    start = int(np.argmax(finite))
    if start >= window or not finite[start:].all():
        return None
    for source in _sources(candles):
        look = slice(start + _FIRST_LOOK)
        if _keep(values[look], source[look], start) is None:
            continue
        keep = _keep(values, source, start)
        if keep is not None and np.isfinite(source).all():
            return Windowed(values, source, start=start, keep=keep, window=window)
    return None


def _sources(candles: CandleSeries) -> Iterator[Any]:
    yield from (candles.close, candles.open, candles.high, candles.low, candles.volume)
    yield (candles.high + candles.low) / 2
    yield (candles.high + candles.low + candles.close) / 3
    yield (candles.open + candles.high + candles.low + candles.close) / 4


def _keep(values: Any, source: Any, start: int) -> float | None:
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
    return 1 - taken if abs(values[start] - source[: start + 1].mean()) <= 10 * close else None


def ties(whole: Snapshot, slack: Mapping[Key, float]) -> Any:
    """Return the bars where rounding could decide which of such an average and another column is larger."""
    count = whole.length
    found: Any = np.zeros(count, dtype=bool)
    for key, average in whole.windowed.items():
        for other, room in slack.items():
            column, beside = whole.columns[other], whole.windowed.get(other)
            if other == key or column.dtype.kind != "f":
                continue
            for back in range(1, _TIES_BACK + 1):
                there = column[: count + 1 - back] if beside is None else beside.seen(back, back - 1, count)
                gap = np.abs(average.seen(back, back - 1, count) - there)
                found[back - 1 :] |= gap <= slack[key] + room
    return found


def is_given(whole: Snapshot, key: Key, candles: CandleSeries) -> bool:
    """Tell whether a column is one of the candles' own."""
    values = whole.columns[key]
    return any(values is given or np.array_equal(values, given) for given in (getattr(candles, n) for n in _PRICES))


def remember(
    source: Source,
    candles: CandleSeries,
    keys: Sequence[Key],
    *,
    window: int,
    balance: float,
    seed: int,
    tick: Callable[[int], None],
) -> bool:
    """Tell whether one of the columns may know what came before the window.

    Such an average may live on in other columns: whether it is under the price, say, which is right at most
    bars and thus hard to see in a sample. So the past is changed, much more than it ever differs, and
    nothing may move in the windows that do not see the change, at hundreds of bars in a row.
    """
    length = 4 * window
    if not keys or len(candles) < length:
        return bool(keys)
    draw = random.Random(seed + 2)  # noqa: S311 — draws bars, not secrets
    for _ in range(_STRETCHES):
        begin = draw.randint(0, len(candles) - length)
        tick(begin)
        plain = _part(candles, begin, length)
        one = _instance(source, plain, balance)
        for factor in _ALTERED_BY:
            other = _instance(source, _with_other_past(plain, 2 * window, factor), balance)
            if one is None or other is None or any(_moves(one, other, key, 3 * window - 1) for key in keys):
                return True
    return False


def _moves(one: Snapshot, other: Snapshot, key: Key, first: int) -> bool:
    ours, theirs = one.columns.get(key), other.columns.get(key)
    if ours is None or theirs is None:
        return True
    if ours.dtype.kind not in "fiub" or theirs.dtype.kind not in "fiub":
        return not np.array_equal(ours[first:], theirs[first:])
    a, b = (values[first:].astype("float64") for values in (ours, theirs))
    if (np.isnan(a) != np.isnan(b)).any():
        return True
    known = np.isfinite(a)
    size = float(np.sqrt(np.mean(np.square(a[known])))) if known.any() else 0.0
    with np.errstate(invalid="ignore"):
        return bool(((np.abs(a - b) > _FORGOTTEN * size) & (a != b)).any())


def _instance(source: Source, candles: CandleSeries, balance: float) -> Snapshot | None:
    count = len(candles)
    try:
        seen = seen_at(candles, count - 1, count)
        asked = Asked(source.fresh(), seen, balance, None, source.params, code=source.code)
    except StrategyError:
        return None
    return take(asked.user, count)


def _part(candles: CandleSeries, begin: int, length: int) -> CandleSeries:
    part = {name: getattr(candles, name)[begin : begin + length] for name in ("open_time_ms", *_PRICES)}
    return replace(candles, **part)


def _with_other_past(candles: CandleSeries, until: int, factor: float) -> CandleSeries:
    part = {name: getattr(candles, name).copy() for name in _PRICES}
    for column in part.values():
        column[:until] *= factor
    return replace(candles, **part)
