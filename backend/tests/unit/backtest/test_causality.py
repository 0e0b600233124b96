"""Strategies that peek are caught, with the column's name; honest ones are not accused."""

import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
import pandas_ta_classic as ta
import pytest

from apps.strategies.examples import EXAMPLES, Example
from domain.backtest import causality
from domain.backtest.contract import BacktestJob, CandleSeries, EnginePath, Verdict
from domain.backtest.literal import seen_at
from domain.backtest.run import run
from domain.backtest.snapshot import take
from domain.backtest.source import Source
from domain.strategies.evaluate import Asked
from tests.unit.backtest.scripted import settings

SCOPE = {"pd": pd, "np": np, "ta": ta}
CLASS = """
class Tried(Strategy):
    def __init__(self, candles, balance, position=None):
        super().__init__(candles, balance, position)
        {init}

    def should_long(self):
        return bool(self.candles["close"].iloc[-1] > self.candles["open"].iloc[-1])

    def should_short(self):
        return bool(self.candles["close"].iloc[-1] < self.candles["open"].iloc[-1])

    def calculate_position_size(self):
        return self.balance * 0.1

    def calculate_stop_loss(self):
        return 0.02

    def calculate_take_profit(self):
        return 0.04
"""


@pytest.fixture(autouse=True)
def _pandas_ta_by_its_usual_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas_ta", ta)


def batched(names: Iterable[str], size: int) -> Iterator[tuple[str, ...]]:
    left = iter(names)
    while batch := tuple(islice(left, size)):
        yield batch


def market(count: int = 900, seed: int = 5, step_ms: int = 300_000) -> CandleSeries:
    random = np.random.default_rng(seed)
    closes = np.round(
        100 * np.exp(np.cumsum(random.normal(0, 0.003, count)) + 0.03 * np.sin(np.arange(count) / 9)), 2
    )
    opens = np.concatenate(([100.0], closes[:-1]))
    spread = np.abs(random.normal(0, 0.002, count)) * closes
    highs, lows = np.round(np.maximum(opens, closes) + spread, 2), np.round(np.minimum(opens, closes) - spread, 2)
    times: Any = 1_577_836_800_000 + np.arange(count, dtype="int64") * step_ms
    return CandleSeries(step_ms, times, opens, highs, lows, closes, np.round(random.uniform(1, 9, count), 3))


def checked(code: str, candles: CandleSeries) -> causality.Causality:
    source = Source(code, SCOPE, {})
    count = len(candles)
    whole = Asked(source.fresh(), seen_at(candles, count - 1, count), 1000.0, None, {}, code=code)
    return causality.check(source, candles, take(whole.user, count), balance=1000.0, seed=3)


PEEKS = {
    "shift(-1)": ('self.candles["next"] = candles["close"].shift(-1)', "next"),
    "whole-series z-score": (
        'c = candles["close"]; self.candles["z"] = (c - c.mean()) / c.std()',
        "z",
    ),
    "share of the highest": ('self.candles["share"] = candles["close"] / candles["close"].max()', "share"),
    "min-max scaler": (
        'c = candles["close"]; self.scaled = (c - c.min()) / (c.max() - c.min())',
        "scaled",
    ),
    "fitted scaler": (
        'c = candles["close"].to_numpy(); fit = np.polyfit(np.arange(len(c)), c, 1); '
        'self.candles["detrended"] = c - np.polyval(fit, np.arange(len(c)))',
        "detrended",
    ),
    "centred window": ('self.candles["mid"] = candles["close"].rolling(21, center=True).mean()', "mid"),
    "last value of a resample, spread": (
        'self.candles["hour"] = candles["close"].resample("1h").last().iloc[-1]',
        "hour",
    ),
    "iloc[-1] of a resample": ('self.hours = candles["close"].resample("1h").last()', "hours"),
    "resample brought back": (
        'self.candles["filled"] = candles["close"].resample("1h").last().reindex(candles.index, method="ffill")',
        "filled",
    ),
    "bfill of an indicator": ('self.candles["ema"] = ta.ema(candles["close"], length=20).bfill()', "ema"),
    "bfill of pivots": (
        'c = candles["close"]; self.candles["pivot"] = c.where(c == c.rolling(9).max()).bfill()',
        "pivot",
    ),
    "reversed sum": ('self.candles["rest"] = candles["volume"][::-1].cumsum()[::-1]', "rest"),
    "future maximum": ('self.best = candles["high"][::-1].rolling(10).max()[::-1]', "best"),
    "interpolation of gaps": (
        'c = candles["close"]; self.candles["line"] = c.where(c == c.rolling(9).max()).interpolate()',
        "line",
    ),
    "ta.dpo as it comes": ('self.candles["dpo"] = ta.dpo(candles["close"])', "dpo"),
    "ichimoku's chikou": (
        'self.ichimoku = ta.ichimoku(candles["high"], candles["low"], candles["close"])[0]',
        "ichimoku.ICS_26",
    ),
    "np.gradient": ('self.candles["slope"] = np.gradient(candles["close"])', "slope"),
    "rank over everything": ('self.candles["rank"] = candles["close"].rank(pct=True)', "rank"),
}


def together(lines: Iterable[str]) -> str:
    """One strategy that computes them all: each is judged by its own column."""
    return CLASS.format(init="\n        ".join(lines))


@pytest.mark.parametrize("names", list(batched(PEEKS, 5)), ids=", ".join)
def test_column_that_knows_the_future_is_named(names: tuple[str, ...]) -> None:
    found = checked(together(PEEKS[name][0] for name in names), market())
    assert {PEEKS[name][1] for name in names} <= {each.column for each in found.differences}


C, H, L, V, OPEN = (f'candles["{name}"]' for name in ("close", "high", "low", "volume", "open"))
HONEST = [
    *(f"self.x = ta.{name}({C}, length=14)" for name in (
        "ema", "sma", "rsi", "wma", "dema", "tema", "hma", "kama", "roc", "mom", "cmo", "linreg", "zscore", "stdev",
        "trima", "rma", "zlma",
    )),
    *(f"self.x = ta.{name}({H}, {L}, {C}, length=14)" for name in ("atr", "adx", "cci", "willr", "natr")),
    f"self.x = ta.macd({C})",
    f"self.x = ta.bbands({C}, length=20)",
    f"self.x = ta.stoch({H}, {L}, {C})",
    f"self.x = ta.stochrsi({C})",
    f"self.x = ta.obv({C}, {V})",
    f"self.x = ta.mfi({H}, {L}, {C}, {V})",
    f"self.x = ta.vwap({H}, {L}, {C}, {V})",
    f"self.x = ta.supertrend({H}, {L}, {C})",
    f"self.x = ta.psar({H}, {L}, {C})",
    f"self.x = ta.donchian({H}, {L})",
    f"self.x = ta.kc({H}, {L}, {C})",
    f"self.x = ta.dpo({C}, centered=False)",
    f"self.x = ta.ao({H}, {L})",
    f"self.x = ta.cmf({H}, {L}, {C}, {V})",
    f"self.x = ta.vortex({H}, {L}, {C})",
    f"self.x = {C}.expanding().max()",
    f"self.x = {C}.pct_change().rolling(20).std()",
    f"self.x = {C}.where({C} > {OPEN}).ffill()",
    f"self.x = ({C} - {C}.rolling(50).mean()) / {C}.rolling(50).std()",
    f"self.x = {C}.resample('1h').last().iloc[:-1]",
    f"self.x = {C}.iloc[-1]",
    f"self.x = float({C}.mean())",
]  # fmt: skip


@pytest.mark.parametrize("first", range(0, len(HONEST), 6))
def test_honest_indicators_are_not_accused(first: int) -> None:
    lines = [line.replace("self.x", f"self.x{number}") for number, line in enumerate(HONEST[first : first + 6])]
    found = checked(together(lines), market())
    assert found.differences == ()
    assert found.tried > 15


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_library_is_not_accused(example: Example) -> None:
    assert checked(example.code, market()).differences == ()


def test_peeking_strategy_is_played_the_exact_way() -> None:
    code = CLASS.format(init='self.candles["next"] = candles["close"].shift(-1)').replace(
        '["close"].iloc[-1] > self.candles["open"].iloc[-1]', '["next"].iloc[-2] > self.candles["close"].iloc[-2]'
    )
    report = run(BacktestJob(code, {}, settings(window=60, first_bar=100)), market(300), scope=SCOPE)
    assert report.path is EnginePath.LITERAL
    assert "« next » change quand la suite est connue" in report.fallback
    assert report.checks.look_ahead.verdict is Verdict.BIASED
    (column,) = report.checks.look_ahead.columns
    assert (column.column, column.relative_gap) == ("next", None)  # known on one side only


def test_indicator_that_remembers_longer_than_the_window_is_named() -> None:
    code = CLASS.format(init='self.candles["dema"] = ta.dema(candles["close"], length=60)').replace(
        'self.candles["close"].iloc[-1] >', 'self.candles["dema"].iloc[-1] >'
    )
    report = run(BacktestJob(code, {}, settings(window=150, first_bar=200)), market(400), scope=SCOPE)
    assert report.path is EnginePath.LITERAL
    assert report.checks.look_ahead.verdict is Verdict.OK
    assert report.checks.window.verdict is Verdict.TOO_SHORT
    (column,) = report.checks.window.columns
    assert column.column == "dema"
    assert 1e-5 < (column.relative_gap or 0) < 0.1
