"""Averages of long memory: what a window shows of them, for all bars at once, and trades as of the exact way."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pandas_ta_classic as ta
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.backtest.contract import BacktestJob, BacktestReport, CandleSeries, EnginePath, Verdict
from domain.backtest.engine import simulate
from domain.backtest.literal import LiteralDecisions
from domain.backtest.recognised import find
from domain.backtest.run import run
from domain.backtest.shown import Shown, size
from domain.backtest.snapshot import Key, Snapshot
from domain.backtest.source import Source
from domain.backtest.windowed import remember
from tests.unit.backtest.scripted import settings
from tests.unit.backtest.test_causality import market

SCOPE = {"pd": pd, "np": np, "ta": ta}
WINDOW, COUNT = 500, 640
ROUNDING = 1e-12  # of a price; the engine asks the exact way from 1e-10 on
KEY = ("candles", "average")
AVERAGES = {
    "ema": lambda c, length: ta.ema(c["close"], length=length),
    "ema of another column": lambda c, length: ta.ema(c["high"], length=length),
    "ema through the frame": lambda c, length: c.ta.ema(length=length),
    "ema without its mean": lambda c, length: ta.ema(c["close"], length=length, sma=False),
    "rma": lambda c, length: ta.rma(c["close"], length=length),
    "rma of the typical price": lambda c, length: ta.rma(ta.hlc3(c["high"], c["low"], c["close"]), length=length),
    "pandas": lambda c, length: c["close"].ewm(span=length, adjust=False).mean(),
}


def frame(candles: CandleSeries) -> pd.DataFrame:
    return pd.DataFrame({name: getattr(candles, name) for name in ("open", "high", "low", "close", "volume")})


def recognised(values: Any, candles: CandleSeries, window: int = WINDOW) -> Shown | None:
    whole = Snapshot(len(candles), columns={KEY: np.asarray(values)})
    return find(whole, [KEY], candles, window).get(KEY)


@given(
    seed=st.integers(0, 1 << 20),
    length=st.integers(20, 400),
    average=st.sampled_from(sorted(AVERAGES)),
    bar=st.integers(WINDOW - 3, COUNT - 1),
)
def test_average_on_any_market_is_what_its_window_shows(seed: int, length: int, average: str, bar: int) -> None:
    candles = market(COUNT, seed=seed)
    found = recognised(AVERAGES[average](frame(candles), length), candles)
    assert found is not None
    first = max(0, bar + 1 - WINDOW)
    shown = AVERAGES[average](frame(candles).iloc[first : bar + 1].reset_index(drop=True), length)
    for back in (1, 2, 3):
        assert found.seen(back, bar, bar + 1)[0] == pytest.approx(shown.iloc[-back], rel=ROUNDING, nan_ok=True)
    np.testing.assert_allclose(found.window_at(bar), shown, rtol=ROUNDING)


def two(c: pd.DataFrame, length: int) -> tuple[pd.Series, pd.Series]:
    return ta.ema(c["close"], length=12), ta.ema(c["close"], length=length)


def crossed(c: pd.DataFrame, length: int) -> pd.Series:
    fast, slow = two(c, length)
    return (fast > slow) & (fast.shift(1) <= slow.shift(1))


# What is computed, and of which other columns beside the candles.
COMPUTED: dict[str, tuple[Any, Any]] = {
    "all candles weighed": (lambda c, length: c["close"].ewm(span=length).mean(), ()),
    "all candles weighed, late": (lambda c, length: c["open"].ewm(alpha=1 / length, min_periods=9).mean(), ()),
    "rsi": (lambda c, length: ta.rsi(c["close"], length=length), ()),
    "atr": (lambda c, length: ta.atr(c["high"], c["low"], c["close"], length=length), ()),
    "ema of an ema": (lambda c, length: ta.ema(two(c, length)[1], length=length // 2), two),
    "difference": (lambda c, length: two(c, length)[0] - two(c, length)[1], two),
    "distance": (lambda c, length: c["close"] / two(c, length)[1] - 1, two),
    "distance in percent": (lambda c, length: 100 * (c["close"] - two(c, length)[1]) / two(c, length)[1], two),
    "signal of a difference": (
        lambda c, length: ta.ema(two(c, length)[0] - two(c, length)[1], length=9),
        lambda c, length: (*two(c, length), two(c, length)[0] - two(c, length)[1]),
    ),
    "above": (lambda c, length: two(c, length)[0] > two(c, length)[1], two),
    "above, as a number": (lambda c, length: (c["close"] >= two(c, length)[1]).astype(int), two),
    "crossed": (crossed, two),
}


@given(
    seed=st.integers(0, 1 << 20),
    length=st.integers(20, 200),
    computed=st.sampled_from(sorted(COMPUTED)),
    bar=st.integers(WINDOW - 3, COUNT - 1),
)
def test_what_is_computed_on_any_market_is_what_its_window_shows(
    seed: int, length: int, computed: str, bar: int
) -> None:
    candles, (function, others) = market(COUNT, seed=seed), COMPUTED[computed]
    beside = others(frame(candles), length) if others else ()
    columns: dict[Key, Any] = {("candles", str(number)): each.to_numpy() for number, each in enumerate(beside)}
    columns[KEY] = function(frame(candles), length).to_numpy()
    found = find(Snapshot(COUNT, columns=columns), list(columns), candles, WINDOW).get(KEY)
    assert found is not None
    first = max(0, bar + 1 - WINDOW)
    expected = function(frame(candles).iloc[first : bar + 1].reset_index(drop=True), length).to_numpy()
    unsure = found.window_doubt(bar)
    known = np.ones(len(expected), bool) if unsure is None else ~unsure
    assert known.mean() > 0.9
    room = 1e-11 * size(columns[KEY].astype(float))
    np.testing.assert_allclose(found.window_at(bar)[known], expected[known], rtol=1e-11, atol=room)
    for back in (1, 2, 3):
        if known[-back]:
            np.testing.assert_allclose(found.seen(back, bar, bar + 1)[0], expected[-back], rtol=1e-11, atol=room)


@pytest.mark.parametrize("average", ["whole mean", "ema of an ema", "long", "undefined in between"])
def test_anything_else_is_left_to_the_exact_way(average: str) -> None:
    candles = market(COUNT)
    close = pd.Series(candles.close)
    once = ta.ema(close, length=60)
    other = {
        "whole mean": close.expanding().mean(),
        "ema of an ema": ta.ema(once, length=60),
        "long": ta.ema(close, length=WINDOW + 1),
        "undefined in between": once.where(once.index != 300),
    }
    assert recognised(other[average], candles) is None


CODE = """
class Cross(Strategy):
    def __init__(self, candles, balance, position=None):
        super().__init__(candles, balance, position)
        self.candles["fast"] = ta.ema(self.candles["close"], length=12)
        self.candles["slow"] = ta.ema(self.candles["close"], length=50)
        {also}

    def should_long(self):
        c = self.candles
        return {long}

    def should_short(self):
        return bool(self.candles["fast"].iloc[-1] < self.candles["slow"].iloc[-1])

    def calculate_position_size(self):
        return self.balance * 0.1

    def calculate_stop_loss(self):
        return 0.02

    def calculate_take_profit(self):
        return 0.04
"""
CROSSED = 'bool(c["fast"].iloc[-1] > c["slow"].iloc[-1] and c["fast"].iloc[-2] <= c["slow"].iloc[-2])'
OVER_IN_A_VIEW = 'next(bool(c["close"].iloc[-k] > c["slow"].iloc[-k]) for k in (1,))'
VECTORISED, PREFIX_VIEW, LITERAL = EnginePath.VECTORISED, EnginePath.PREFIX_VIEW, EnginePath.LITERAL
RULES = settings(window=80, first_bar=120)


def played(code: str, candles: CandleSeries) -> BacktestReport:
    """Play a strategy, and see that its trades are those of the exact way."""
    report = run(BacktestJob(code, {}, RULES), candles, scope=SCOPE)
    source = Source(code, SCOPE, {})
    literal = LiteralDecisions(source.fresh, candles, {}, window=80, code=code)
    exact = simulate(candles, literal, RULES)
    assert list(report.outcome.trades) == list(exact.trades)
    assert report.outcome.equity.tolist() == exact.equity.tolist()
    assert len(exact.trades) > 1
    return report


@pytest.mark.parametrize(
    ("long", "path"),
    [
        (CROSSED, EnginePath.VECTORISED),
        (
            'all(c["fast"].iloc[-k] > c["slow"].iloc[-2] for k in (1, 2)) '
            'and bool((c["fast"] - c["slow"]).iloc[-3:].min() > 0)',
            EnginePath.PREFIX_VIEW,
        ),
    ],
)
def test_average_longer_than_its_window_trades_as_the_exact_way_and_says_so(long: str, path: EnginePath) -> None:
    report = played(CODE.format(also="", long=long), market(340))
    assert (report.path, report.checks.window.verdict) == (path, Verdict.TOO_SHORT)
    assert [each.column for each in report.checks.window.columns] == ["slow"]
    assert report.assumptions["Indicateurs à longue mémoire"] == (
        "« fast », « slow » : à chaque bougie, la valeur qu'en voit un bot avec ses 80 bougies"
    )


@pytest.mark.parametrize("over", ['bool(c["close"].iloc[-1] > c["slow"].iloc[-1])', OVER_IN_A_VIEW])
def test_prices_that_stand_still_are_asked_the_exact_way(over: str) -> None:
    candles = market(340)
    still = {name: getattr(candles, name).copy() for name in ("open", "high", "low", "close")}
    for column in still.values():
        column[150:290] = candles.close[149] + 0.1  # for 61 bars rounding alone says which is larger
    code = CODE.format(also="", long=over).replace(
        'bool(self.candles["fast"].iloc[-1] < self.candles["slow"].iloc[-1])', "not self.should_long()"
    )
    assert played(code, replace(candles, **still)).path is not EnginePath.LITERAL


@pytest.mark.parametrize(
    ("made", "remembers"),
    [
        ('self.candles["x"] = self.candles["close"] > self.candles["slow"] * 1.02', True),
        ('self.candles["x"] = np.where(self.candles["close"] > self.candles["slow"], "up", "down")', True),
        ('self.candles["x"] = np.where(self.candles["fast"] > self.candles["slow"], candles["high"], 0.0)', True),
        ('self.candles["x"] = (self.candles["close"] > self.candles["slow"]).cumsum()', True),
        ('self.candles["x"] = self.candles["close"] > self.candles["close"].shift(9)', False),
        ('self.candles["x"] = ta.rsi(self.candles["close"], length=2)', False),
    ],
)
def test_column_that_tells_what_came_before_the_window_is_seen(made: str, remembers: bool) -> None:
    source = Source(CODE.format(also=made, long=CROSSED), SCOPE, {})
    for seed in range(3):
        found = remember(
            source, market(340), [("candles", "x")], window=80, balance=1.0, seed=seed, tick=lambda _: None
        )
        assert found is remembers


# What is computed beside, when to buy, the path.
USED = {
    "above": ('self.candles["x"] = self.candles["fast"] > self.candles["slow"]', 'c["x"].iloc[-1]', VECTORISED),
    "crossed": (
        'f, s = self.candles["fast"], self.candles["slow"]\n'
        '        self.candles["x"] = ((f > s) & (f.shift(1) <= s.shift(1))).astype(int)',
        'c["x"].iloc[-1] == 1',
        VECTORISED,
    ),
    "difference": (
        'self.candles["x"] = self.candles["fast"] - self.candles["slow"]\n'
        '        self.candles["y"] = ta.ema(self.candles["x"], length=9)',
        'c["x"].iloc[-1] > c["y"].iloc[-1] and c["x"].iloc[-1] > 0',
        VECTORISED,
    ),
    "difference in a view": (
        'self.candles["x"] = self.candles["fast"] - self.candles["slow"]',
        'all(c["x"].iloc[-k] > 0 for k in (1, 2))',
        PREFIX_VIEW,
    ),
    "rsi": ('self.candles["x"] = ta.rsi(self.candles["close"], length=40)', 'c["x"].iloc[-1] > 52', VECTORISED),
    "all candles weighed": (
        'self.candles["x"] = self.candles["close"].ewm(span=45).mean()',
        'c["close"].iloc[-1] > c["x"].iloc[-1]',
        VECTORISED,
    ),
    "times a number": (
        'self.candles["x"] = self.candles["close"] > self.candles["slow"] * 1.001', 'c["x"].iloc[-1]', LITERAL,
    ),
    "no such average": (
        'self.candles["x"] = self.candles["close"] > self.candles["open"] * 1.001', 'c["x"].iloc[-1]', VECTORISED,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("also", "long", "path"), USED.values(), ids=USED)
def test_what_is_computed_of_such_averages_trades_as_the_exact_way(also: str, long: str, path: EnginePath) -> None:
    candles = market(340)
    still = {name: getattr(candles, name).copy() for name in ("open", "high", "low", "close")}
    for column in still.values():
        column[200:280] = candles.close[199]  # rounding alone tells averages apart there
    assert played(CODE.format(also=also, long=f"bool({long})"), replace(candles, **still)).path is path


def test_certificate_of_such_a_run_reads_its_averages_the_same_way() -> None:
    candles, job = market(340), BacktestJob(CODE.format(also="", long=CROSSED), {}, RULES)
    first = run(job, candles, scope=SCOPE)
    again = run(job, candles, scope=SCOPE, given=first.certificate)
    assert (again.path, list(again.outcome.trades)) == (first.path, list(first.outcome.trades))
    assert (again.assumptions, again.checks.window) == (first.assumptions, first.checks.window)
    assert again.checks.look_ahead.prefixes_checked == 0


def test_average_that_settles_but_not_to_rounding_is_read_the_same_way() -> None:
    report = played(CODE.format(also="", long=CROSSED).replace("length=50", "length=14"), market(340))
    assert (report.path, report.checks.window.verdict) == (VECTORISED, Verdict.OK)
    assert "« slow »" in report.assumptions["Indicateurs à longue mémoire"]
