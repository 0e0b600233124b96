"""Proves that a strategy's indicators do not know the future.

A column is causal when its value at bar N is the same whatever comes after N. Two ways to see it:
- prefixes: `__init__` on the first m candles must give what it gives at these bars on all of them;
- altered futures: on one stretch, the candles after a bar are changed; what stands before must not move.
  This one sees what prefixes cannot, such as a `bfill` of an indicator's first values.
"""

import random
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from domain.backtest.contract import CandleSeries, ColumnDifference
from domain.backtest.literal import seen_at
from domain.backtest.snapshot import Key, Snapshot, name_of, numbers, same_plain, take
from domain.backtest.source import Source
from domain.errors import StrategyError
from domain.strategies.contract import PositionView
from domain.strategies.evaluate import Asked

SHORTEST = 113  # candles; under this many a bar is always played the exact way
_LONGEST = 5_000
_PREFIXES = 16
_STRETCH = 700
_ALTERED_AFTER = (3, 10, 30, 100, 300)
_CLOSE = 1e-9  # relative: what two orders of the same sums may differ by


@dataclass(frozen=True, slots=True)
class Causality:
    """What the prefixes showed.

    Args:
        differences: one for each column that is not causal, the first bar where it was seen.
        settled: from how many candles on `__init__` builds the same attributes as on all of them; None = never.
        state: French, why one instance cannot serve all bars; empty when it can.
        tried: how many prefixes and altered futures could be compared.
    """

    differences: tuple[ColumnDifference, ...]
    settled: int | None
    state: str
    tried: int


def check(source: Source, candles: CandleSeries, whole: Snapshot, *, balance: float, seed: int) -> Causality:
    """Compare the whole series' instance with those of its prefixes and of altered futures."""
    return _Check(source, candles, whole, balance, seed).result()


class _Check:
    def __init__(self, source: Source, candles: CandleSeries, whole: Snapshot, balance: float, seed: int) -> None:
        self._source, self._candles, self._whole, self._balance = source, candles, whole, balance
        self._random = random.Random(seed)  # noqa: S311 — draws bars, not secrets
        self._found: dict[Key, ColumnDifference] = {}
        self._settled: int | None = None
        self._state = ""
        self._tried = 0
        self._base: Snapshot | None = None  # of the stretch whose futures are altered

    def result(self) -> Causality:
        for length in self._lengths():
            self._prefix(length)
        self._altered_futures()
        self._balance_and_position()
        return Causality(tuple(self._found.values()), self._settled, self._state, self._tried)

    def _lengths(self) -> list[int]:
        count = len(self._candles)
        longest = min(_LONGEST, count - 1)
        if longest <= SHORTEST:
            return sorted({length for length in (count // 2, count * 3 // 4, count - 1) if length > 0})
        spaced = np.geomspace(SHORTEST, longest, _PREFIXES).astype(int).tolist()
        drawn = [self._random.randint(SHORTEST, longest) for _ in range(4)]
        return sorted({*spaced, *drawn})

    def _prefix(self, length: int) -> None:
        part = self._instance(self._candles, length)
        if part is None or part.kinds() != self._whole.kinds() or part.columns.keys() != self._whole.columns.keys():
            self._settled = None
            if part is None:
                return
        elif self._settled is None:
            self._settled = length
        self._tried += 1
        for key in part.columns.keys() & self._whole.columns.keys():
            self._note(key, self._whole.columns[key][:length], part.columns[key], 0)
        for key in part.foreign.keys() & self._whole.foreign.keys():
            self._foreign(key, part.foreign[key])
        self._plain(part)

    def _plain(self, part: Snapshot) -> None:
        """Note a number that depends on the last candle: honest, but one instance cannot serve all bars."""
        self._state = ""
        for name, value in part.plain.items():
            if name in ("balance", "position") or name not in self._whole.plain:
                continue
            if not same_plain(value, self._whole.plain[name]):
                self._state = f"« {name} » est calculé dans __init__ pour une seule bougie"
                self._settled = None

    def _foreign(self, key: Key, part: Any) -> None:
        """Compare a Series of another timeframe on the labels that both have."""
        whole = self._whole.foreign[key]
        if not (part.index.is_unique and whole.index.is_unique):
            return
        shared = part.index.intersection(whole.index)
        gap = _gaps(numbers(whole.loc[shared]), numbers(part.loc[shared]))
        if gap.any():
            at = int(np.flatnonzero(gap)[-1])
            label = shared[at]
            bar = (
                int(np.searchsorted(self._candles.open_time_ms, int(label.timestamp() * 1000)))
                if hasattr(label, "timestamp")
                else at
            )
            self._found.setdefault(key, self._difference(key, bar, whole.loc[label], part.loc[label]))

    def _altered_futures(self) -> None:
        """Compare one stretch with itself, its candles after some bar moved."""
        stretch = min(_STRETCH, len(self._candles))
        self._base = base = self._instance(self._candles, stretch)
        for after in _ALTERED_AFTER:
            if base is None or after >= stretch - 1:
                return
            other = self._instance(_with_other_future(self._candles, stretch, after), stretch)
            if other is None:
                continue
            self._tried += 1
            for key in base.columns.keys() & other.columns.keys():
                self._note(key, base.columns[key][: after + 1], other.columns[key][: after + 1], 0)

    def _balance_and_position(self) -> None:
        """Note what `__init__` computes from the balance or the position: these change at each bar."""
        length, one = min(_STRETCH, len(self._candles)), self._base
        other = self._instance(self._candles, length, balance=self._balance * 1.5 + 1, position=_POSITION)
        if one is None or other is None:
            return
        given = {"balance": self._balance * 1.5 + 1}
        for name, value in other.plain.items():
            before = one.plain.get(name)
            if name not in one.plain or not same_plain(before, value):
                if name == "position" or (name in given and value == given[name] and before == self._balance):
                    continue
                self._state = f"« {name} » dépend du solde ou de la position dans __init__"
        shared = one.columns.keys() & other.columns.keys()
        if one.columns.keys() != other.columns.keys() or any(
            _gaps(numbers(one.columns[key]), numbers(other.columns[key])).any() for key in shared
        ):
            self._state = "les indicateurs dépendent du solde ou de la position"

    def _instance(
        self,
        candles: CandleSeries,
        length: int,
        *,
        balance: float | None = None,
        position: PositionView | None = None,
    ) -> Snapshot | None:
        window = seen_at(candles, length - 1, length)
        given = self._balance if balance is None else balance
        try:
            asked = Asked(
                self._source.fresh(), window, given, position, self._source.params, code=self._source.code
            )
        except StrategyError:
            return None  # too few candles for its indicators: bars that short are played the exact way
        return take(asked.user, length)

    def _note(self, key: Key, whole: Any, part: Any, first: int) -> None:
        if key in self._found:
            return
        ours, theirs = numbers(whole), numbers(part)
        gap = _gaps(ours, theirs)
        if gap.any():
            at = int(np.flatnonzero(gap)[-1])
            self._found[key] = self._difference(key, first + at, ours[at], theirs[at])

    def _difference(self, key: Key, bar: int, whole: Any, seen: Any) -> ColumnDifference:
        return difference(key, min(bar, len(self._candles) - 1), self._candles, float(whole), float(seen))


_POSITION = PositionView("long", 1.0, 1.0, 1_577_836_800_000, 0.9, 1.1, 0.05)


def difference(key: Key, bar: int, candles: CandleSeries, whole: float, seen: float) -> ColumnDifference:
    """Return a difference as a report shows it."""
    ours, theirs = (None if not np.isfinite(value) else float(value) for value in (whole, seen))
    gap = None if ours is None or theirs is None else abs(ours - theirs) / (max(abs(ours), abs(theirs)) or 1.0)
    return ColumnDifference(name_of(key), bar, int(candles.open_time_ms[bar]), ours, theirs, gap)


def _gaps(ours: Any, theirs: Any) -> Any:
    """Return where two columns differ by more than the order of their sums explains."""
    with np.errstate(invalid="ignore", over="ignore"):
        far = np.abs(ours - theirs) > _CLOSE * np.maximum(np.abs(ours), np.abs(theirs)) + 1e-12 * _size(ours)
    return (far & (ours != theirs)) | (np.isnan(ours) != np.isnan(theirs))


def _size(values: Any) -> float:
    finite = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(np.square(finite)))) if len(finite) else 0.0


def _with_other_future(candles: CandleSeries, stretch: int, after: int) -> CandleSeries:
    """Return the first candles with those after a bar moved, each by another factor."""
    part = {name: getattr(candles, name)[:stretch].copy() for name in ("open", "high", "low", "close", "volume")}
    later = np.arange(stretch - after - 1)
    for column in part.values():
        column[after + 1 :] *= 1.07 + 0.03 * np.sin(later)
    return replace(candles, open_time_ms=candles.open_time_ms[:stretch], **part)
