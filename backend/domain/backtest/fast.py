"""The quick ways to a strategy's decisions, on indicators computed once over all candles.

Signals come for all bars at once where the method allows it (vectors.py), else bar by bar on a view
(views.py). What neither can answer for a bar is asked the exact way, so every answer is right as long as the
indicators are causal and settle within the window; causality.py and proof.py see to that.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from domain.backtest import vectors, windowed
from domain.backtest.contract import CandleSeries, EntryTerms, FixedTerms, Foreseen, HeldPosition
from domain.backtest.fixed import is_fixed
from domain.backtest.lanes import Context
from domain.backtest.literal import LiteralDecisions
from domain.backtest.snapshot import Key, Snapshot
from domain.backtest.source import CannotFollow, Methods
from domain.backtest.views import View
from domain.strategies.base import METHODS
from domain.strategies.evaluate import Asker

_YES = vectors.YES
_BLOCK = 32_768
_LONGEST_RIDE = 256  # bars; what is longer is searched when it is met
_MOST_RIDDEN = 4  # times the series
_TICK_EVERY = 1024


class FastDecisions:
    """`Decisions` of a strategy whose indicators were computed once.

    Args:
        shortest: bars that see fewer candles are asked the exact way.
        slack: by how much a column may differ between the whole series and a window.
        tick: called with a bar now and then; may raise to stop the run.
    """

    def __init__(
        self,
        methods: Methods,
        snapshot: Snapshot,
        candles: CandleSeries,
        literal: LiteralDecisions,
        *,
        window: int,
        first_bar: int,
        shortest: int,
        slack: dict[Key, float],
        code: str,
        tick: Callable[[int], None],
    ) -> None:
        self._literal, self._tick, self._count = literal, tick, len(candles)
        self.first = max(first_bar, shortest - 1)  # the first bar that is not asked the exact way
        self._view = View(methods, snapshot, candles, window=window, shortest=shortest)
        self._asker = Asker(code, window)
        self._size, self._stop, self._target = (self._view.method(name) for name in METHODS[2:])
        self._fixed = self._fixed_terms(methods, snapshot)
        self.slow_reason = ""
        self._signals: dict[str, _Signals | None] = {}
        for name, held in (("should_long", False), ("should_short", True)):
            context = Context(methods, snapshot, slack, window, held)
            self._signals[name] = self._vector(name, context, shortest)
        with np.errstate(invalid="ignore"):
            self._doubted: Any = windowed.doubts(snapshot) if snapshot.windowed else None
            tied = snapshot.windowed and not self.vectorised and windowed.ties(snapshot, slack)
        if self._doubted is not None:
            tied = tied | self._doubted
        self._tied: Any = tied if np.any(tied) else None  # bars that a view may not answer for
        self._entries, self._exits = self._signals["should_long"], self._signals["should_short"]

    @property
    def vectorised(self) -> bool:
        return all(each is not None for each in self._signals.values())

    def next_entry(self, first: int, last: int, balance: float) -> int | None:
        entries = self._entries
        if entries is not None and first >= self.first:
            bar: int = entries.following[first]
            if bar > last:
                return None
            if entries.answers[bar] == _YES:
                return bar
        return self._next("should_long", first, last, balance, None)

    def next_exit(self, position: HeldPosition, first: int, last: int, balance: float) -> int | None:
        return self._next("should_short", first, last, balance, position)

    def sure_exit(self, first: int) -> int | None:
        exits = self._exits
        if exits is None or first < self.first:
            return None
        bar: int = exits.following[first]
        return bar if bar == self._count or exits.answers[bar] == _YES else None

    def foreseen(self) -> Foreseen | None:
        if self._entries is None or self._exits is None:
            return None
        first: Any = self._entries.bars + 1
        first = first[first < self._count - 1]
        for kept in (first, first[np.diff(first, prepend=0) > 1]):  # else those that follow no other
            after = self._exits.after[kept]
            last = np.minimum(after, np.minimum(kept + _LONGEST_RIDE, self._count) - 2)
            if int((last - kept).sum()) <= _MOST_RIDDEN * self._count:
                sure = self._exits.are_sure(after) & self._entries.are_sure(kept - 1)
                leaves = np.where(sure, after, self._count)
                return Foreseen(kept, np.maximum(last, kept), leaves, self._entries.following, self._fixed)
        return None

    def entry_terms(self, bar: int, balance: float) -> EntryTerms:
        if bar < self.first or (self._doubted is not None and self._doubted[bar]):
            return self._literal.entry_terms(bar, balance)
        view = self._view
        view.stand(bar, balance, None)
        try:
            if view.stateful:
                view.should_long()
                view.should_short()
            size, stop, target = self._size(), self._stop(), self._target()
        except Exception:  # noqa: BLE001 — the user's code fails here: the exact way says where, or answers
            return self._literal.entry_terms(bar, balance)
        if (
            type(size) is type(stop) is type(target) is float
            and 0 <= size < math.inf
            and 0 <= stop < 1
            and 0 <= target < 100
        ):
            return EntryTerms(size, stop, target)
        answers = zip(METHODS[2:], (size, stop, target), strict=True)
        return EntryTerms(*(self._asker.number(name, partial(_same, value)) for name, value in answers))

    def _fixed_terms(self, methods: Methods, snapshot: Snapshot) -> FixedTerms | None:
        size, *protections = METHODS[2:]
        fixed = not self._view.stateful and is_fixed(methods, snapshot, size, but_for="balance")
        if not fixed or not all(is_fixed(methods, snapshot, name) for name in protections):
            return None
        try:
            stop, target = self._stop(), self._target()
        except Exception:  # noqa: BLE001 — the user's code fails here: it is told when an entry meets it
            return None
        usual = type(stop) is type(target) is float and 0 <= stop < 1 and 0 <= target < 100
        return FixedTerms(self._size_of, stop, target) if usual else None

    def _size_of(self, balance: float) -> float:
        """Return the size asked, NaN for an answer that `entry_terms` has to judge."""
        self._view.own["balance"] = balance
        try:
            size: Any = self._size()
        except Exception:  # noqa: BLE001 — as in `entry_terms`
            return math.nan
        return size if type(size) is float else math.nan

    def forget(self) -> None:
        """Let go of the candles; nothing can be asked afterwards."""
        self._fixed = None  # it holds this object, which holds it
        self._view.forget()

    def decides(self, bar: int, balance: float, position: HeldPosition | None) -> bool:
        """Return should_long (flat) or should_short (holding) at one bar."""
        name = "should_long" if position is None else "should_short"
        return self._next(name, bar, bar, balance, position) is not None

    def _next(self, name: str, first: int, last: int, balance: float, position: HeldPosition | None) -> int | None:
        if first < self.first:
            found = self._exactly(name, first, min(last, self.first - 1), balance, position)
            if found is not None:
                return found
            first = self.first
        signals = self._signals[name]
        if signals is None:
            return self._bar_by_bar(name, first, last, balance, position)
        while True:
            bar = signals.next(first, last)
            if bar is None or signals.sure(bar):
                return bar
            if self._exact(name, bar, balance, position):
                return bar
            first = bar + 1

    def _exactly(
        self, name: str, first: int, last: int, balance: float, position: HeldPosition | None
    ) -> int | None:
        return next((bar for bar in range(first, last + 1) if self._exact(name, bar, balance, position)), None)

    def _exact(self, name: str, bar: int, balance: float, position: HeldPosition | None) -> bool:
        answer = self._literal.at(bar, balance, position)
        return answer.should_long if name == "should_long" else answer.should_short

    def _bar_by_bar(
        self, name: str, first: int, last: int, balance: float, position: HeldPosition | None
    ) -> int | None:
        view, tied = self._view, self._tied
        ask, other = view.should_long, view.should_short
        held = name == "should_short"
        for bar in range(first, last + 1):
            if not bar % _TICK_EVERY:
                self._tick(bar)
            if tied is not None and tied[bar]:
                if self._exact(name, bar, balance, position):
                    return bar
                continue
            view.stand(bar, balance, position)
            try:
                answer: Any = ask() if not held or view.stateful else None
                if held or view.stateful:
                    answer = other() if held else (answer, other())[0]
            except Exception:  # noqa: BLE001 — the exact way says what is wrong, or answers
                answer = None
            if answer is False or (type(answer) is np.bool_ and not answer):
                continue
            if (
                answer is not True
                and type(answer) is not np.bool_
                and not self._exact(name, bar, balance, position)
            ):
                continue
            return bar
        return None

    def _vector(self, name: str, context: Context, shortest: int) -> "_Signals | None":
        if self._view.stateful:
            self.slow_reason = "les méthodes gardent des valeurs sur self"
            return None
        try:
            deepest = vectors.deepest_read(context, name)
            if deepest > shortest:
                raise CannotFollow(f"lecture {deepest} bougies en arrière")
            found: Any = np.zeros(self._count, dtype="uint8")
            for start in range(self.first, self._count, _BLOCK):
                end = min(start + _BLOCK, self._count)
                found[start:end] = vectors.signals(context, name, start, end)
            return _Signals(found)
        except CannotFollow as exc:
            self.slow_reason = str(exc)
            return None


def _same(value: Any) -> Any:
    return value


class _Signals:
    """The bars of one method's answers that are not a sure no.

    Args:
        bars: those bars.
        after, following: for each bar the next one of them, itself included; the number of bars when there is none.
    """

    def __init__(self, answers: Any) -> None:
        count = len(answers)
        self.answers = memoryview(answers)
        self.bars: Any = np.flatnonzero(answers)
        self.after: Any = np.repeat(np.append(self.bars, count), np.diff(self.bars, prepend=-1, append=count))
        self.following = memoryview(np.ascontiguousarray(self.after))

    def next(self, first: int, last: int) -> int | None:
        bar: int = self.following[first]
        return bar if bar <= last else None

    def sure(self, bar: int) -> bool:
        return self.answers[bar] == _YES

    def are_sure(self, bars: Any) -> Any:
        """Tell it of an array of bars; beyond the last one nothing is."""
        answers: Any = np.append(np.asarray(self.answers), vectors.NO)
        return answers[bars] == _YES
