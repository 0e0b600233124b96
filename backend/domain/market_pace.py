"""Relates the market's time to ours, whatever the market's speed: how long ago did that candle end?"""

import math
from bisect import bisect_left
from collections import deque

_KEPT = 2_000


class MarketPace:
    """Samples of (market time, monotonic time), from which the moment of a close is interpolated."""

    def __init__(self) -> None:
        self._market_ms: deque[int] = deque(maxlen=_KEPT)
        self._at_s: deque[float] = deque(maxlen=_KEPT)

    def note(self, market_ms: int, now_s: float) -> None:
        """Record that the market's clock showed `market_ms` at `now_s`; it never goes back."""
        if not self._market_ms or market_ms > self._market_ms[-1]:
            self._market_ms.append(market_ms)
            self._at_s.append(now_s)

    def age_s(self, market_ms: int, now_s: float) -> float:
        """Return how many seconds of ours ago the market passed a time; infinite when before the samples."""
        index = bisect_left(self._market_ms, market_ms)
        if index == len(self._market_ms):
            return 0.0
        if index == 0:
            return math.inf if self._market_ms[0] != market_ms else now_s - self._at_s[0]
        left, right = self._market_ms[index - 1], self._market_ms[index]
        share = (market_ms - left) / (right - left)
        passed_s = self._at_s[index - 1] + share * (self._at_s[index] - self._at_s[index - 1])
        return max(0.0, now_s - passed_s)
