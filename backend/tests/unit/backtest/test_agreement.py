"""Whatever the path, the trades are those of the exact way: a fresh instance on the window of each bar."""

import os
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pandas_ta_classic as ta
import pytest

from apps.strategies.examples import EXAMPLES, Example
from domain.backtest.contract import BacktestJob, BacktestReport, CandleSeries, EnginePath, Outcome
from domain.backtest.engine import simulate
from domain.backtest.literal import LiteralDecisions
from domain.backtest.run import run
from domain.backtest.source import Source
from tests.unit.backtest.plain import Plain
from tests.unit.backtest.scripted import MARKET, settings
from tests.unit.backtest.test_causality import market

SCOPE = {"pd": pd, "np": np, "ta": ta}
BTC_MARKET = replace(MARKET, tick_size=Decimal("1e-8"), step_size=Decimal("1e-3"), min_notional=Decimal("1e-4"))
PAIRS = tuple(
    f"{base}_BTC" for base in ["ADA", "DASH", "ETC", "ETH", "LTC", "NXT", "TRX", "UNITTEST", "XLM", "XMR", "ZEC"]
)
WHOLE = os.environ.get("ARISTOBOT_WHOLE_AGREEMENT") == "1"
WINDOW, FIRST = 200, 210
RECORDED = Path(os.environ.get("ARISTOBOT_TEST_DATA", Path(__file__).parents[5] / "shared/data"))
RECORDED_5M = RECORDED / "freqtrade_11pairs_5m_2018-01.parquet"

EMA = """
import pandas_ta as ta

class EmaCross(Strategy):
    def __init__(self, candles, balance, position=None):
        self.candles = candles
        self.balance = balance
        self.position = position
        self.candles["ema10"] = ta.ema(self.candles["close"], length=10)
        self.candles["ema20"] = ta.ema(self.candles["close"], length=20)

    def should_long(self) -> bool:
        {long}

    def should_short(self) -> bool:
        {short}

    def rising(self, back=1):
        return self.candles["ema10"].iloc[-back] > self.candles["ema20"].iloc[-back]

    def above(self):
        return self.candles["ema10"].iloc[-1] > self.candles["ema20"].iloc[-1]

    def calculate_position_size(self) -> float:
        return self.balance * 0.1

    def calculate_stop_loss(self) -> float:
        return {stop}

    def calculate_take_profit(self) -> float:
        return 0.04
"""
CROSS = """if len(self.candles) < 21:
            return False
        ema10_now = self.candles["ema10"].iloc[-1]
        ema10_prev = self.candles["ema10"].iloc[-2]
        ema20_now = self.candles["ema20"].iloc[-1]
        ema20_prev = self.candles["ema20"].iloc[-2]
        return ema10_prev {0} ema20_prev and ema10_now {1} ema20_now"""
SELL = CROSS.format(">", "<")
VECTORISED, PREFIX_VIEW, LITERAL = EnginePath.VECTORISED, EnginePath.PREFIX_VIEW, EnginePath.LITERAL

# should_long, should_short, stop, the path that is expected.
CASES = {
    "the specification's": (CROSS.format("<", ">"), SELL, "0.02", VECTORISED),
    "stop from indicators": (
        CROSS.format("<", ">"),
        SELL,
        'min(0.5, abs(2 - 2 * self.candles["ema20"].iloc[-1] / self.candles["ema10"].iloc[-2]))',
        VECTORISED,
    ),
    "rows and aliases": (
        "now, before = self.candles.iloc[-1], self.candles.iloc[-2]\n"
        '        return bool(now["ema10"] > now["ema20"] and not before["ema10"] > before["ema20"])',
        'c = self.candles\n        return bool(c["ema10"].iloc[-1] < c["ema20"].iloc[-1])',
        "0.02",
        VECTORISED,
    ),
    "helper, branches, arithmetic": (
        "if self.position is not None:\n            return False\n"
        "        if self.above():\n"
        "            gap = self.candles['ema10'].iloc[-1] / self.candles['ema20'].iloc[-1] - 1\n"
        "            return gap > 0.001 or self.candles['close'].iloc[-1] > max(self.candles['open'].iloc[-1], 0)\n"
        "        else:\n            return False",
        "return not self.above()",
        "0.02",
        VECTORISED,
    ),
    "position in profit": (
        CROSS.format("<", ">"),
        "if self.position is None:\n            return False\n"
        "        return self.position.unrealized_pnl > 0.3 or self.position.entry_price * 0.99 > "
        'float(self.candles["close"].iloc[-1])',
        "0.0",
        PREFIX_VIEW,
    ),
    "loop": (
        "for back in range(1, 4):\n"
        '            if self.candles["ema10"].iloc[-back] < self.candles["ema20"].iloc[-back]:\n'
        "                return False\n        return True",
        "return not self.rising(2)",
        "0.02",
        PREFIX_VIEW,
    ),
    "pandas in the method": (
        'recent = self.candles["close"].iloc[-20:]\n'
        '        return bool(self.candles["close"].iloc[-1] >= recent.max())',
        'return bool(self.candles["close"].rolling(10).mean().iloc[-1] > self.candles["close"].iloc[-1])',
        "0.02",
        PREFIX_VIEW,
    ),
    "value kept on self": (
        'self.gap = self.candles["ema10"].iloc[-1] - self.candles["ema20"].iloc[-1]\n'
        "        return bool(self.gap > 0)",
        "return not self.above()",
        "0.02 if self.gap > 0.1 else 0.03",
        PREFIX_VIEW,
    ),
    "memory between bars": (
        "self.params.setdefault('calls', []).append(1)\n        return len(self.params['calls']) > 2",
        "return not self.above()",
        "0.02",
        LITERAL,
    ),
    "global memory": (
        "global seen\n        seen = self.above()\n        return seen",
        "return False",
        "0.02",
        LITERAL,
    ),
    "getattr": ("return bool(getattr(self, 'above')())", "return not self.above()", "0.02", LITERAL),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _pandas_ta_by_its_usual_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas_ta", ta)


def both(code: str, candles: CandleSeries, **changes: Any) -> tuple[BacktestReport, Outcome]:
    rules = settings(window=WINDOW, first_bar=FIRST, **changes)
    report = run(BacktestJob(code, {}, rules, seed=4), candles, scope=SCOPE)
    source = Source(code, SCOPE, {})
    exact = LiteralDecisions(source.fresh, candles, {}, window=WINDOW, code=code)
    return report, simulate(candles, exact, rules)


def same(report: BacktestReport, exact: Outcome) -> None:
    assert report.outcome.trades == exact.trades
    assert report.outcome.open_position == exact.open_position
    assert report.outcome.equity.tolist() == exact.equity.tolist()
    assert report.outcome.refusals == exact.refusals


def with_a_flat_stretch(candles: CandleSeries) -> CandleSeries:
    """Nobody trades for a while: indicators end on one value, and only their rounding tells them apart."""
    for column in (candles.open, candles.high, candles.low, candles.close):
        column[250:330] = candles.close[249]
    return candles


@pytest.mark.parametrize(("long", "short", "stop", "path"), CASES.values(), ids=CASES)
def test_every_path_gives_the_trades_of_the_exact_way(long: str, short: str, stop: str, path: EnginePath) -> None:
    report, exact = both(EMA.format(long=long, short=short, stop=stop), with_a_flat_stretch(market(420)))
    same(report, exact)
    assert (report.path, bool(report.fallback)) == (path, path is not VECTORISED)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_library_gives_the_trades_of_the_exact_way(example: Example) -> None:
    report, exact = both(example.code, market(340))
    same(report, exact)


def recorded(pair: str, part: slice) -> CandleSeries:
    table = pd.read_parquet(RECORDED_5M, filters=[("pair", "==", pair)]).iloc[part]
    times = table["date"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()
    columns = [table[name].to_numpy(dtype="float64") for name in ("open", "high", "low", "close", "volume")]
    return CandleSeries(300_000, times, *columns)


@pytest.mark.skipif(not RECORDED_5M.exists(), reason=f"recorded candles absent: {RECORDED_5M}")
@pytest.mark.parametrize(("number", "pair"), enumerate(PAIRS), ids=PAIRS)
def test_recorded_market_gives_the_trades_of_a_fresh_instance_at_each_bar(number: int, pair: str) -> None:
    """The engine beside a plain loop in Decimals that asks a new instance at each close.

    Twelve hours of each pair, each elsewhere in the file; all 63,306 candles with ARISTOBOT_WHOLE_AGREEMENT=1.
    """
    series = recorded(pair, slice(None) if WHOLE else slice(500 * number, 500 * number + FIRST + 144))
    code = EMA.format(long=CROSS.format("<", ">"), short=SELL, stop="0.02")
    rules = replace(
        settings(window=WINDOW, first_bar=FIRST, market=BTC_MARKET, taker_fee_ratio=Decimal("0.001")),
        slippage_ratio=Decimal("0.0005"), maker_fee_ratio=Decimal("0.0008"),
    )  # fmt: skip
    report = run(BacktestJob(code, {}, rules, seed=4), series, scope=SCOPE)
    plain = Plain(
        series, LiteralDecisions(Source(code, SCOPE, {}).fresh, series, {}, window=WINDOW, code=code), rules
    )
    assert list(report.outcome.trades) == plain.trades
    assert report.outcome.equity.tolist() == plain.equity
    assert [each.bar for each in report.outcome.refusals] == [each.bar for each in plain.refusals]
    assert report.path is EnginePath.VECTORISED
    assert len(plain.trades) >= (100 if WHOLE else 1)
