"""What every peer's script shares: its candles, its clock, its answer. Standard library and numpy only.

A peer's script runs in an environment of its own: `python SCRIPT CANDLES.npz`, one line of JSON on its output.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

CASH = 10_000.0
SHARE = 0.1  # of the balance, each position
STOP, TARGET = 0.02, 0.04
FAST, SLOW = 10, 20
FEE = 0.001


@dataclass
class Candles:
    """One-minute candles as float arrays; `time_ms` are opening times."""

    time_ms: Any
    open: Any
    high: Any
    low: Any
    close: Any
    volume: Any

    def frame(self, names: tuple[str, ...] = ("open", "high", "low", "close", "volume")) -> Any:
        """Return a pandas DataFrame indexed by the opening time."""
        import pandas as pd

        columns = (self.open, self.high, self.low, self.close, self.volume)
        index = pd.DatetimeIndex(self.time_ms.view("datetime64[ms]"), name="date")
        return pd.DataFrame(dict(zip(names, columns, strict=True)), index=index)


def candles() -> Candles:
    """Return the candles of the file named on the command line."""
    with np.load(sys.argv[1]) as stored:
        return Candles(**{name: stored[name] for name in Candles.__dataclass_fields__})


def measure(function: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Run a function; return its result with its seconds by the clock and of this process's CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = function()
    return result, {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


def answer(**facts: Any) -> None:
    """Write what was found, with the most memory this process had."""
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({**facts, "peak_mb": peak_mb}) + "\n")
