"""Tells everybody, once, that something stepped in for what failed: a store's replica, the standby terminal 5."""

from collections.abc import Awaitable, Callable, Mapping

import structlog
from django.db import connection

from apps.alerts.services import recording
from apps.core.adapters.database import in_database
from domain.alerts import AlertKind
from domain.errors import Unavailable
from domain.ports import Clock

log = structlog.get_logger(__name__)

_RETRY_S = 1.0
_LOOK_PERIOD_S = 5.0


async def told_to_everybody(code: str, *, subject: str, message: str, clock: Clock) -> None:
    """Record the alert, again until PostgreSQL takes it."""
    while True:
        try:
            await in_database(
                recording.record_for_everybody,
                kind=AlertKind.SERVICE,
                code=code,
                subject=subject,
                message=message,
                now=clock.now(),
            )
        except Unavailable as exc:
            log.warning("failover.not_told_yet", code=code, error=exc.message)
            await clock.sleep(_RETRY_S)
        else:
            return


class StoreWatch:
    """Tells when another server answers in a store's name than before. `run` until cancelled.

    Args:
        places: by the store's French name, where it answers now; None when nobody does, "" where there is
            but one place.
    """

    def __init__(self, places: Mapping[str, Callable[[], Awaitable[str | None]]], *, clock: Clock) -> None:
        self._places = places
        self._clock = clock
        self._known: dict[str, str] = {}

    async def run(self) -> None:
        await tell_if_lossy(clock=self._clock)
        while True:
            for name in self._places:
                await self.look_at(name)
            await self._clock.sleep(_LOOK_PERIOD_S)

    async def look_at(self, name: str) -> None:
        """Look once."""
        place = await self._places[name]()
        if place is None:
            return
        before = self._known.get(name, place)
        self._known[name] = place
        if before == place:
            return
        log.warning("failover.store", store=name, before=before, now=place)
        await told_to_everybody(
            f"failover_{name.lower()}",
            subject=f"store:{name.lower()}:{place}",
            message=f"Basculement : {name} est passé de {before} à {place}. Les services s'y sont reconnectés.",
            clock=self._clock,
        )


async def postgresql_place() -> str | None:
    """Return the address and port of the server that takes our writes."""
    try:
        return await in_database(_postgresql_place)
    except Unavailable:
        return None


def _postgresql_place() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT host(inet_server_addr()), inet_server_port()")
        host, port = cursor.fetchone()
    return "" if host is None else f"{host}:{port}"


async def tell_if_lossy(*, clock: Clock) -> None:
    """Tell that a failover of PostgreSQL could lose commits, and with them that an order left."""
    try:
        is_lossy = await in_database(_is_lossy)
    except Unavailable:
        return
    if is_lossy:
        log.warning("failover.replication_is_asynchronous")
        await told_to_everybody(
            "replication_asynchronous",
            subject="store:postgresql",
            message="PostgreSQL a plusieurs serveurs mais sa réplication est asynchrone (synchronous_standby_names "
            "est vide) : un basculement peut perdre les derniers enregistrements, et un ordre déjà parti repartir.",
            clock=clock,
        )


def _is_lossy() -> bool:
    if "," not in str(connection.settings_dict["OPTIONS"].get("host", "")):
        return False
    with connection.cursor() as cursor:
        cursor.execute("SHOW synchronous_standby_names")
        names: str = cursor.fetchone()[0]
    return not names.strip()
