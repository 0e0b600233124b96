"""A strategy tried at once on the last candles: what it would have traded, and where it wanted to.

It runs in the sandboxed child, the exact way, on a few hundred candles.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from domain.backtest.contract import BacktestSettings, CandleSeries, Outcome
from domain.backtest.engine import simulate
from domain.backtest.literal import LiteralDecisions
from domain.backtest.quick_contract import MAX_TRADES, QuickTestJob, QuickTestResult, QuickTrade
from domain.errors import StrategyInvalid
from domain.strategies.contract import DEFAULT_WINDOW
from domain.strategies.loader import check_class, invalid, load
from domain.strategies.params import declared_params

_SHARES = 50  # how finely progress is told


def quick_test(
    job: QuickTestJob, scope: Mapping[str, Any], *, progress: Callable[[float], None] = lambda ratio: None
) -> QuickTestResult:
    """Play the strategy over the candles.

    Args:
        progress: told now and then which share of the tested candles has been decided, 0..1.

    Raises:
        StrategyInvalid, StrategyError: the code is not a strategy, or failed; with its line.
        MemoryError: it ate its memory.
    """
    strategy = load(job.code, scope)
    problems = [*check_class(strategy), *declared_params(job.code).errors]
    if problems:
        raise invalid(problems)
    candles = _series(job)
    if not len(candles):
        raise StrategyInvalid("Essai impossible : aucune bougie.")
    first_bar = max(0, len(candles) - job.tested)
    decisions = LiteralDecisions(
        lambda: load(job.code, scope),
        candles,
        job.params,
        window=DEFAULT_WINDOW,
        code=job.code,
        tick=_ticker(progress, first=first_bar, last=len(candles) - 1),
    )
    settings = BacktestSettings(
        market=job.market,
        initial_amount=job.initial_amount,
        taker_fee_ratio=job.market.taker_fee_ratio,
        maker_fee_ratio=job.market.maker_fee_ratio,
        first_bar=first_bar,
    )
    return _result(simulate(candles, decisions, settings))


def _ticker(progress: Callable[[float], None], *, first: int, last: int) -> Callable[[int], None]:
    """Return what is told of each bar and passes on the first of each further share."""
    told = 0

    def tick(bar: int) -> None:
        nonlocal told
        share = _SHARES * (bar - first) // max(1, last - first)
        if share > told:
            told = share
            progress(share / _SHARES)

    return tick


def _series(job: QuickTestJob) -> CandleSeries:
    window = job.candles
    columns = (window.open, window.high, window.low, window.close, window.volume)
    times: Any = np.asarray(window.open_time_ms, dtype="int64")
    return CandleSeries(job.step_ms, times, *(np.asarray(column, dtype="float64") for column in columns))


def _result(outcome: Outcome) -> QuickTestResult:
    trades = [
        QuickTrade(
            entry_time_ms=each.entry_time_ms,
            exit_time_ms=each.exit_time_ms,
            quantity=each.quantity,
            entry_price=each.entry_price,
            exit_price=each.exit_price,
            fees=each.fees,
            profit=each.profit,
            reason=each.reason.value,
        )
        for each in outcome.trades[-MAX_TRADES:]
    ]
    held = outcome.open_position
    return QuickTestResult(
        trades=trades,
        refusals=[(each.time_ms, each.reason) for each in outcome.refusals[:50]],
        final_balance=outcome.final_balance,
        open_since_ms=None if held is None else held.entry_time_ms,
        trade_count=len(outcome.trades),
        ambiguous_count=outcome.ambiguous_count,
    )
