"""One backtest from its inputs to its report. Runs user code: in the sandboxed child only."""

import random
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from domain.backtest import facts, metrics
from domain.backtest.contract import (
    AmbiguityCheck,
    BacktestJob,
    BacktestReport,
    CandleSeries,
    Checks,
    EnginePath,
    LookAheadCheck,
    Outcome,
    Timing,
    Verdict,
    WindowCheck,
)
from domain.backtest.engine import simulate
from domain.backtest.literal import LiteralDecisions
from domain.errors import StrategyInvalid
from domain.strategies.base import Strategy
from domain.strategies.loader import check_class, invalid, load
from domain.strategies.params import declared_params

# Progress is told a fraction of 1 at most this often; a caller that stops a run raises from it.
_PROGRESS_EVERY_S = 0.05


def run(
    job: BacktestJob,
    candles: CandleSeries,
    *,
    scope: Mapping[str, Any],
    finer: CandleSeries | None = None,
    progress: Callable[[float], None] | None = None,
) -> BacktestReport:
    """Play a strategy over candles and say how far the result can be believed.

    Args:
        candles: closed, oldest first, unique times; the first `settings.first_bar` are the warm-up.
        scope: names the user's code finds: pd, np, ta.
        finer: smaller candles of the same market, wherever they are known; they decide which protection
            a candle met first.
        progress: called with a fraction of 1, at least five times a second; what it raises ends the run.

    Returns:
        The same report for the same arguments, `timing` excepted.

    Raises:
        StrategyInvalid, StrategyError: the code is not a strategy, or failed; with its line.
        StrategyInvalid: no candle may decide.
        MemoryError: it ate its memory.
    """
    return _Runner(job, candles, scope, finer, progress).report()


class _Runner:
    def __init__(
        self,
        job: BacktestJob,
        candles: CandleSeries,
        scope: Mapping[str, Any],
        finer: CandleSeries | None,
        progress: Callable[[float], None] | None,
    ) -> None:
        self._job, self._candles, self._scope, self._finer = job, candles, scope, finer
        self._progress = progress
        self._told_at = 0.0

    def report(self) -> BacktestReport:
        started = time.perf_counter()
        self._check()
        random.seed(self._job.seed)
        np.random.seed(self._job.seed % 2**32)
        decisions = LiteralDecisions(
            self._fresh,
            self._candles,
            self._job.params,
            window=self._job.settings.window,
            code=self._job.code,
            tick=self._tell,
        )
        outcome = simulate(self._candles, decisions, self._job.settings)
        engine_s = time.perf_counter() - started
        checks = Checks(
            LookAheadCheck(Verdict.UNPROVEN, (), 0, 0, "chemin exact"),
            WindowCheck(Verdict.UNPROVEN, self._job.settings.window, ()),
            AmbiguityCheck(outcome.ambiguous_count, 0, outcome.final_balance, outcome.final_balance),
            facts.coverage(self._candles),
        )
        return BacktestReport(
            outcome=outcome,
            metrics=self._metrics(outcome),
            checks=checks,
            path=EnginePath.LITERAL,
            fallback="",
            bars=len(self._candles) - self._job.settings.first_bar,
            assumptions=facts.assumptions(self._job.settings, finer=self._finer),
            hashes=facts.hashes(self._job, self._candles, self._finer),
            timing=Timing(engine_s, 0.0, time.perf_counter() - started),
        )

    def _fresh(self) -> type[Strategy]:
        return load(self._job.code, self._scope)

    def _check(self) -> None:
        problems = [*check_class(self._fresh()), *declared_params(self._job.code).errors]
        if problems:
            raise invalid(problems)
        if not 0 <= self._job.settings.first_bar < len(self._candles):
            raise StrategyInvalid(
                f"Backtest impossible : {len(self._candles)} bougies, dont {self._job.settings.first_bar} "
                "de préchauffage ; il n'en reste aucune à jouer."
            )

    def _tell(self, bar: int) -> None:
        if self._progress is not None and time.perf_counter() - self._told_at >= _PROGRESS_EVERY_S:
            self._told_at = time.perf_counter()
            self._progress(bar / len(self._candles))

    def _metrics(self, outcome: Outcome) -> metrics.Metrics:
        candles, first = self._candles, self._job.settings.first_bar
        held = outcome.open_position
        return metrics.compute(
            outcome.trades,
            outcome.equity,
            close_time_ms=candles.open_time_ms[first:] + candles.step_ms,
            step_ms=candles.step_ms,
            initial_amount=self._job.settings.initial_amount,
            final_balance=outcome.final_balance,
            held_bars=0 if held is None else len(candles) - held.entry_bar,
            first_open=float(candles.open[first]),
            last_close=float(candles.close[-1]),
        )
