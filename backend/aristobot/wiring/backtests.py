"""The backtests' part of terminal 3: queue, candle history and sandboxed workers, joined."""

import structlog

from apps.backtest.models import BacktestResult, BacktestSweep
from apps.backtest.run_player import Loader, RunPlayer
from apps.backtest.supervisor import Supervisor
from apps.backtest.sweep_player import SweepPlayer
from apps.core.adapters.redis_wake_up import RedisWakeUp
from apps.core.adapters.strategy_host.backtest_host import BacktestHost
from apps.core.adapters.strategy_host.right_of_way import RightOfWay
from apps.market_data.services.candle_history import CandleHistory, Queries
from domain.errors import Unavailable
from domain.ports import Clock, Gateway, Publisher

log = structlog.get_logger(__name__)


class BacktestWorks:
    """Runs until cancelled; its workers end with it."""

    def __init__(
        self,
        *,
        wake_up: RedisWakeUp,
        gateway: Gateway,
        queries: Queries,
        publisher: Publisher,
        clock: Clock,
        right_of_way: RightOfWay,
    ) -> None:
        self._host = BacktestHost(right_of_way=right_of_way)
        history = CandleHistory(gateway, queries=queries, clock=clock)
        loader = Loader(gateway=gateway, history=history, queries=queries, clock=clock, wait=right_of_way.wait)
        runs = RunPlayer(loader=loader, host=self._host, queries=queries, clock=clock)
        sweeps = SweepPlayer(loader=loader, host=self._host, queries=queries, clock=clock)
        self._supervisor = Supervisor(
            players={BacktestResult: runs.play, BacktestSweep: sweeps.play},
            wake_up=wake_up,
            queries=queries,
            publisher=publisher,
            clock=clock,
        )

    async def run(self) -> None:
        """Serve the queue."""
        try:
            await self._warm_up()
            await self._supervisor.run()
        finally:
            await self._host.close()

    async def _warm_up(self) -> None:
        """Import pandas before the first run; a sandbox that fails here is tried again by each run."""
        try:
            await self._host.start()
        except Unavailable as exc:
            log.error("backtests.sandbox_failed", reason=exc.message)
