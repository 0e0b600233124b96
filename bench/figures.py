"""What measures are summed up with: percentiles, ratios, and how they are shown."""

import json
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

Cell = str | float | int


@dataclass(frozen=True, slots=True)
class Spread:
    """A series in one line; values keep the series' unit."""

    count: int
    p50: float
    p99: float
    highest: float


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times the reference a series is, at its middle and at its slow end."""

    p50: float
    p99: float


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of the series does not exceed (nearest rank).

    Args:
        share: in ]0, 1].

    Raises:
        ValueError: an empty series, or a share out of range.
    """
    if not values:
        raise ValueError("no value to take a percentile of")
    if not 0 < share <= 1:
        raise ValueError(f"share {share}: expected in ]0, 1]")
    return sorted(values)[math.ceil(share * len(values)) - 1]


def spread(values: Sequence[float]) -> Spread:
    """Sum up a series. Raises ValueError when it is empty."""
    return Spread(len(values), percentile(values, 0.5), percentile(values, 0.99), max(values))


def ratio(measured: Spread, reference: Spread) -> Ratio:
    """Return measured / reference; infinite when the reference is zero."""
    return Ratio(_quotient(measured.p50, reference.p50), _quotient(measured.p99, reference.p99))


def table(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Lay out rows under a header: the first column on the left, figures on the right."""
    texts = [list(header), *([_text(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(header))]
    return "\n".join(_line(row, widths) for row in texts)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one bench found: numbers for a program, a text for a person."""

    name: str
    figures: dict[str, Any]
    text: str

    def write(self, *, as_json: bool) -> None:
        """Print it, with what the machine was doing meanwhile."""
        context = {"cpus": os.cpu_count(), "load_1min": round(os.getloadavg()[0], 2)}
        if as_json:
            body = {"name": self.name, "at": _now(), **context, "figures": self.figures}
            sys.stdout.write(json.dumps(body, ensure_ascii=False) + "\n")
            return
        machine = f"{context['cpus']} processeurs, charge {context['load_1min']}"
        sys.stdout.write(f"bench {self.name}, {_now()}, {machine}\n\n{self.text}\n")


def plain(figure: Spread | Ratio) -> dict[str, float]:
    """Return a figure as JSON wants it, rounded to what it can mean."""
    return {key: value if isinstance(value, int) else round(value, 3) for key, value in asdict(figure).items()}


def _quotient(measured: float, reference: float) -> float:
    return measured / reference if reference else math.inf


def _text(cell: Cell) -> str:
    if isinstance(cell, float):
        return f"{cell:.2f}" if cell < 100 else f"{cell:.0f}"
    return str(cell)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first = row[0].ljust(widths[0])
    return "  ".join([first, *(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
