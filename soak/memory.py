"""Whether the terminals grow: their proportional memory through the run, life by life."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from bench.memory import rollup_of
from tests.system.instance import Instance

TERMINALS = ("web", "heartbeat", "trading_engine", "ccxt_service")
# A process that starts loads what it needs and fills its bounded caches: neither its first minute nor the first
# half of its life counts.
SETTLING_S = 60.0
_ENOUGH_S = 180.0  # of counted life, below which a slope says nothing
FLAT_MB_PER_DAY = 24.0  # of market time at the run's speed


@dataclass(frozen=True)
class Curve:
    """One terminal. `slope` in MB per day of market time, None when no life was long enough."""

    name: str
    first_mb: float
    last_mb: float
    highest_mb: float
    lives: int
    slope: float | None

    @property
    def is_flat(self) -> bool:
        """Whether it grows by less than what a day may cost."""
        return self.slope is None or self.slope < FLAT_MB_PER_DAY


class Scale:
    """Collects samples: (wall seconds, process, MB) of each terminal."""

    def __init__(self) -> None:
        self._samples: dict[str, list[tuple[float, int, float]]] = defaultdict(list)

    def weigh(self, instance: Instance, at_s: float) -> None:
        """Take one sample of each terminal that lives."""
        for name in TERMINALS:
            for pid in instance.pids(name):
                found = rollup_of(pid).get("Pss")
                if found:
                    self._samples[name].append((at_s, pid, found))

    def curves(self, *, speed: int) -> list[Curve]:
        """Return each terminal's curve."""
        return [_curve(name, self._samples[name], speed) for name in TERMINALS if self._samples[name]]


def _curve(name: str, samples: Sequence[tuple[float, int, float]], speed: int) -> Curve:
    lives: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for at_s, pid, weight in samples:
        lives[pid].append((at_s, weight))
    counted = [settled(life) for life in lives.values()]
    weights = [weight for _, _, weight in samples]
    per_s = slope(counted)
    per_day = None if per_s is None else per_s * 86_400 / speed
    return Curve(name, weights[0], weights[-1], max(weights), len(lives), per_day)


def settled(life: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the part of a life that says whether it grows."""
    born, died = life[0][0], life[-1][0]
    return [each for each in life if each[0] >= max(born + SETTLING_S, (born + died) / 2)]


def slope(lives: Sequence[Sequence[tuple[float, float]]]) -> float | None:
    """Return the slope that several lives have in common, in MB per second; None when they are too short.

    The median of the slopes between any two moments of a life, each weighing as the time between them (Theil
    and Sen): neither a step that is made once nor a moment's peak passes for growth, and neither hides it.
    """
    between = [
        ((later - earlier) / (then - at), then - at)
        for life in lives
        for (at, earlier), (then, later) in combinations(life, 2)
    ]
    if sum(life[-1][0] - life[0][0] for life in lives if life) < _ENOUGH_S:
        return None
    between.sort()
    half, passed = sum(weight for _, weight in between) / 2, 0.0
    for found, weight in between:
        passed += weight
        if passed >= half:
            return found
    return None
