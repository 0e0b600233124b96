"""Plays a sweep: its combinations on every processor, at the lowest priority, each committed as it comes.

A sweep that is interrupted goes on where it stopped: what is in `backtest_sweep_runs` is not played again.
"""

import asyncio
import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import structlog

from apps.backtest.models import BacktestSweep, BacktestSweepRun, Job
from apps.backtest.run_player import Loader, Ready
from apps.backtest.services.search_space import Space
from apps.backtest.sweep_windows import Part, Window, windows_of
from apps.backtest.work import Work
from apps.core.adapters.strategy_host.backtest_host import BacktestHost, BacktestWorker
from apps.core.adapters.strategy_host.plain_values import plain
from apps.market_data.services.candle_history import Queries
from domain.errors import StrategyError
from domain.ports import Clock
from domain.strategies.params import Value

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Trial:
    """One combination in one window."""

    number: int
    window: Window
    params: dict[str, Value]


class SweepPlayer:
    """Plays `backtest_sweeps` rows.

    Args:
        workers: processes of one sweep, each with the candles of its own.
    """

    def __init__(
        self, *, loader: Loader, host: BacktestHost, queries: Queries, clock: Clock, workers: int | None = None
    ) -> None:
        self._loader = loader
        self._host = host
        self._queries = queries
        self._clock = clock
        self._workers = workers or os.cpu_count() or 1

    async def play(self, row: BacktestSweep, work: Work) -> None:
        """Load, play what is missing, rank. Raises AristobotError: why it failed, in French."""
        ready = await self._loader.ready(row, work)
        count = len(ready.candles.series)
        windows = windows_of(ready.candles.first_bar, count, windows=row.windows, ratio=row.split_ratio)
        played = await self._queries.run(_played, row.pk)
        trials = deque(each for each in _trials(row, windows) if (each.window.number, each.number) not in played)
        sweep = _Sweep(row, ready, work, self._queries, trials, done=len(played))
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._workers, len(trials))):
                    group.create_task(sweep.serve(self._host))
        except ExceptionGroup as several:
            raise several.exceptions[0] from several
        results = await self._queries.run(_ranked, row, ready, windows)
        await work.write(
            status=Job.Status.DONE,
            finished_at=self._clock.now(),
            lease_until=None,
            phase_progress=1.0,
            done_runs=row.total_runs,
            results=results,
        )


class _Sweep:
    """What the workers of one sweep share."""

    def __init__(
        self, row: BacktestSweep, ready: Ready, work: Work, queries: Queries, trials: "deque[Trial]", *, done: int
    ) -> None:
        self._row = row
        self._ready = ready
        self._work = work
        self._queries = queries
        self._trials = trials
        self._done = done

    async def serve(self, host: BacktestHost) -> None:
        """Play trials until none is left; a worker whose strategy failed is replaced."""
        while self._trials:
            async with host.worker() as worker:
                await worker.give(self._ready.candles.series, finer=self._ready.candles.finer)
                while self._trials:
                    if not await self._try(worker, self._trials.popleft()):
                        break

    async def _try(self, worker: BacktestWorker, trial: Trial) -> bool:
        """Play one combination in both parts and commit it; return whether the worker can go on."""
        found: list[dict[str, Any]] = [{}, {}]
        error = ""
        try:
            for place, part in enumerate((trial.window.in_sample, trial.window.out_of_sample)):
                found[place] = await self._play(worker, trial, part)
        except StrategyError as exc:
            error = exc.message
        score = None if error else found[0][self._row.objective]
        run = BacktestSweepRun(
            sweep_id=self._row.pk,
            number=trial.number,
            window=trial.window.number,
            params=trial.params,
            score=score,
            in_sample=found[0],
            out_of_sample=found[1],
            error=error,
        )
        await self._queries.run(run.save)
        self._done += 1
        total = self._row.total_runs
        await self._work.note(done_runs=self._done)
        self._work.tell("running", self._done / total, f"{self._done} / {total} combinaisons")
        return not error

    async def _play(self, worker: BacktestWorker, trial: Trial, part: Part) -> dict[str, Any]:
        job = self._ready.job(self._row, {**self._row.params, **trial.params})
        candles, first_bar = part.with_warm_up(job.settings.window)
        job = replace(job, settings=replace(job.settings, first_bar=first_bar))
        played = (await worker.play(job, part=candles, full=False)).played
        return {**plain(played.metrics), "look_ahead": played.checks.look_ahead.verdict.value}


def _trials(row: BacktestSweep, windows: list[Window]) -> Iterator[Trial]:
    combinations = Space.from_json(row.space).grid()
    for window in windows:
        for number, params in enumerate(combinations):
            yield Trial(number, window, params)


def _played(sweep_id: int) -> set[tuple[int, int]]:
    return set(BacktestSweepRun.objects.filter(sweep_id=sweep_id).values_list("window", "number"))


def _ranked(row: BacktestSweep, ready: Ready, windows: list[Window]) -> dict[str, Any]:
    """Return the best of each window, and what following them out of sample would have given.

    Raises:
        StrategyError: every combination failed, as the first one did.
    """
    runs = list(BacktestSweepRun.objects.filter(sweep=row).order_by("window", "number"))
    failed = [run for run in runs if run.error]
    if runs and len(failed) == len(runs):
        raise StrategyError(f"Balayage échoué : toutes les combinaisons échouent. {failed[0].error}")
    best = [_best(row, ready, window, runs) for window in windows]
    growth = 1.0
    for each in best:
        growth *= 1 + (each["out_of_sample_return"] or 0.0)
    return {"windows": best, "out_of_sample_return": growth - 1, "failed_runs": len(failed)}


def _best(row: BacktestSweep, ready: Ready, window: Window, runs: list[BacktestSweepRun]) -> dict[str, Any]:
    scored = [run for run in runs if run.window == window.number and run.score is not None]
    best = max(scored, key=lambda run: (run.score, -run.number), default=None)
    times, step = ready.candles.series.open_time_ms, ready.candles.series.step_ms
    return {
        "window": window.number,
        "in_sample": [int(times[window.in_sample.low]), int(times[window.in_sample.high - 1]) + step],
        "out_of_sample": [int(times[window.out_of_sample.low]), int(times[window.out_of_sample.high - 1]) + step],
        "best": None if best is None else best.number,
        "params": None if best is None else best.params,
        "out_of_sample_return": None if best is None else best.out_of_sample["net_return"],
    }
