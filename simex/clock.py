"""Two clocks: the wall clock serves the API, the market clock stamps trades, candles and fills."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

WallMs = Callable[[], int]


def wall_ms() -> int:
    """Return the wall time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@dataclass
class MarketClock:
    """The market's time: wall time times `speed`, or moved by hand (`step`), or free (`max`).

    Args:
        speed: a positive factor, or 0 for `step` and `max`.
        wall: the wall clock.
        now_ms: market time at start.
        ceiling: the market never overtakes the wall clock when True (the endless walk).
    """

    speed: float
    wall: WallMs
    now_ms: int
    ceiling: bool = False
    _anchor: tuple[int, int] | None = field(default=None)

    def start(self) -> None:
        """Let time flow from now on."""
        self._anchor = (self.wall(), self.now_ms)

    def target_ms(self) -> int:
        """Return where the market should be by the wall clock."""
        if self._anchor is None or not self.speed:
            return self.now_ms
        wall_then, market_then = self._anchor
        target = market_then + int((self.wall() - wall_then) * self.speed)
        return self.capped(max(target, self.now_ms))

    def capped(self, target_ms: int) -> int:
        """Keep a time from overtaking the wall clock when the market may not."""
        return max(self.now_ms, min(target_ms, self.wall())) if self.ceiling else target_ms
