"""What one run proved of a strategy, for the other runs of a sweep: same text, same candles, other parameters."""

from collections.abc import Mapping
from dataclasses import dataclass

from domain.backtest.contract import ColumnDifference, Hashes
from domain.backtest.snapshot import Key, Snapshot

# What `__init__` built: attributes with their kinds, and the columns. Other parameters may build others.
Shape = tuple[tuple[tuple[str, str], ...], tuple[Key, ...]]


@dataclass(frozen=True, slots=True)
class Certificate:
    """A whole proof: indicators that do not know the future, a window long enough, decisions that agree.

    Only a run whose proof went through has one. It stays in the process that made it.

    Args:
        shortest: from how many candles on the fast path answers.
        slack: column -> by how much its value may differ from what a live bot sees.
        windowed: columns of long memory, read as each window shows them; `too_short` those that made it necessary.
    """

    code: str  # this and the next two are the hashes of the run
    candles: str
    params: str
    window: int
    shape: Shape
    shortest: int
    slack: Mapping[Key, float]
    windowed: frozenset[Key]
    too_short: tuple[ColumnDifference, ...]

    def speaks_of(self, hashes: Hashes, window: int, whole: Snapshot) -> bool:
        """Tell whether it holds for a run of this text over these candles, its parameters left aside."""
        asked = (hashes.code, hashes.candles, window, shape_of(whole))
        return asked == (self.code, self.candles, self.window, self.shape)


def shape_of(whole: Snapshot) -> Shape:
    return tuple(sorted(whole.kinds().items())), tuple(sorted(whole.columns))
