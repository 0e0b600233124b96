"""What is asked of columns before they are read as each window shows them, and where that is no answer."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from domain.backtest.contract import CandleSeries
from domain.backtest.literal import seen_at
from domain.backtest.snapshot import Key, Snapshot, take
from domain.backtest.source import Source
from domain.errors import StrategyError
from domain.strategies.evaluate import Asked

_PRICES = ("open", "high", "low", "close", "volume")
_STRETCHES = 4
_TIES_BACK = 3  # candles: what a crossing is told by
_ALTERED_BY = (10.0, 0.1)
_FORGOTTEN = 2e-5  # of a column's size, as proof.py counts a column as settled


def ties(whole: Snapshot, slack: Mapping[Key, float]) -> Any:
    """Return the bars where rounding could decide which of such a column and another one is larger."""
    count = whole.length
    found: Any = np.zeros(count, dtype=bool)
    for key, shown in whole.windowed.items():
        for other, room in slack.items():
            column, beside = whole.columns[other], whole.windowed.get(other)
            if column.dtype.kind != "f" or shown.values.dtype.kind != "f":
                continue
            for back in range(1, _TIES_BACK + 1):
                if beside is None:
                    there = column[: count + 1 - back]
                else:  # itself: one candle before
                    there = beside.seen(back + (other == key), back - 1, count)
                gap = np.abs(shown.seen(back, back - 1, count) - there)
                found[back - 1 :] |= gap <= slack[key] + room
    return found


def doubts(whole: Snapshot) -> Any:
    """Return the bars where rounding could decide what one of these columns is; None = there is none."""
    found: Any = np.zeros(whole.length, dtype=bool)
    for shown in whole.windowed.values():
        for back in range(1, _TIES_BACK + 1):
            unsure = shown.doubt(back, back - 1, whole.length)
            if unsure is not None:
                found[back - 1 :] |= unsure
    return found if found.any() else None


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
