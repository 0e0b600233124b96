"""The exact path: what a strategy is shown at each bar, and that its answers are played."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from domain.backtest.engine import simulate
from domain.backtest.literal import LiteralDecisions
from domain.errors import StrategyError
from domain.strategies.base import Strategy, StrategyPosition
from domain.strategies.loader import load
from tests.unit.backtest.scripted import Scripted, candles, flat, settings

SEEN: list[tuple[int, float, float, StrategyPosition | None]] = []
SCOPE = {"pd": pd, "np": np, "seen": SEEN}
# Buys when the last close is 101, leaves when it is 105; remembers what it saw.
CODE = """
class Watcher(Strategy):
    def __init__(self, candles, balance, position=None):
        self.candles, self.balance, self.position = candles, balance, position
        seen.append((len(candles), float(candles["close"].iloc[-1]), balance, position))

    def should_long(self):
        return self.candles["close"].iloc[-1] == 101

    def should_short(self):
        return self.candles["close"].iloc[-1] == 105

    def calculate_position_size(self):
        return self.balance / 2

    def calculate_stop_loss(self):
        return 0.1

    def calculate_take_profit(self):
        return 0.0
"""
ROWS = [*flat(100, 2), (100, 101, 100, 101), (102, 103, 101, 103), (103, 105, 103, 105), *flat(106, 2)]


def fresh() -> type[Strategy]:
    return load(CODE, SCOPE)


def test_strategy_is_asked_at_each_close_with_what_was_known_then() -> None:
    SEEN.clear()
    series = candles(*ROWS)
    outcome = simulate(series, LiteralDecisions(fresh, series, {}, window=3), settings())
    (trade,) = outcome.trades
    # Half of 1000 at the close of 101 is 4.95 BTC, bought at the open 102 and sold at the open 106.
    assert (trade.entry_bar, trade.exit_bar, trade.quantity) == (3, 5, Decimal("4.950"))
    assert [(length, close) for length, close, _, _ in SEEN[:3]] == [(1, 100.0), (2, 100.0), (3, 101.0)]
    assert all(length == 3 for length, _, _, _ in SEEN[3:])
    held = [position for _, _, _, position in SEEN if position is not None]
    assert [round(position.unrealized_pnl, 6) for position in held] == [4.95, 14.85]
    assert (held[0].entry_price, held[0].stop_loss) == (102.0, 90.9)


def test_same_decisions_as_a_script_of_them() -> None:
    series = candles(*ROWS)
    literal = simulate(series, LiteralDecisions(fresh, series, {}, window=500), settings())
    scripted = simulate(series, Scripted({2}, {4}, size=500.0, stop=0.1), settings())
    assert literal.trades == scripted.trades
    assert literal.equity.tolist() == scripted.equity.tolist()


def test_failing_code_stops_the_run_with_its_line() -> None:
    code = CODE.replace("== 101", "== 101 / 0")
    series = candles(*ROWS)
    with pytest.raises(StrategyError) as failed:
        simulate(series, LiteralDecisions(lambda: load(code, SCOPE), series, {}, window=3, code=code), settings())
    assert failed.value.details["line"] == 8


def test_what_the_text_keeps_in_a_variable_is_forgotten_at_the_next_bar() -> None:
    code = "calls = []\n" + CODE.replace(
        "return self.candles", "calls.append(1); return len(calls) > 1 or self.candles", 1
    )
    series = candles(*flat(100, 4))
    decisions = LiteralDecisions(lambda: load(code, SCOPE), series, {}, window=3)
    assert simulate(series, decisions, settings()).open_position is None
