"""The search for the first touched candle equals a plain loop, whatever the distance."""

from math import inf
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from domain.backtest.contract import CandleSeries
from domain.backtest.touches import Touched, TouchIndex

COUNT = 1500


def series(seed: int) -> CandleSeries:
    random = np.random.default_rng(seed)
    closes = 1000 + np.cumsum(random.normal(0, 1, COUNT))
    spread = np.abs(random.normal(0, 1, COUNT))
    times: Any = np.arange(COUNT, dtype="int64") * 60_000
    return CandleSeries(60_000, times, closes, closes + spread, closes - spread, closes, spread)


def by_hand(
    candles: CandleSeries, first: int, last: int, stop: float | None, target: float | None
) -> Touched | None:
    for bar in range(first, last + 1):
        stopped = stop is not None and candles.low[bar] <= stop
        reached = target is not None and candles.high[bar] > target
        if stopped or reached:
            return Touched(bar, stopped, reached)
    return None


@given(
    seed=st.integers(0, 20),
    first=st.integers(0, COUNT - 1),
    length=st.integers(0, COUNT),
    stop=st.none() | st.integers(900, 1010),
    target=st.none() | st.integers(990, 1100),
)
def test_first_touch_equals_a_plain_loop(
    seed: int, first: int, length: int, stop: int | None, target: int | None
) -> None:
    candles = series(seed)
    last = min(first + length, COUNT - 1)
    limits = (-inf if stop is None else stop, inf if target is None else target)
    assert TouchIndex(candles).first(first, last, *limits) == by_hand(candles, first, last, stop, target)
