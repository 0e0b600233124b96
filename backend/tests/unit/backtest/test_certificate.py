"""What one run proved serves the others of a sweep, and never hides what their parameters change."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from domain.backtest.contract import BacktestJob, BacktestReport, EnginePath, Verdict
from domain.backtest.run import run
from domain.errors import StrategyError
from tests.unit.backtest.scripted import settings
from tests.unit.backtest.test_causality import market

SCOPE = {"pd": pd, "np": np}
CODE = """
STRATEGY_PARAMS = {
    "fast": {"type": "int", "default": 5, "min": 2, "max": 100},
    "shift": {"type": "int", "default": 1, "min": -5, "max": 5},
}

class Tuned(Strategy):
    def __init__(self, candles, balance, position=None):
        super().__init__(candles, balance, position)
        close = candles["close"]
        self.candles["fast"] = close.ewm(span=self.params["fast"], adjust=False).mean()
        self.candles["before"] = close.shift(self.params["shift"])

    def should_long(self):
        return bool(self.candles["close"].iloc[-1] > self.candles["fast"].iloc[-1])

    def should_short(self):
        return bool(self.candles["close"].iloc[-1] < self.candles["before"].iloc[-1])

    def calculate_position_size(self):
        return self.balance * 0.1

    def calculate_stop_loss(self):
        return 0.02

    def calculate_take_profit(self):
        return 0.04
"""
MARKET = market(900)


@cache
def first() -> BacktestReport:
    return run(BacktestJob(CODE, {}, settings(window=300, first_bar=300)), MARKET, scope=SCOPE)


def again(
    params: dict[str, int], candles: Any = MARKET, *, window: int = 300, given: bool = True
) -> BacktestReport:
    job = BacktestJob(CODE, params, settings(window=window, first_bar=300))
    return run(job, candles, scope=SCOPE, given=first().certificate if given else None)


def test_same_run_is_not_proved_twice() -> None:
    found = again({})
    assert first().checks.look_ahead.bars_checked == 200
    assert (found.checks.look_ahead.bars_checked, found.checks.look_ahead.verdict) == (0, Verdict.OK)
    assert "par un autre essai ; 0 bougies" in found.checks.look_ahead.reason
    assert (found.path, found.outcome.trades) == (EnginePath.VECTORISED, first().outcome.trades)
    assert found.certificate == first().certificate


def test_other_parameters_are_looked_at_again_and_trade_as_without_a_certificate() -> None:
    found, plain = again({"fast": 9}), again({"fast": 9}, given=False)
    assert 12 <= found.checks.look_ahead.bars_checked <= 24
    assert (found.checks.look_ahead.prefixes_checked, plain.checks.look_ahead.prefixes_checked > 15) == (0, True)
    assert (found.path, found.outcome.trades) == (EnginePath.VECTORISED, plain.outcome.trades)


def test_parameter_that_looks_ahead_is_still_found() -> None:
    found = again({"shift": -1})
    assert (found.path, found.checks.look_ahead.verdict) == (EnginePath.LITERAL, Verdict.BIASED)
    assert [column.column for column in found.checks.look_ahead.columns] == ["before"]
    assert found.certificate is None


def test_parameter_that_needs_a_longer_window_is_still_found() -> None:
    found = again({"fast": 100})
    assert (found.path, found.checks.window.verdict) == (EnginePath.LITERAL, Verdict.TOO_SHORT)


def test_certificate_of_other_candles_or_window_is_left_aside() -> None:
    moved = replace(MARKET, close=MARKET.close.copy())
    moved.close[500] += 0.01
    for found in (again({}, moved), again({}, window=299)):
        assert (found.checks.look_ahead.bars_checked, found.checks.look_ahead.reason) == (200, "")


def test_exact_way_over_more_bars_than_allowed_is_refused_with_its_reason() -> None:
    job = BacktestJob(CODE, {"fast": 100}, settings(window=300, first_bar=300), exact_at_most=599)
    with pytest.raises(StrategyError, match=r"« fast » dépend .*soit 600 bougies ; 599 au plus"):
        run(job, MARKET, scope=SCOPE)
    assert run(replace(job, exact_at_most=600), MARKET, scope=SCOPE).path is EnginePath.LITERAL
    assert run(replace(job, params={}), MARKET, scope=SCOPE).path is EnginePath.VECTORISED
