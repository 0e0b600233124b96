"""Our engine in a process of its own: `python -m bench.backtest_child CANDLES.npz`, one line of JSON.

The run takes place twice, as in a worker that has played before; the second one counts. `cpu` is of this
process: what else the machine does weighs little on it.
"""

import json
import resource
import sys
import time
from decimal import Decimal
from typing import Any

import numpy as np

from apps.core.adapters.strategy_host.child import user_scope
from domain.backtest.contract import BacktestJob, BacktestReport, BacktestSettings, CandleSeries
from domain.backtest.run import run
from domain.markets import Market

WARM_UP = 499
MARKET = Market(
    symbol="BTC/USDT",
    exchange_id="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick_size=Decimal("0.01"),
    step_size=Decimal("0.00001"),
    min_notional=Decimal(5),
)
# The specification's class, word for word but for its comments.
CODE = """\
import pandas_ta as ta


class EmaCrossStrategy(Strategy):
    def __init__(self, candles, balance, position=None):
        self.candles = candles
        self.balance = balance
        self.position = position
        self.candles["ema10"] = ta.ema(self.candles["close"], length=10)
        self.candles["ema20"] = ta.ema(self.candles["close"], length=20)

    def should_long(self) -> bool:
        if len(self.candles) < 21:
            return False
        ema10_now = self.candles["ema10"].iloc[-1]
        ema10_prev = self.candles["ema10"].iloc[-2]
        ema20_now = self.candles["ema20"].iloc[-1]
        ema20_prev = self.candles["ema20"].iloc[-2]
        return ema10_prev < ema20_prev and ema10_now > ema20_now

    def should_short(self) -> bool:
        if len(self.candles) < 21:
            return False
        ema10_now = self.candles["ema10"].iloc[-1]
        ema10_prev = self.candles["ema10"].iloc[-2]
        ema20_now = self.candles["ema20"].iloc[-1]
        ema20_prev = self.candles["ema20"].iloc[-2]
        return ema10_prev > ema20_prev and ema10_now < ema20_now

    def calculate_position_size(self) -> float:
        return self.balance * 0.1

    def calculate_stop_loss(self) -> float:
        return 0.02

    def calculate_take_profit(self) -> float:
        return 0.04
"""


def main() -> int:
    """Play the strategy and write what it cost."""
    scope = user_scope()
    with np.load(sys.argv[1]) as stored:
        columns = [stored[name] for name in ("time_ms", "open", "high", "low", "close", "volume")]
    candles = CandleSeries(60_000, *columns)
    settings = BacktestSettings(market=MARKET, initial_amount=Decimal(10_000), first_bar=WARM_UP)
    job = BacktestJob(CODE, {}, settings, seed=1)
    run(job, candles, scope=scope)
    by_clock = run(job, candles, scope=scope)
    by_cpu = run(job, candles, scope=scope, clock=time.process_time)
    sys.stdout.write(json.dumps(_facts(by_clock, by_cpu)) + "\n")
    return 0


def _facts(by_clock: BacktestReport, by_cpu: BacktestReport) -> dict[str, Any]:
    cpu, wall = by_cpu.timing, by_clock.timing
    return {
        "wall_s": wall.engine_s,
        "cpu_s": cpu.engine_s,
        "proved_wall_s": wall.engine_s + wall.proof_s,
        "proved_cpu_s": cpu.engine_s + cpu.proof_s,
        "total_cpu_s": cpu.total_s,
        "trades": len(by_clock.outcome.trades),
        "path": by_clock.path.value,
        "checked": by_clock.checks.look_ahead.bars_checked,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    sys.exit(main())
