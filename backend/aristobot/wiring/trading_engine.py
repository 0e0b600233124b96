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
from apps.core.adapters.strategy_requests import StrategyRequestServer
from apps.core.adapters.turns import take_short_turns
from apps.core.services.ccxt_client import CcxtClient
from apps.core.services.retention import Retention
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


async def run() -> None:
    """Run terminal 3 until SIGTERM or SIGINT."""
    take_short_turns()
    start_logs("trading_engine")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    clock, database, host = SystemClock(), Database(), SandboxedStrategyHost()
    database_of_backtests = Database(threads=3)  # its long reads must not keep a bot's waiting
    parity_database = Database(threads=1)
    redis = connect(settings.REDIS_URL)
    gateway = CcxtClient(RedisRequestBus(redis, clock=clock), clock=clock)
    try:
        await _start_sandbox(host)
        events = OutgoingEvents(ChannelsPublisher(clock))
        join_wake_up(gateway)
        watch = PositionWatch(gateway=gateway, database=database, clock=clock)
        engine = TradingEngine(
            signals=RedisSignalStream(redis),
            evaluator=Evaluator(
                gateway=gateway, host=host, candles=GatewayCandles(gateway), database=database, clock=clock
            ),
            announcer=Announcer(publisher=events, database=database, clock=clock),
            database=database,
            clock=clock,
            on_minute=watch.wake,
        )
        presence = Presence(name="trading_engine", redis=redis, clock=clock, details=lambda: _details(engine, host))
        quick_tests = QuickTests(gateway=gateway, host=host, clock=clock)
        requests = StrategyRequestServer(redis, host=host, clock=clock, handlers={"quick_test": quick_tests.run})
        backtests = BacktestWorks(
            wake_up=RedisWakeUp(redis, BACKTESTS_WAITING, clock=clock),
            gateway=gateway,
            queries=database_of_backtests,
            publisher=events,
            clock=clock,
        )
        relay = EventRelay(events)
        inbox = Inbox(
            gateway=gateway,
            database=database,
            publisher=events,
            wake_up=RedisWakeUp(redis, WEBHOOKS_WAITING, clock=clock),
            clock=clock,
        )
        works = (
            events,
            relay,
            engine,
            watch,
            inbox,
            requests,
            presence,
            backtests,
            ParityWatch(host=host, publisher=events, database=parity_database, clock=clock),
            StatsUpkeep(clock=clock),
            Retention(retention_rules(), clock=clock),
            DailySummaries(clock=clock),
            *alert_works(watched=("ccxt_service",), clock=clock),
            heartbeat_watch(clock=clock),
            store_watch(clock=clock),
        )
        await _until(stop, [work.run() for work in works])
    finally:
        await gateway.close()
        await host.close()
        await redis.aclose()
        await close_database()
        database.close()
        database_of_backtests.close()
        parity_database.close()
        log.info("trading_engine.stopped")


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
