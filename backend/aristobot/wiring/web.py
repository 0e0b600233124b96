"""Terminal 1: joins what the web process needs from the higher rooms."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from functools import cache
from typing import Any

import structlog
from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.db import DatabaseError

from apps.accounts.models import User
from apps.accounts.services import debug_mode
from apps.accounts.signals import user_registered
from apps.brokers.models import Broker
from apps.brokers.selectors import exchanges_in_use
from apps.core.adapters.browser_events import ChannelsPublisher
from apps.core.adapters.clock import SystemClock
from apps.core.adapters.metrics_store import RedisMetricsReader
from apps.core.adapters.presence import RedisPresenceReader
from apps.core.adapters.redis_connection import connect
from apps.core.adapters.redis_requests import RedisRequestBus
from apps.core.adapters.redis_wake_up import RedisWakeUp
from apps.core.proxies import behind_proxies
from apps.core.services.ccxt_client import CcxtClient
from apps.core.services.gateway_access import short_lived_gateway
from apps.core.services.health import HealthService
from apps.core.services.live_feeds import Event, LiveFeed
from apps.journal import live as journal
from apps.orders.signals import order_event, orders_waiting
from apps.trading_engine.database import Database
from apps.trading_engine.models import ActiveStrategy
from apps.trading_manual.services.liveness import ServiceWatch
from apps.trading_manual.services.terminal import Terminal
from apps.webhooks.arrivals import LiveArrivals
from apps.webhooks.door import PREFIX, WebhookDoor
from apps.webhooks.gate import Gate, Limits
from domain.messages import WEBHOOKS_WAITING
from domain.webhooks.origins import networks

log = structlog.get_logger(__name__)

STATUS_PERIOD_S = 2.0
_DOOR_THREADS = 6  # commits that may wait for the disk together
SIMEX = "simex"


def prepare() -> None:
    """At the web server's start: the debug row is put right; listeners are joined."""
    join_registration()
    join_orders()
    log.info("web.started")
    try:
        debug_mode.force_off_unless_allowed()
    except DatabaseError as exc:
        # The row has no effect while `.env` forbids it; the next start puts it right.
        log.warning("web.debug_row_not_checked", error=str(exc))


def join_registration() -> None:
    """A new account gets its Simulateur broker and the example strategies."""
    from apps.brokers.services.accounts import create_simulateur
    from apps.strategies.services.starting import create_examples

    def give_simulateur(sender: Any, *, user: User, **kwargs: Any) -> None:
        create_simulateur(user)

    def give_examples(sender: Any, *, user: User, **kwargs: Any) -> None:
        create_examples(user)

    user_registered.connect(give_examples, weak=False, dispatch_uid="examples")
    user_registered.connect(give_simulateur, weak=False, dispatch_uid="simulateur")


def join_orders() -> None:
    """What a view's commit changed reaches browsers at once, and terminal 5 is woken for it."""
    publisher = ChannelsPublisher(SystemClock())

    def tell(sender: Any, *, topic: str, event_type: str, data: Mapping[str, Any], user_id: int, **_: Any) -> None:
        async_to_sync(publisher.publish)(topic, event_type, data, user_id=user_id)

    def wake(sender: Any, **_: Any) -> None:
        async_to_sync(_wake_terminal_5)()

    order_event.connect(tell, weak=False, dispatch_uid="browser_events")
    orders_waiting.connect(wake, weak=False, dispatch_uid="wake_orders")


async def _wake_terminal_5() -> None:
    async with short_lived_gateway() as gateway:
        await gateway.wake_orders()


def with_webhook_door(application: Any) -> Any:
    """Return the HTTP application with the public address of the webhooks in front of it."""
    clock = SystemClock()

    def parts() -> tuple[ChannelsPublisher, RedisWakeUp]:
        return ChannelsPublisher(clock), RedisWakeUp(connect(settings.REDIS_URL), WEBHOOKS_WAITING, clock=clock)

    door = WebhookDoor(
        gate=Gate(Limits(clock.monotonic)),
        database=Database(threads=_DOOR_THREADS),
        arrivals=LiveArrivals(parts),
        clock=clock,
        trusted_proxies=networks(settings.TRUSTED_PROXIES),
    )

    async def http(scope: Any, receive: Any, send: Any) -> None:
        chosen = door if scope["path"].startswith(PREFIX) else application
        await chosen(scope, receive, send)

    return http


def with_proxies(application: Any) -> Any:
    """Return the whole application, which sees the caller behind the reverse proxies of `.env`."""
    return behind_proxies(application, trusted=networks(settings.TRUSTED_PROXIES), public_url=settings.PUBLIC_URL)


def presence_reader() -> RedisPresenceReader:
    return RedisPresenceReader(settings.REDIS_URL)


def metrics_reader() -> RedisMetricsReader:
    return RedisMetricsReader(settings.REDIS_URL)


def health_service() -> HealthService:
    return HealthService(presences=RedisPresenceReader(settings.REDIS_URL), clock=SystemClock())


@cache
def manual_terminal() -> Terminal:
    """Return the manual terminal of this process, which lives in the web server's one event loop."""
    clock = SystemClock()
    gateway = CcxtClient(RedisRequestBus(connect(settings.REDIS_URL), clock=clock), clock=clock)
    return Terminal(gateway, clock=clock, watch=ServiceWatch(presence_reader(), clock=clock))


class Facts:
    """`SessionFacts` from the rooms above accounts."""

    def mode(self, user: User) -> str:
        broker = self._default_broker(user)
        if broker is None or broker.exchange == SIMEX:
            return "simulation"
        return "testnet" if broker.is_testnet else "real"

    def default_broker_id(self, user: User) -> int | None:
        broker = self._default_broker(user)
        return None if broker is None else broker.pk

    def active_strategies(self) -> int:
        return int(ActiveStrategy.objects.filter(is_active=True).count())

    def _default_broker(self, user: User) -> Broker | None:
        found: Broker | None = Broker.objects.filter(user=user, is_default=True).first()
        return found


def feeds(health: HealthService) -> Mapping[str, LiveFeed]:
    """Return the feeds of the socket by topic."""
    return {
        "status": LiveFeed("status", lambda: _status(health)),
        "stream": LiveFeed("stream", _stream),
        "logs": LiveFeed("logs", journal.follow, narrow=journal.narrowed),
    }


async def _status(health: HealthService) -> AsyncIterator[Event]:
    while True:
        state = await health.read()
        yield "health", state.body()
        if state.services["postgresql"]["state"] == "up":
            yield "summary", await sync_to_async(_summary)()
        await asyncio.sleep(STATUS_PERIOD_S)


def _summary() -> dict[str, Any]:
    return {
        "active_strategies": Facts().active_strategies(),
        "exchanges": [
            {"id": row.id, "state": row.load_state, "progress": row.load_progress, "count": row.market_count}
            for row in exchanges_in_use()
        ],
    }


async def _stream() -> AsyncIterator[Event]:
    from apps.core.adapters.redis_signals import RawStreamReader

    async for batch in RawStreamReader(settings.REDIS_URL).batches():
        yield "batch", batch
