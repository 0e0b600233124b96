"""Terminal 3: joins signals, candles, balance, sandbox and desk into the trading engine."""

import asyncio
import signal
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import structlog
from django.conf import settings

from apps.backtest.announce import BACKTESTS_WAITING
from apps.backtest.quick_test import QuickTests
from apps.core.adapters.browser_events import ChannelsPublisher
from apps.core.adapters.clock import SystemClock
from apps.core.adapters.database import close_database
from apps.core.adapters.presence import Presence
from apps.core.adapters.redis_connection import connect
from apps.core.adapters.redis_requests import RedisRequestBus
from apps.core.adapters.redis_signals import RedisSignalStream
from apps.core.adapters.redis_wake_up import RedisWakeUp
from apps.core.adapters.strategy_host.host import SandboxedStrategyHost
from apps.core.adapters.strategy_host.right_of_way import RightOfWay
from apps.core.adapters.strategy_requests import StrategyRequestServer
from apps.core.adapters.turns import take_short_turns
from apps.core.services.ccxt_client import CcxtClient
from apps.core.services.retention import Retention
from apps.core.services.tables import wait_for_tables
from apps.journal.daily_summary import DailySummaries
from apps.market_data.services.window import ensure_window
from apps.orders.relay import EventRelay
from apps.stats.services.upkeep import StatsUpkeep
from apps.trading_engine.announce import Announcer
from apps.trading_engine.database import Database
from apps.trading_engine.engine import TradingEngine
from apps.trading_engine.evaluation import Evaluator
from apps.trading_engine.parity.watch import ParityWatch
from apps.trading_engine.position_watch import PositionWatch
from apps.webhooks.inbox import Inbox
from aristobot.wiring.alerts import alert_works, heartbeat_watch, store_watch
from aristobot.wiring.backtests import BacktestWorks
from aristobot.wiring.lasting import Work, lasting
from aristobot.wiring.logs import start_logs
from aristobot.wiring.outgoing_events import OutgoingEvents, join_wake_up
from aristobot.wiring.retention import retention_rules
from domain.candles import Candle
from domain.errors import Unavailable
from domain.messages import WEBHOOKS_WAITING
from domain.ports import Gateway
from domain.timeframes import Timeframe

log = structlog.get_logger(__name__)


class GatewayCandles:
    """The engine's `CandleReader`: PostgreSQL first, terminal 5 for what is missing."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(
        self,
        *,
        broker_id: int,
        user_id: int,
        source: str,
        symbol: str,
        timeframe: Timeframe,
        until: datetime,
        count: int,
        deadline: datetime,
    ) -> Sequence[Candle]:
        return await ensure_window(
            self._gateway,
            broker_id=broker_id,
            user_id=user_id,
            source=source,
            symbol=symbol,
            timeframe=timeframe,
            until=until,
            count=count,
            deadline=deadline,
        )


class TradingTerminal:
    """The process of terminal 3; `run` works until it is told to stop, then closes everything."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._right_of_way = RightOfWay()
        self._host = SandboxedStrategyHost(right_of_way=self._right_of_way)
        self._database = Database()
        self._backtests_database = Database(threads=3)  # its long reads must not keep a bot's waiting
        self._parity_database = Database(threads=1)
        self._redis = connect(settings.REDIS_URL)
        self._gateway = CcxtClient(RedisRequestBus(self._redis, clock=self._clock), clock=self._clock)
        self._events = OutgoingEvents(ChannelsPublisher(self._clock))

    async def run(self, stop: asyncio.Event) -> None:
        try:
            await _start_sandbox(self._host)
            join_wake_up(self._gateway)
            beside = [lasting(work, clock=self._clock) for work in self._beside()]
            await _until(stop, [*(work.run() for work in self._works()), *beside])
        finally:
            await self._close()

    def _works(self) -> Sequence[Any]:
        """What runs side by side. What is told to browsers comes first: the others tell through it."""
        watch = PositionWatch(gateway=self._gateway, database=self._database, clock=self._clock)
        engine = self._engine(watch)
        return (
            self._events,
            EventRelay(self._events),
            engine,
            watch,
            self._inbox(),
            self._strategy_requests(),
            Presence(
                name="trading_engine",
                redis=self._redis,
                clock=self._clock,
                details=lambda: _details(engine, self._host),
            ),
            self._backtests(),
        )

    def _beside(self) -> Sequence[Work]:
        """Works whose failure ends nothing else."""
        return (
            ParityWatch(host=self._host, publisher=self._events, database=self._parity_database, clock=self._clock),
            StatsUpkeep(clock=self._clock),
            Retention(retention_rules(), clock=self._clock),
            DailySummaries(clock=self._clock),
            *alert_works(watched=("ccxt_service",), clock=self._clock),
            heartbeat_watch(clock=self._clock),
            store_watch(clock=self._clock),
        )

    def _engine(self, watch: PositionWatch) -> TradingEngine:
        return TradingEngine(
            signals=RedisSignalStream(self._redis),
            evaluator=Evaluator(
                gateway=self._gateway,
                host=self._host,
                candles=GatewayCandles(self._gateway),
                database=self._database,
                clock=self._clock,
            ),
            announcer=Announcer(publisher=self._events, database=self._database, clock=self._clock),
            database=self._database,
            clock=self._clock,
            on_minute=watch.wake,
        )

    def _inbox(self) -> Inbox:
        return Inbox(
            gateway=self._gateway,
            database=self._database,
            publisher=self._events,
            wake_up=RedisWakeUp(self._redis, WEBHOOKS_WAITING, clock=self._clock),
            clock=self._clock,
        )

    def _strategy_requests(self) -> StrategyRequestServer:
        quick_tests = QuickTests(gateway=self._gateway, host=self._host, publisher=self._events, clock=self._clock)
        return StrategyRequestServer(
            self._redis, host=self._host, clock=self._clock, handlers={"quick_test": quick_tests.run}
        )

    def _backtests(self) -> BacktestWorks:
        return BacktestWorks(
            wake_up=RedisWakeUp(self._redis, BACKTESTS_WAITING, clock=self._clock),
            gateway=self._gateway,
            queries=self._backtests_database,
            publisher=self._events,
            clock=self._clock,
            right_of_way=self._right_of_way,
        )

    async def _close(self) -> None:
        await self._gateway.close()
        await self._host.close()
        await self._redis.aclose()
        await close_database()
        for database in (self._database, self._backtests_database, self._parity_database):
            database.close()
        log.info("trading_engine.stopped")


async def run() -> None:
    """Run terminal 3 until SIGTERM or SIGINT."""
    take_short_turns()
    start_logs("trading_engine")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await wait_for_tables(clock=SystemClock(), stop=stop)
    await TradingTerminal().run(stop)


async def _start_sandbox(host: SandboxedStrategyHost) -> None:
    """Import pandas before the first signal; a sandbox that fails here is tried again at each evaluation."""
    try:
        await host.start()
    except Unavailable as exc:
        log.error("trading_engine.sandbox_failed", reason=exc.message)
    missing = {layer: why for layer, why in host.layers().items() if why != "ok"}
    if missing:
        log.warning("trading_engine.sandbox_incomplete", **missing)


async def _until(stop: asyncio.Event, works: Sequence[Any]) -> None:
    log.info("trading_engine.started")
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        await stop.wait()
        for task in tasks:
            task.cancel()


def _details(engine: TradingEngine, host: SandboxedStrategyHost) -> Mapping[str, Any]:
    counters = engine.counters
    return {
        "lag_ms": counters.lag_ms,
        "signals": counters.signals,
        "decided": counters.decided,
        "missed": counters.missed,
        "failed": counters.failed,
        "last_signal_at": None if counters.last_signal_at is None else counters.last_signal_at.isoformat(),
        "sources": {source: asdict(heard) for source, heard in engine.copies.heard.items()},
        "sandbox": dict(host.layers()),
    }
