"""Plays a sweep: its combinations on every processor, at the lowest priority, each committed as it comes.

Each worker proves the causality of the first combination that it plays over a part, and a sample of the others;
what ranks first at the end is proved whole, and what that shows replaces what was found.

A sweep that is interrupted goes on where it stopped: what is in `backtest_sweep_runs` is not played again.
"""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog

from apps.backtest import sweep_results
from apps.backtest.guided_search import LAG, GuidedTrials
from apps.backtest.models import BacktestSweep, BacktestSweepRun, Job
from apps.backtest.run_player import Loader, Ready
from apps.backtest.services.search_space import Space
from apps.backtest.sweep_windows import Part, Window, windows_of
from apps.backtest.trials import GridTrials, Known, Place, Trial, Trials
from apps.backtest.work import Work
from apps.core.adapters.strategy_host.backtest_host import BacktestHost, BacktestWorker
from apps.core.adapters.strategy_host.plain_values import plain
from apps.market_data.services.candle_history import Queries
from domain.errors import StrategyError
from domain.ports import Clock

log = structlog.get_logger(__name__)

_MOST_EXACT = 50_000  # candles of a part that one combination may play the exact way: two minutes


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
        self._workers = min(workers or os.cpu_count() or 1, LAG)

    async def play(self, row: BacktestSweep, work: Work) -> None:
        """Load, play what is missing, rank, prove. Raises AristobotError: why it failed, in French."""
        ready = await self._loader.ready(row, work)
        count = len(ready.candles.series)
        windows = windows_of(ready.candles.first_bar, count, windows=row.windows, ratio=row.split_ratio)
        known = await self._queries.run(_known, row.pk)
        trials = _trials(row, windows, known, self._queries)
        sweep = _Sweep(row, ready, work, self._queries, trials, windows=windows, done=len(known))
        await self._on_every_processor(sweep, min(self._workers, row.total_runs - len(known)))
        await sweep.prove_the_best(self._host)
        results = await self._queries.run(sweep_results.ranked, row, ready, windows)
        await work.write(
            status=Job.Status.DONE,
            finished_at=self._clock.now(),
            lease_until=None,
            phase_progress=1.0,
            done_runs=row.total_runs,
            results=results,
        )

    async def _on_every_processor(self, sweep: "_Sweep", workers: int) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(sweep.serve(self._host))
        except ExceptionGroup as several:
            raise several.exceptions[0] from several


class _Sweep:
    """What the workers of one sweep share."""

    def __init__(
        self,
        row: BacktestSweep,
        ready: Ready,
        work: Work,
        queries: Queries,
        trials: Trials,
        *,
        windows: list[Window],
        done: int,
    ) -> None:
        self._row = row
        self._ready = ready
        self._work = work
        self._queries = queries
        self._trials = trials
        self._windows = windows
        self._done = done

    async def serve(self, host: BacktestHost) -> None:
        """Play trials until none is left; a worker whose strategy failed is replaced."""
        trial = await self._trials.take()
        while trial is not None:
            async with host.worker() as worker:
                await self._give(worker)
                proved: set[Part] = set()
                going_on = True
                while going_on and trial is not None:
                    going_on = await self._try(worker, trial, proved)
                    trial = await self._trials.take()

    async def prove_the_best(self, host: BacktestHost) -> None:
        """Prove whole what ranks first in each window; what the proof changes may put another one first."""
        async with host.worker() as worker:
            await self._give(worker)
            for window in self._windows:
                for _ in range(sweep_results.MOST_PROOFS):
                    best = await self._queries.run(sweep_results.unproved_best, self._row, window.number)
                    if best is None:
                        break
                    self._say(f"preuve du meilleur réglage, fenêtre {window.number + 1} sur {len(self._windows)}")
                    trial = Trial(best.number, window, best.params)
                    again = await self._played(worker, trial, set())
                    await self._queries.run(sweep_results.replace, best, again)

    async def _give(self, worker: BacktestWorker) -> None:
        await worker.give(self._ready.candles.series, finer=self._ready.candles.finer)

    async def _try(self, worker: BacktestWorker, trial: Trial, proved: set[Part]) -> bool:
        """Play one combination and commit it; return whether the worker can go on."""
        run = await self._played(worker, trial, proved)
        await self._queries.run(run.save)
        await self._trials.ended(trial, run.score)
        self._done += 1
        await self._work.note(done_runs=self._done)
        self._say(f"{self._done} / {self._row.total_runs} combinaisons")
        return not run.error

    async def _played(self, worker: BacktestWorker, trial: Trial, proved: set[Part]) -> BacktestSweepRun:
        """Play one combination in both parts.

        Args:
            proved: the parts over which this worker has proved another combination; a part that is not among them
                is proved now, and added.
        """
        found: list[dict[str, Any]] = [{}, {}]
        error = ""
        try:
            for place, part in enumerate((trial.window.in_sample, trial.window.out_of_sample)):
                found[place] = await self._play(worker, trial, part, prove=part not in proved)
                proved.add(part)
        except StrategyError as exc:
            error = exc.message
        return BacktestSweepRun(
            sweep_id=self._row.pk,
            number=trial.number,
            window=trial.window.number,
            params=trial.params,
            score=None if error else found[0][self._row.objective],
            in_sample=found[0],
            out_of_sample=found[1],
            error=error,
        )

    async def _play(self, worker: BacktestWorker, trial: Trial, part: Part, *, prove: bool) -> dict[str, Any]:
        job = self._ready.job(self._row, {**self._row.params, **trial.params})
        candles, first_bar = part.with_warm_up(job.settings.window)
        job = replace(job, settings=replace(job.settings, first_bar=first_bar), exact_at_most=_MOST_EXACT)
        played = (await worker.play(job, part=candles, full=False, prove=prove)).played
        look_ahead = played.checks.look_ahead
        return {
            **plain(played.metrics),
            "look_ahead": look_ahead.verdict.value,
            "bars_checked": look_ahead.bars_checked,
            "proved": look_ahead.prefixes_checked > 0,  # by itself, not by a sample of what another one proved
        }

    def _say(self, detail: str) -> None:
        """Tell how far it is: the proofs of the best count as one combination each."""
        self._work.tell(self._done / (self._row.total_runs + len(self._windows)), detail)


def _trials(row: BacktestSweep, windows: list[Window], known: Mapping[Place, Known], queries: Queries) -> Trials:
    space = Space.from_json(row.space)
    if row.sampler == BacktestSweep.Sampler.OPTUNA:
        return GuidedTrials(space, windows, known, runs=row.total_runs // row.windows, queries=queries)
    return GridTrials(space, windows, known)


def _known(sweep_id: int) -> dict[Place, Known]:
    rows = BacktestSweepRun.objects.filter(sweep_id=sweep_id)
    return {(row.window, row.number): Known(row.params, row.score) for row in rows}
