"""Long series made short enough for a screen, without losing what an eye looks for.

A curve keeps the lowest and the highest value of each of its pieces, its first and its last value; candles
are merged. The same series gives the same points.
"""

from itertools import pairwise
from typing import Any

import numpy as np

from domain.backtest.contract import CandleSeries

CURVE_POINTS = 2_000


def kept_points(curve: Any, *, at_most: int = CURVE_POINTS) -> Any:
    """Return the ascending indices of the values to keep, at most `at_most` of them."""
    count = len(curve)
    if count <= at_most:
        return np.arange(count)
    edges = np.linspace(0, count, max(1, (at_most - 2) // 2) + 1).astype(np.int64)
    kept = {0, count - 1}
    for low, high in pairwise(edges.tolist()):
        piece = curve[low:high]
        kept.add(low + int(np.argmin(piece)))
        kept.add(low + int(np.argmax(piece)))
    return np.asarray(sorted(kept))


def thin_candles(series: CandleSeries, *, at_most: int) -> dict[str, Any]:
    """Return `candles`, rows of [open time in ms, open, high, low, close, volume], and their length `candle_ms`.

    Merged candles start at multiples of their length, so that those of two parts of a series fit together.
    """
    if not len(series):
        return {"candles": [], "candle_ms": series.step_ms}
    times = series.open_time_ms
    span = int(times[-1] - times[0]) // series.step_ms + 1
    length = series.step_ms * -(-span // at_most)  # rounded up
    opened = times // length * length
    first = np.flatnonzero(np.r_[True, opened[1:] != opened[:-1]])
    last = np.r_[first[1:], len(times)] - 1
    columns = (
        opened[first],
        series.open[first],
        np.maximum.reduceat(series.high, first),
        np.minimum.reduceat(series.low, first),
        series.close[last],
        np.add.reduceat(series.volume, first),
    )
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return {"candles": [list(row) for row in rows], "candle_ms": length}
