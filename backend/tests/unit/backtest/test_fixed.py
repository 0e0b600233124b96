"""Answers that are the same at every entry are told from those that are not."""

import sys

import numpy as np
import pandas as pd
import pandas_ta_classic as ta
import pytest
from pandas._libs import index as indexing

from apps.core.adapters.strategy_host.child import user_scope
from domain.backtest.contract import BacktestJob, CandleSeries
from domain.backtest.fixed import is_fixed
from domain.backtest.literal import seen_at
from domain.backtest.run import run
from domain.backtest.snapshot import take
from domain.backtest.source import Methods, Source
from domain.strategies.evaluate import Asked, candle_frame
from domain.strategies.sample import sample_window
from tests.unit.backtest.scripted import settings
from tests.unit.backtest.test_causality import market

SCOPE = {"pd": pd, "np": np, "ta": ta}
CODE = """
STOP = 0.01
LEVELS = [0.01]

class Fixed(Strategy):
    share = 0.02

    def __init__(self, candles, balance, position=None):
        super().__init__(candles, balance, position)
        self.width = 0.01
        self.level = float(candles["close"].iloc[-1])

    def should_long(self):
        return bool(self.candles["close"].iloc[-1] > self.candles["open"].iloc[-1])

    def should_short(self):
        return bool(self.candles["close"].iloc[-1] < self.candles["open"].iloc[-1])

    def calculate_position_size(self):
        return {size}

    def calculate_stop_loss(self):
        \"\"\"Two percent.\"\"\"
        return {stop}

    def calculate_take_profit(self):
        return 0.04
"""


def fixed(method: str, *, but_for: str = "", size: str = "100.0", stop: str = "0.02") -> bool:
    code = CODE.format(size=size, stop=stop)
    source = Source(code, SCOPE, {})
    candles = market(120)
    asked = Asked(source.fresh(), seen_at(candles, 119, 120), 1000.0, None, {}, code=code)
    return is_fixed(Methods(source, type(asked.user)), take(asked.user, 120), method, but_for=but_for)


@pytest.mark.parametrize(
    "stop", ["0.02", "-(-2) / 100", "STOP * 2", "self.width", "self.share", "self.params['x']"]
)
def test_stop_made_of_plain_values_is_fixed(stop: str) -> None:
    assert fixed("calculate_stop_loss", stop=stop)


@pytest.mark.parametrize(
    "stop",
    [
        "self.candles['close'].iloc[-1] * 0 + 0.02", "self.balance * 1e-5", "LEVELS[0]",
        "0.02 if self.position is None else 0.0", "float(np.random.rand())", "min(0.02, 0.03)",
        "len(self.candles) / 1e5",
    ],
)  # fmt: skip
def test_stop_that_may_change_is_not(stop: str) -> None:
    assert not fixed("calculate_stop_loss", stop=stop)


def test_size_of_the_balance_alone_is_told_from_others() -> None:
    size = "calculate_position_size"
    assert fixed(size, size="self.balance * self.share", but_for="balance")
    assert not fixed(size, size="self.balance * self.share")
    assert not fixed(size, size="self.balance * self.candles['close'].iloc[-1] / 1000", but_for="balance")


@pytest.mark.parametrize(
    "size", ["self.balance * 0.1", "self.balance / 0", "self.balance * -1", "self.balance > 1"]
)
def test_trades_are_those_of_a_stop_that_is_asked_each_time(size: str) -> None:
    def outcome(candles: CandleSeries, stop: str) -> object:
        job = BacktestJob(CODE.format(size=size, stop=stop), {}, settings(window=60, first_bar=90))
        try:
            return list(run(job, candles, scope=SCOPE).outcome.trades)
        except Exception as exc:  # noqa: BLE001 — what is raised is compared too
            return type(exc), str(exc)

    candles = market(400)
    found = outcome(candles, "0.004")
    assert found == outcome(candles, "min(0.004, 1.0)")
    assert found


def test_long_sorted_index_is_searched_without_being_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", sys.modules.get("pyarrow"))  # put back afterwards
    monkeypatch.setitem(sys.modules, "pandas_ta", ta)
    monkeypatch.setattr(indexing, "_SIZE_CUTOFF", indexing._SIZE_CUTOFF)
    user_scope()
    index = candle_frame(sample_window(20_000)).index
    assert index.get_loc(index[12_345]) == 12_345
    assert not index._engine.is_mapping_populated
