"""The exact way, played beside the fast one on a sample of bars: columns and decisions must be the same.

First at bars drawn by chance, the first and the last one (`columns`), which also tells how closely each
column settles within the window; then at bars that traded and whatever is missing to the number
(`decisions`). One difference is enough to play the whole run the exact way.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from domain.backtest.causality import difference
from domain.backtest.contract import BacktestTrade, CandleSeries, ColumnDifference
from domain.backtest.fast import FastDecisions
from domain.backtest.ledger import Trades
from domain.backtest.literal import LiteralDecisions, seen_at
from domain.backtest.shown import Shown, size
from domain.backtest.snapshot import Key, Snapshot, numbers, take
from domain.backtest.source import Source
from domain.strategies.evaluate import Asked

_SETTLED = 2e-5  # of a column's size: more than that, the window is too short for it
_TIGHT = 1e-9  # of it: less than that matters at no bar worth speaking of
_MARGIN = 20  # how much larger the difference may be at a bar that was not drawn
_TERMS_CLOSE = 1e-7  # of the size asked, and of the price for stops: under any exchange's tick
_FLOOR = 1e-10  # of a column's size: rounding


@dataclass(frozen=True, slots=True)
class Depth:
    """How many bars are compared: by their columns, among those that traded, and in all."""

    drawn: int
    traded: int
    bars: int


WHOLE = Depth(drawn=38, traded=100, bars=200)
AGAIN = Depth(drawn=10, traded=12, bars=24)  # of other parameters, when a whole proof has been given


@dataclass
class Settling:
    """How closely columns settle within the window.

    Args:
        slack: key -> by how much its value may differ from what a live bot sees.
        too_short: columns that do not settle.
        loose: columns that settle, but not to rounding: where they come near to each other is asked the exact way.
    """

    bars: set[int] = field(default_factory=set)
    slack: dict[Key, float] = field(default_factory=dict)
    too_short: list[ColumnDifference] = field(default_factory=list)
    loose: list[Key] = field(default_factory=list)


def settling(
    source: Source,
    candles: CandleSeries,
    whole: Snapshot,
    keys: Iterable[Key],
    *,
    first: int,
    window: int,
    balance: float,
    seed: int,
    tick: Callable[[int], None],
    depth: Depth = WHOLE,
) -> Settling:
    """Compare columns at drawn bars with what fresh instances on the windows of these bars hold.

    Args:
        keys: the columns that the methods read.
        first: the first bar that the fast path answers for.
    """
    draw = random.Random(seed)  # noqa: S311 — draws bars, not secrets
    count = len(candles)
    bars = {first, count - 1, *(draw.randrange(first, count) for _ in range(depth.drawn))}
    found = Settling(bars)
    gaps: dict[Key, tuple[float, int, float]] = {}
    for bar in sorted(bars):
        tick(bar)
        seen = seen_at(candles, bar, window)
        asked = Asked(source.fresh(), seen, balance, None, source.params, code=source.code)
        _compare(gaps, keys, whole, take(asked.user, len(seen)), bar)
    for key in keys:
        scale = size(numbers(whole.columns[key]))
        gap, bar, seen_value = gaps.get(key, (0.0, first, 0.0))
        exact = gap == 0 and _is_exact(whole, key, candles)
        if gap > (_FLOOR if key in whole.windowed else _SETTLED) * scale:
            value = float(numbers(whole.columns[key][bar : bar + 1])[0])
            found.too_short.append(difference(key, bar, candles, value, seen_value))
        elif gap > _TIGHT * scale:
            found.loose.append(key)
        found.slack[key] = 0.0 if exact else max(_FLOOR * scale, _MARGIN * gap)
    return found


def _compare(
    gaps: dict[Key, tuple[float, int, float]], keys: Iterable[Key], whole: Snapshot, part: Snapshot, bar: int
) -> None:
    for key in keys:
        values = part.columns.get(key)
        average = whole.windowed.get(key)
        if average is not None:
            gap, theirs = _window_gap(average, bar, values)
            if gap > gaps.get(key, (0.0, bar, 0.0))[0]:
                gaps[key] = (gap, bar, theirs)
            continue
        ours = float(numbers(whole.columns[key][bar : bar + 1])[0])
        theirs = float(numbers(values[-1:])[0]) if values is not None and len(values) else np.nan
        same = ours == theirs or (np.isnan(ours) and np.isnan(theirs))
        gap = 0.0 if same else np.inf if not np.isfinite(ours - theirs) else abs(ours - theirs)
        if gap > gaps.get(key, (0.0, bar, 0.0))[0]:
            gaps[key] = (gap, bar, theirs)


def _window_gap(shown: Shown, bar: int, values: Any) -> tuple[float, float]:
    """Return how far a window is from what is expected of it, at its worst bar, and its own last value."""
    ours = numbers(shown.window_at(bar))
    if values is None or len(values) != len(ours):
        return np.inf, np.nan
    theirs, doubt = numbers(values), shown.window_doubt(bar)
    gap = np.abs(ours - theirs)
    gap[np.isnan(ours) & np.isnan(theirs)] = 0.0
    if doubt is not None:
        gap[doubt] = 0.0  # such bars are asked the exact way
    worst = float(np.where(np.isfinite(gap), gap, np.inf).max())
    return worst, float(theirs[-1])


def _is_exact(whole: Snapshot, key: Key, candles: CandleSeries) -> bool:
    """Tell whether a column holds whole numbers, or values picked from the candles: never a rounded sum."""
    values = whole.columns[key]
    if values.dtype.kind in "iub":
        return True
    if values.dtype.kind != "f" or key in whole.windowed:
        return False
    sample = np.unique(np.linspace(0, len(values) - 1, 300).astype(int))
    picked = values[sample]
    finite = np.isfinite(picked)
    if np.all(picked[finite] == np.round(picked[finite])) and np.abs(picked[finite]).max(initial=0) <= 10:
        return True
    return all(
        _is_picked(float(value), int(bar), candles)
        for value, bar in zip(picked[finite], sample[finite], strict=True)
    )


def _is_picked(value: float, bar: int, candles: CandleSeries) -> bool:
    part = slice(max(0, bar - 1000), bar + 1)
    return any(
        bool((column[part] == value).any())
        for column in (candles.high, candles.low, candles.close, candles.open, candles.volume)
    )


@dataclass
class Agreement:
    """What the sample showed: the bars asked both ways, columns that moved more than expected, first difference."""

    bars: set[int]
    too_short: list[ColumnDifference] = field(default_factory=list)
    where: str = ""


def compare(
    fast: FastDecisions,
    literal: LiteralDecisions,
    whole: Snapshot,
    settled: Settling,
    trades: Trades,
    candles: CandleSeries,
    *,
    first: int,
    seed: int,
    depth: Depth = WHOLE,
) -> Agreement:
    """Ask both ways at drawn bars and at bars that traded, columns and decisions.

    Args:
        trades: of the fast run.
        first: the first bar that may decide.
    """
    draw = random.Random(seed + 1)  # noqa: S311
    last = len(candles) - 1
    bars = {bar for bar in settled.bars | _traded(trades, depth.traded, draw) if bar >= first} | {first}
    while len(bars) < min(depth.bars, last - first + 1):
        bars.add(draw.randint(first, last))
    found = Agreement(bars)
    for bar in sorted(bars):
        found.where = _differs(fast, literal, trades, bar)
        if found.where:
            break
        if bar >= fast.first and literal.asked is not None:
            part = take(literal.asked.user, literal.asked.length)
            _check_columns(found, settled, whole, part, bar, candles)
    return found


def _check_columns(
    found: Agreement, settled: Settling, whole: Snapshot, part: Snapshot, bar: int, candles: CandleSeries
) -> None:
    gaps: dict[Key, tuple[float, int, float]] = {}
    _compare(gaps, settled.slack, whole, part, bar)
    for key, (gap, _, seen) in gaps.items():
        if gap > settled.slack[key]:
            value = float(numbers(whole.columns[key][bar : bar + 1])[0])
            found.too_short.append(difference(key, bar, candles, value, seen))


def _traded(trades: Sequence[BacktestTrade], count: int, draw: random.Random) -> set[int]:
    """Return bars at whose close a trade was decided: half of them entries, half exits."""
    chosen = trades if len(trades) <= count // 2 else draw.sample(trades, count // 2)
    return {trade.entry_bar - 1 for trade in chosen} | {trade.exit_bar - 1 for trade in chosen}


def _differs(fast: FastDecisions, literal: LiteralDecisions, trades: Trades, bar: int) -> str:
    balance, position = trades.moment(bar)
    exact = literal.at(bar, balance, position)
    ours = fast.decides(bar, balance, position)
    if ours is not (exact.should_long if position is None else exact.should_short):
        side = "achat" if position is None else "vente"
        return f"bougie {bar} : {side} décidé {'par' if ours else 'sauf par'} le chemin rapide"
    if ours and position is None:
        terms = fast.entry_terms(bar, balance)
        pairs = (
            (terms.position_size, exact.position_size, exact.position_size),
            (terms.stop_loss, exact.stop_loss, 1.0),
            (terms.take_profit, exact.take_profit, 1.0),
        )
        if any(abs(one - other) > _TERMS_CLOSE * scale for one, other, scale in pairs):
            return f"bougie {bar} : taille, stop ou objectif différents"
    return ""
