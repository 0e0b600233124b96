"""Plays one run from its claim to its result."""

import asyncio
from dataclasses import dataclass
from typing import Any

import structlog

from apps.backtest import inputs, loading, results
from apps.backtest.fees import Fees
from apps.backtest.inputs import Target
from apps.backtest.loading import Candles
from apps.backtest.models import BacktestResult, Job
from apps.backtest.work import Work
from apps.core.adapters.strategy_host.backtest_host import BacktestHost, FullResult
from apps.market_data.services.candle_history import CandleHistory, Queries
from domain.backtest.contract import BacktestJob
from domain.errors import Unavailable
from domain.ports import Clock, Gateway

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ready:
    """A job whose first phase is over."""

    target: Target
    candles: Candles
    fees: Fees

    def job(self, row: Job, params: Any) -> BacktestJob:
        settings = inputs.settings_of(row, self.target, self.fees, first_bar=self.candles.first_bar)
        return BacktestJob(code=row.code, params=params, settings=settings)


class Loader:
    """The first phase, of runs and sweeps alike."""

    def __init__(
        self,
        *,
        gateway: Gateway,
        history: CandleHistory,
        queries: Queries,
        clock: Clock,
        wait: loading.Wait = lambda: None,
    ) -> None:
        self._gateway = gateway
        self._wait = wait
        self._history = history
        self._queries = queries
        self._clock = clock

    async def ready(self, row: Job, work: Work) -> Ready:
        """Return what is needed to play, the row marked `running`. Raises AristobotError."""
        target = await self._queries.run(inputs.target_of, row, now=self._clock.now())
        fees = asyncio.create_task(inputs.fees_of(row, target, self._gateway))
        try:
            candles = await loading.load(
                target,
                row.user_id,
                history=self._history,
                queries=self._queries,
                wait=self._wait,
                tell=work.tell,
            )
            known = await fees
        finally:
            fees.cancel()
        await work.write(status=Job.Status.RUNNING, phase_progress=0.0, candle_source=target.source)
        return Ready(target, candles, known)


class RunPlayer:
    """Plays `backtest_results` rows."""

    def __init__(self, *, loader: Loader, host: BacktestHost, queries: Queries, clock: Clock) -> None:
        self._loader = loader
        self._host = host
        self._queries = queries
        self._clock = clock

    async def play(self, row: BacktestResult, work: Work) -> None:
        """Load, play, write. Raises AristobotError: why it failed, in French."""
        loading = asyncio.create_task(self._loader.ready(row, work))  # the sandbox opens meanwhile
        try:
            result = await self._result(row, loading, work)
        finally:
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)
        ready = loading.result()
        columns = await self._queries.run(results.columns_of, result, ready.target, ready.candles, ready.fees)
        work.lap("columns")
        await work.write(
            status=Job.Status.DONE, finished_at=self._clock.now(), lease_until=None, phase_progress=1.0, **columns
        )
        work.lap("write")

    async def _result(self, row: BacktestResult, loading: asyncio.Task[Ready], work: Work) -> FullResult:
        try:
            return await self._in_worker(row, loading, work)
        except Unavailable as exc:  # not the strategy's fault: once more, in a sandbox of a new start
            if loading.done() and loading.exception() is not None:
                raise  # no sandbox mends the loading
            log.warning("backtests.worker_lost", id=row.pk, error=exc.message)
        return await self._in_worker(row, loading, work)

    async def _in_worker(self, row: BacktestResult, loading: asyncio.Task[Ready], work: Work) -> FullResult:
        async with self._host.worker() as worker:
            work.lap("sandbox")
            ready = await asyncio.shield(loading)
            work.lap("candles")
            await worker.give(ready.candles.series, finer=ready.candles.finer)
            work.lap("transfer")
            result = await worker.play(ready.job(row, row.params), progress=lambda ratio: work.tell(ratio, ""))
            work.lap("play")
            return result
