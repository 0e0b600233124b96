"""What a strategy's `__init__` left on its instance, sorted by what the fast paths can do with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from domain.backtest.shown import Shown

# ("candles", "ema10") for a column of a DataFrame, ("rsi",) for a Series or array of its own.
Key = tuple[str, ...]

_PLAIN = (bool, int, float, str, type(None))
_MAX_DEPTH = 4


@dataclass(slots=True)
class Snapshot:
    """The attributes of one instance, made on `length` candles.

    Args:
        columns: values aligned with the candles, by key.
        holders: attribute -> the aligned DataFrame, Series or array itself.
        foreign: Series with an index of their own (another timeframe), by key.
        plain: numbers, texts and containers of them.
        opaque: attributes that cannot be compared.
        windowed: columns that each window shows otherwise than the whole series, with what shows them.
    """

    length: int
    columns: dict[Key, Any] = field(default_factory=dict)
    holders: dict[str, Any] = field(default_factory=dict)
    foreign: dict[Key, Any] = field(default_factory=dict)
    plain: dict[str, Any] = field(default_factory=dict)
    opaque: set[str] = field(default_factory=set)
    windowed: dict[Key, "Shown"] = field(default_factory=dict)

    def kinds(self) -> dict[str, str]:
        """Return attribute -> what it is, to tell whether two instances are built alike."""
        found = {key[0]: "foreign" for key in self.foreign}
        found |= dict.fromkeys(self.plain, "plain") | dict.fromkeys(self.opaque, "opaque")
        return found | dict.fromkeys(self.holders, "aligned")


def take(instance: Any, length: int) -> Snapshot:
    """Return what an instance holds, class attributes and slots excepted."""
    import pandas as pd

    found = Snapshot(length)
    for name, value in getattr(instance, "__dict__", {}).items():
        if isinstance(value, pd.DataFrame):
            _frame(found, name, value)
        elif isinstance(value, pd.Series):
            if _aligned(value, length):
                found.holders[name], found.columns[(name,)] = value, value.to_numpy()
            else:
                found.foreign[(name,)] = value
        elif isinstance(value, np.ndarray) and value.ndim == 1 and len(value) == length:
            found.holders[name], found.columns[(name,)] = value, value
        elif is_plain(value):
            found.plain[name] = value
        else:
            found.opaque.add(name)
    return found


def _frame(found: Snapshot, name: str, frame: Any) -> None:
    names = [column for column in frame.columns if isinstance(column, str)]
    once = [column for column in names if names.count(column) == 1]
    if not _aligned(frame, found.length):
        found.foreign.update({(name, column): frame[column] for column in once})
        return
    found.holders[name] = frame
    found.columns.update({(name, column): frame[column].to_numpy() for column in once})


def _aligned(value: Any, length: int) -> bool:
    return len(value) == length and bool(value.index.is_monotonic_increasing)


def is_plain(value: Any, depth: int = 0) -> bool:
    """Tell whether a value is made of numbers and texts only, so that two of them can be compared."""
    if type(value) in _PLAIN or isinstance(value, np.generic):
        return True
    if depth >= _MAX_DEPTH:
        return False
    if type(value) in (tuple, list, frozenset, set):
        return all(is_plain(each, depth + 1) for each in value)
    if type(value) is dict:
        return all(is_plain(each, depth + 1) for pair in value.items() for each in pair)
    return False


def same_plain(one: Any, other: Any) -> bool:
    """Tell whether two plain values are the same; undefined numbers are."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float | np.floating):
        return bool(one == other) or bool(one != one and other != other)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same_plain, one, other))
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(same_plain(one[key], other[key]) for key in one)
    return bool(one == other)


def name_of(key: Key) -> str:
    """Return a column's name as its author wrote it."""
    return key[-1] if key[0] == "candles" and len(key) > 1 else ".".join(key)


def numbers(values: Any) -> Any:
    """Return values as float64, what is no number as NaN."""
    array = np.asarray(values)
    if array.dtype.kind in "fiub":
        return array.astype("float64", copy=False)
    return np.array(
        [float(v) if isinstance(v, int | float | np.number) else np.nan for v in array], dtype="float64"
    )
