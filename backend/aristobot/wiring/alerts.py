"""What sends alerts and watches the other terminals; terminals 3 and 5 run both."""

from collections.abc import Sequence

from django.conf import settings

from apps.alerts.services.failovers import StoreWatch, postgresql_place, told_to_everybody
from apps.alerts.services.heartbeat_watch import HeartbeatWatch
from apps.alerts.services.sender import AlertSender
from apps.alerts.services.watch import ServiceWatch
from apps.core.adapters import alerts
from apps.core.adapters.presence import RedisPresenceReader
from apps.core.adapters.redis_connection import primary_place
from domain.ports import Clock


def alert_works(*, watched: Sequence[str], clock: Clock) -> tuple[AlertSender, ServiceWatch]:
    """Return the sender and the watch over those services; each has a `run`."""
    presences = RedisPresenceReader(settings.REDIS_URL)
    return AlertSender(send=alerts.send, clock=clock), ServiceWatch(watched, presences=presences, clock=clock)


def heartbeat_watch(*, clock: Clock) -> HeartbeatWatch:
    """Return the watch over both heartbeats; it has a `run`."""
    return HeartbeatWatch(presences=RedisPresenceReader(settings.REDIS_URL), clock=clock)


async def tell_takeover(*, clock: Clock) -> None:
    """Tell everybody that the standby terminal 5 sends orders from now on."""
    await told_to_everybody(
        "gateway_takeover",
        subject="service:ccxt_service",
        message="Basculement : le service CCXT ne répondait plus, celui de secours envoie et suit les ordres.",
        clock=clock,
    )


def store_watch(*, clock: Clock) -> StoreWatch:
    """Return the watch that tells of PostgreSQL's and Redis's failovers; it has a `run`."""
    places = {"PostgreSQL": postgresql_place, "Redis": lambda: primary_place(settings.REDIS_URL)}
    return StoreWatch(places, clock=clock)
