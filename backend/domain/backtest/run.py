"""One backtest from its inputs to its report. Runs user code: in the sandboxed child only."""

import random
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from domain.backtest import facts, metrics
from domain.backtest.certificate import Certificate
from domain.backtest.contract import (
    AmbiguityCheck,
    BacktestJob,
    BacktestReport,
    CandleSeries,
    Checks,
    Decisions,
    Outcome,
    Timing,
    Touch,
)
from domain.backtest.engine import simulate
from domain.backtest.finer import FinerCandles
from domain.backtest.route import Route
from domain.backtest.source import Source
from domain.errors import StrategyInvalid
from domain.strategies.loader import check_class, invalid
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
    clock: Callable[[], float] = time.perf_counter,
    given: Certificate | None = None,
) -> BacktestReport:
    """Play a strategy over candles and say how far the result can be believed.

    Args:
        candles: closed, oldest first, unique times; the first `settings.first_bar` are the warm-up.
        scope: names the user's code finds: pd, np, ta.
        finer: smaller candles of the same market, wherever they are known; they decide which protection
            a candle met first.
        progress: called with a fraction of 1, at least five times a second; what it raises ends the run.
        clock: what `timing` counts with, seconds; a bench gives that of its CPU.
        given: the `certificate` of an earlier report. A run of the same text, candles and window is then not
            proved anew. With other parameters, 24 of its bars are still played the exact way, bars that
            see less than a window always are, and where anything differs (columns, their kinds, a decision)
            the run proves itself as if nothing had been given. A certificate of something else is left aside.

    Returns:
        The same report for the same arguments, `timing` excepted. Trades do not depend on `given`.

    Raises:
        StrategyInvalid, StrategyError: the code is not a strategy, or failed; with its line.
        StrategyInvalid: no candle may decide.
        MemoryError: it ate its memory.
    """
    return _Runner(job, candles, scope, finer, progress).report(clock, given)


class _Runner:
    def __init__(
        self,
        job: BacktestJob,
        candles: CandleSeries,
        scope: Mapping[str, Any],
        finer: CandleSeries | None,
        progress: Callable[[float], None] | None,
    ) -> None:
        self._job, self._candles, self._finer = job, candles, finer
        self._source = Source(job.code, scope, job.params)
        self._progress = progress
        self._told_at = self._fraction = 0.0
        self._inside = None if finer is None else FinerCandles(candles, finer)

    def report(self, clock: Callable[[], float], given: Certificate | None) -> BacktestReport:
        began = clock()
        hashes = facts.hashes(self._job, self._candles, self._finer)
        started = clock()
        self._check()
        random.seed(self._job.seed)
        np.random.seed(self._job.seed % 2**32)
        ticks = (self._tell, self._pulse)
        route = Route(self._source, self._job, self._candles, ticks, clock, hashes=hashes, given=given)
        outcome, proved = route.play(self._play)
        engine_s = clock() - started - proved.seconds
        settings = self._job.settings
        band = self._band(outcome, route.decisions)
        route.forget()
        return BacktestReport(
            outcome=outcome,
            metrics=self._metrics(outcome),
            checks=Checks(
                look_ahead=proved.look_ahead,
                window=proved.window,
                ambiguous_candles=band,
                coverage=facts.coverage(self._candles),
            ),
            path=route.path,
            fallback=route.fallback,
            bars=len(self._candles) - settings.first_bar,
            assumptions=facts.assumptions(settings, finer=self._finer, windowed=route.windowed),
            hashes=hashes,
            timing=Timing(engine_s, proved.seconds, clock() - began),
            certificate=route.certificate,
        )

    def _play(self, decisions: Decisions, *, again: bool = False) -> Outcome:
        if not again:
            self._fraction = 0.0
        return simulate(
            self._candles,
            decisions,
            self._job.settings,
            ambiguous=Touch.TARGET_FIRST if again else Touch.STOP_FIRST,
            inside=self._inside,
            progress=self._pulse if again else self._tell,
        )

    def _band(self, outcome: Outcome, decisions: Decisions) -> AmbiguityCheck:
        """Play the run again with every undecided candle turned well."""
        best = outcome
        if outcome.ambiguous_count:
            best = self._play(decisions, again=True)
        return AmbiguityCheck(
            count=outcome.ambiguous_count,
            decided=outcome.decided_count,
            worst=min(outcome.final_balance, best.final_balance),
            best=max(outcome.final_balance, best.final_balance),
        )

    def _check(self) -> None:
        problems = [*check_class(self._source.fresh()), *declared_params(self._job.code).errors]
        if problems:
            raise invalid(problems)
        if not 0 <= self._job.settings.first_bar < len(self._candles):
            raise StrategyInvalid(
                f"Backtest impossible : {len(self._candles)} bougies, dont {self._job.settings.first_bar} "
                "de préchauffage ; il n'en reste aucune à jouer."
            )

    def _tell(self, bar: int) -> None:
        """Tell how far the run is; it starts again when the exact way takes over."""
        self._fraction = max(self._fraction, bar / len(self._candles))
        self._pulse(bar)

    def _pulse(self, _: int) -> None:
        """Tell the same again, so that a run can be stopped while it proves or plays a second time."""
        now = time.perf_counter()
        if self._progress is not None and now - self._told_at >= _PROGRESS_EVERY_S:
            self._told_at = now
            self._progress(self._fraction)

    def _metrics(self, outcome: Outcome) -> metrics.Metrics:
        candles, first = self._candles, self._job.settings.first_bar
        held = outcome.open_position
        return metrics.compute(
            outcome.trades.tally(0 if held is None else len(candles) - held.entry_bar),
            outcome.equity,
            close_time_ms=candles.open_time_ms[first:] + candles.step_ms,
            step_ms=candles.step_ms,
            initial_amount=self._job.settings.initial_amount,
            final_balance=outcome.final_balance,
            first_open=float(candles.open[first]),
            last_close=float(candles.close[-1]),
        )
