"""Which combination a sweep plays next: every one of a grid, in order."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from apps.backtest.services.search_space import Space
from apps.backtest.sweep_windows import Window
from domain.strategies.params import Value

# (window, number) of a combination.
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Trial:
    """One combination in one window."""

    number: int
    window: Window
    params: dict[str, Value]

    @property
    def place(self) -> Place:
        return self.window.number, self.number


@dataclass(frozen=True, slots=True)
class Known:
    """What was played of a combination."""

    params: Mapping[str, Value]
    score: float | None


class Trials(Protocol):
    """Hands out the combinations that are still to be played."""

    async def take(self) -> Trial | None:
        """Return the next one, None when nothing is left."""
        ...

    async def ended(self, trial: Trial, score: float | None) -> None:
        """Tell how good one was; None when it failed or has no score."""
        ...


class GridTrials:
    """Every combination, window by window.

    Args:
        known: those that were played before an interruption.
    """

    def __init__(self, space: Space, windows: Iterable[Window], known: Mapping[Place, Known]) -> None:
        combinations = space.grid()
        every = (Trial(number, window, params) for window in windows for number, params in enumerate(combinations))
        self._left = deque(trial for trial in every if trial.place not in known)

    async def take(self) -> Trial | None:
        return self._left.popleft() if self._left else None

    async def ended(self, trial: Trial, score: float | None) -> None:
        """A grid does not care."""
