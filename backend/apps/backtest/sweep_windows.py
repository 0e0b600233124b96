"""Which candles of a sweep rank its combinations, and which only show how they do on what they never saw."""

from dataclasses import dataclass

from domain.errors import InvalidInput

_FEWEST = 20  # candles of a part: fewer say nothing


@dataclass(frozen=True, slots=True)
class Part:
    """Candles low..high (exclusive) that decide."""

    low: int
    high: int

    def with_warm_up(self, window: int) -> tuple[tuple[int, int], int]:
        """Return (the candles to play, index among them of the first that decides)."""
        start = max(0, self.low - window)
        return (start, self.high), self.low - start


@dataclass(frozen=True, slots=True)
class Window:
    """One walk-forward step: the part that ranks, then the part that comes after it."""

    number: int
    in_sample: Part
    out_of_sample: Part


def windows_of(first: int, count: int, *, windows: int, ratio: float) -> list[Window]:
    """Cut the candles first..count into walk-forward windows of equal length.

    The parts out of sample follow each other without a gap up to the last candle; each window's part in
    sample is `ratio` of the window and lies before it. One window is a plain split.

    Raises:
        InvalidInput: a part would be shorter than `_FEWEST` candles.
    """
    shown = int((count - first) / (windows + ratio / (1 - ratio)))
    ranking = (count - first) - windows * shown
    if min(shown, ranking) < _FEWEST:
        raise InvalidInput(
            f"Balayage impossible : {count - first} bougies pour {windows} fenêtre(s), chacune de ses deux parties "
            f"en demande au moins {_FEWEST}.",
            code="too_few_candles",
        )
    cuts = [first + ranking + number * shown for number in range(windows)]
    return [Window(number, Part(cut - ranking, cut), Part(cut, cut + shown)) for number, cut in enumerate(cuts)]
