"""Terminal 5: joins the pool of exchange sessions, the request server and the order executor."""

import asyncio
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import structlog
import uvloop
from django.conf import settings

from apps.brokers.services.accounts import SIMEX, ensure_simulateurs, renew_simulateur
from apps.brokers.services.catalogue import DjangoExchangeCatalogue
from apps.brokers.services.directory import DjangoBrokerDirectory
from apps.core.adapters import simex_admin
from apps.core.adapters.browser_events import ChannelsPublisher
from apps.core.adapters.ccxt_catalogue import all_exchange_facts, catalogue_version
from apps.core.adapters.ccxt_client_class import warm_up
from apps.core.adapters.clock import SystemClock
from apps.core.adapters.database import close_database
from apps.core.adapters.market_events import ChannelsMarketPublisher
from apps.core.adapters.market_stream import CcxtMarketSources
from apps.core.adapters.presence import Presence
from apps.core.adapters.rate_budget import RateBudget
from apps.core.adapters.redis_connection import connect
from apps.core.adapters.redis_interest import RedisInterests
from apps.core.adapters.redis_requests import RedisRequestServer
from apps.core.adapters.turns import take_short_turns
from apps.core.metrics import REGISTRY, Gauges
from apps.core.services.ccxt_manager import CcxtManager
from apps.core.services.gateway_requests import GatewayRequests
from apps.core.services.market_feeds import MarketFeeds
from apps.core.services.tables import wait_for_tables
from apps.market_data.services.symbols import DjangoMarketStore
from apps.orders.database import close_claims
from apps.orders.executor import OrderExecutor
from apps.orders.external_watch import ExternalWatch
from apps.orders.lease import RowLease
from apps.orders.live_reports import LiveReports
from apps.orders.restored_watch import RestoredWatch
from apps.orders.stream_board import StreamBoard
from aristobot.wiring.alerts import alert_works, tell_takeover
from aristobot.wiring.lasting import lasting
from aristobot.wiring.logs import start_logs
from domain.errors import Unavailable
from domain.live_market import exchange_key

log = structlog.get_logger(__name__)

_MAINTENANCE_S = 15.0
_RETRY_S = 1.0
_ROLE_PERIOD_S = 0.5


class Overtaken(Exception):
    """Another terminal 5 sends orders now."""


class CcxtService:
    """The process of terminal 5; `run` serves until it is cancelled, then closes everything."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._redis = connect(settings.REDIS_URL)
        publisher = ChannelsPublisher(self._clock)
        self._catalogue = DjangoExchangeCatalogue()
        directory = self._directory = DjangoBrokerDirectory()
        self._manager = CcxtManager(
            directory=directory,
            catalogue=self._catalogue,
            store=DjangoMarketStore(),
            publisher=publisher,
            clock=self._clock,
            speed_of=_speed_of,
            repair=renew_simulateur,
        )
        self._board = StreamBoard(self._clock)
        self._lease = RowLease(self._clock)
        self._executor = OrderExecutor(self._manager, publisher, self._clock, lease=self._lease, board=self._board)
        self._external = ExternalWatch(
            self._manager, directory, self._clock, board=self._board, may_apply=self._may_apply
        )
        self._restored = RestoredWatch(
            self._manager,
            directory,
            self._clock,
            board=self._board,
            may_apply=self._may_apply,
            publisher=publisher,
        )
        self._live_reports = LiveReports(
            self._manager,
            directory,
            publisher,
            self._clock,
            board=self._board,
            may_apply=self._may_apply,
            wake=self._executor.wake,
            opened=self._external.ask,
        )
        self._market_feeds = MarketFeeds(
            interests=RedisInterests(self._redis, clock=self._clock),
            exchange_key_of=self._exchange_key_of,
            sources=CcxtMarketSources(self._manager, clock=self._clock),
            publisher=ChannelsMarketPublisher(self._clock),
            clock=self._clock,
            may_follow=self._may_apply,
        )
        requests = GatewayRequests(self._manager, clock=self._clock, wake_orders=self._executor.wake)
        self._server = RedisRequestServer(self._redis, clock=self._clock, handler=requests.handle)
        self._presence = Presence(name="ccxt_service", redis=self._redis, clock=self._clock, details=self._details)
        self._standing_by = Presence(name="ccxt_service_standby", redis=self._redis, clock=self._clock)
        self._gauges = _budget_gauges(self._manager)

    async def run(self) -> None:
        """Stand by until this process may send, then serve. Raises Overtaken, in a group, when another one does."""
        log.info("ccxt_service.started")
        try:
            for gauge in self._gauges:
                REGISTRY.register(gauge)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._executor.run())
                took_over = await self._stand_by()
                tasks.create_task(self._until_overtaken())
                tasks.create_task(self._presence.run())
                tasks.create_task(self._server.run())
                tasks.create_task(self._live_reports.run())
                tasks.create_task(self._external.run())
                tasks.create_task(self._restored.run())
                for work in alert_works(watched=("trading_engine",), clock=self._clock):
                    tasks.create_task(lasting(work, clock=self._clock))
                tasks.create_task(self._market_feeds.run())
                tasks.create_task(self._describe_exchanges())
                tasks.create_task(self._load_brokers())
                if took_over:
                    tasks.create_task(tell_takeover(clock=self._clock))
        finally:
            for gauge in self._gauges:  # one that was overtaken starts anew in this process
                REGISTRY.unregister(gauge)
            await self._manager.close()
            await self._redis.aclose()
            await close_claims()
            await close_database()

    async def _stand_by(self) -> bool:
        """Wait for the right to send, announced as the one that stands by; tell whether another had it."""
        presence: asyncio.Task[None] | None = None
        while not await self._holds_soon():
            if presence is None and self._lease.is_taken:
                log.info("ccxt_service.stands_by")
                presence = asyncio.create_task(self._standing_by.run())
        if presence is None:
            return False
        presence.cancel()
        await asyncio.gather(presence, return_exceptions=True)
        log.warning("ccxt_service.takes_over")
        return True

    async def _holds_soon(self) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(_ROLE_PERIOD_S):
                await self._lease.held.wait()
        return self._lease.held.is_set()

    async def _until_overtaken(self) -> None:
        """Two would answer requests and apply what exchanges say: this one starts anew, standing by."""
        while not self._lease.is_taken:
            await self._clock.sleep(_ROLE_PERIOD_S)
        raise Overtaken

    def _details(self) -> dict[str, Any]:
        return {
            "sessions": self._manager.open_sessions,
            "requests": self._server.in_flight,
            "streams": self._board.details(),
            "market_feeds": self._market_feeds.open_feeds,
        }

    def _may_apply(self) -> bool:
        """What exchanges say is applied by the process that sends, not by one that stands by."""
        return self._executor.holds_lease

    async def _exchange_key_of(self, broker_id: int) -> str:
        access = await self._directory.get(broker_id)
        return exchange_key(access.exchange, is_testnet=access.is_testnet)

    async def _describe_exchanges(self) -> None:
        """Write the catalogue for the web process, once per version of ccxt."""
        version = catalogue_version()
        while True:
            try:
                if not await self._catalogue.is_described(version):
                    facts = await asyncio.to_thread(all_exchange_facts)
                    await self._catalogue.describe_all(facts, version=version)
                    log.info("ccxt_service.catalogue_written", version=version, exchanges=len(facts))
                return
            except Unavailable as exc:
                log.warning("ccxt_service.catalogue_delayed", error=exc.message)
                await self._clock.sleep(_RETRY_S)

    async def _load_brokers(self) -> None:
        """Preload the active brokers, then follow what users add and remove, each with a Simulateur."""
        await self._ensure_simulateurs()
        while not await self._preloaded():
            await self._clock.sleep(_RETRY_S)
        while True:
            await self._clock.sleep(_MAINTENANCE_S)
            await self._ensure_simulateurs()
            await self._follow_brokers()

    async def _preloaded(self) -> bool:
        try:
            await self._manager.preload()
        except Unavailable as exc:
            log.warning("ccxt_service.preload_delayed", error=exc.message)
            return False
        return True

    async def _follow_brokers(self) -> None:
        try:
            await self._manager.follow_directory()
        except Unavailable as exc:
            log.warning("ccxt_service.brokers_not_followed", error=exc.message)

    async def _ensure_simulateurs(self) -> None:
        if not settings.SIMEX_URL:
            return
        try:
            made = await ensure_simulateurs()
        except Unavailable as exc:
            log.warning("ccxt_service.simulateurs_delayed", error=exc.message)
            return
        if made:
            log.info("ccxt_service.simulateurs_made", count=made)


def _budget_gauges(manager: CcxtManager) -> Sequence[Gauges]:
    """Return what is shown of the exchanges' budgets of requests."""

    def gauge(name: str, documentation: str, figure: Callable[[RateBudget], float]) -> Gauges:
        def read() -> list[tuple[Any, float]]:
            return [((exchange,), figure(budget)) for exchange, budget in manager.budgets()]

        return Gauges(f"aristobot_gateway_{name}", documentation, ["exchange"], read)

    return (
        gauge("waiting", "Requests that wait for the budget of their exchange.", lambda b: float(b.waiting)),
        gauge(
            "budget_left_ratio",
            "Part of an exchange's budget of requests that may be spent now.",
            lambda b: b.left_ratio,
        ),
    )


async def _speed_of(exchange: str) -> float:
    return (await simex_admin.current_run()).speed if exchange == SIMEX else 1.0


async def _serve() -> None:
    task = asyncio.current_task()
    if task is not None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await wait_for_tables(clock=SystemClock())
    while True:
        try:
            await CcxtService().run()
        except* Overtaken:
            log.warning("ccxt_service.overtaken")


def run() -> None:
    """Run terminal 5 until SIGTERM or SIGINT."""
    start_logs("ccxt_service")
    take_short_turns()
    warm_up()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_serve())
        except asyncio.CancelledError:
            log.info("ccxt_service.stopped")
