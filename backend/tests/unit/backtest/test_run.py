"""A whole backtest: from the user's text to the report."""

import gc
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from domain.backtest.contract import BacktestJob, EnginePath, Hole
from domain.backtest.run import run
from domain.backtest.snapshot import Snapshot
from domain.errors import StrategyInvalid
from tests.unit.backtest.scripted import MINUTE_MS, START_MS, candles, flat, settings
from tests.unit.backtest.test_causality import market

SCOPE = {"pd": pd, "np": np}
CODE = """
class Watcher(Strategy):
    def should_long(self):
        return bool(self.candles["close"].iloc[-1] == 101)

    def should_short(self):
        return bool(self.candles["close"].iloc[-1] == 105)

    def calculate_position_size(self):
        return self.balance / 2

    def calculate_stop_loss(self):
        return 0.1

    def calculate_take_profit(self):
        return 0.0
"""
ROWS = [*flat(100, 2), (100, 101, 100, 101), (102, 103, 101, 103), (103, 105, 103, 105), *flat(106, 2)]


def job(code: str = CODE, **changes: object) -> BacktestJob:
    return BacktestJob(code, {}, settings(**changes))


def test_run_reports_trades_metrics_and_coverage() -> None:
    report = run(job(), candles(*ROWS), scope=SCOPE)
    (trade,) = report.outcome.trades
    # Half of 1000 at the close of 101 is 4.95 BTC, bought at the open 102 and sold at the open 106: 19.80.
    assert (trade.entry_bar, trade.exit_bar, trade.profit) == (3, 5, Decimal("19.800"))
    assert (report.metrics.net_profit, report.metrics.trade_count) == (Decimal("19.800"), 1)
    assert (report.bars, report.checks.coverage.ratio) == (7, 1.0)


def test_hole_is_listed_with_what_is_missing() -> None:
    found = run(job(), candles(*flat(100, 5), holes={1}), scope=SCOPE).checks.coverage
    # 5 candles of the 8 between the first and the last.
    assert (found.present, found.expected, found.ratio) == (5, 8, 0.625)
    assert found.holes == (Hole(START_MS + 2 * MINUTE_MS, START_MS + 5 * MINUTE_MS, 3),)


def test_code_that_lacks_a_method_is_refused() -> None:
    with pytest.raises(StrategyInvalid, match="should_short"):
        run(job(CODE.replace("should_short", "other")), candles(*ROWS), scope=SCOPE)


def test_no_candle_left_to_play_is_refused() -> None:
    with pytest.raises(StrategyInvalid, match="7 bougies, dont 7"):
        run(job(first_bar=7), candles(*ROWS), scope=SCOPE)


def test_what_progress_raises_ends_the_run() -> None:
    class Stopped(Exception):
        pass

    def stop(_: float) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        run(job(), candles(*ROWS), scope=SCOPE, progress=stop)


def test_progress_never_goes_back_on_a_fast_path_and_reaches_the_end() -> None:
    told: list[float] = []
    rows = [*flat(100, 2), (100, 101, 100, 101), (102, 103, 101, 103), (103, 105, 103, 105), *flat(106, 145)]
    report = run(job(), candles(*rows), scope=SCOPE, progress=told.append)
    assert report.path == "vectorised"
    assert told == sorted(told)


def test_finished_run_lets_go_of_its_columns_without_waiting_for_a_collection() -> None:
    played = market(400)
    gc.collect()
    gc.disable()
    try:
        assert run(job(first_bar=150), played, scope=SCOPE).path is EnginePath.VECTORISED
        assert not [each for each in gc.get_objects() if isinstance(each, Snapshot)]
    finally:
        gc.enable()
