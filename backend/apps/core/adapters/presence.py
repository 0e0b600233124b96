"""Every terminal says that it lives: a Redis key it renews, so that a dead one is seen within seconds."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Any

import orjson
import structlog
from redis.asyncio import Redis

from apps.core.adapters import metrics_store
from apps.core.adapters.redis_connection import RedisUnavailable, connect
from domain.ports import Clock

log = structlog.get_logger(__name__)

PERIOD_S = 2.0
_PREFIX = "service:"
EXPIRES_S = 3600  # the reader decides by `sent_at`; the key stays a while to say since when it is dead


def presence_key(name: str) -> str:
    return f"{_PREFIX}{name}"


@dataclass(frozen=True, slots=True)
class PresenceReport:
    """What a service last said of itself."""

    since: datetime
    sent_at: datetime
    details: Mapping[str, Any]


async def read_presences(redis: Redis, names: Sequence[str]) -> dict[str, PresenceReport]:
    """Return the last report of each service that ever spoke. Raises what Redis raises."""
    raw = await redis.mget([presence_key(name) for name in names])
    return {name: _parse(body) for name, body in zip(names, raw, strict=True) if body is not None}


def _parse(body: bytes | str) -> PresenceReport:
    message = orjson.loads(body)
    return PresenceReport(
        since=datetime.fromisoformat(message["since"]),
        sent_at=datetime.fromisoformat(message["sent_at"]),
        details=message["details"],
    )


class Presence:
    """Renews the key of one service until cancelled.

    Args:
        name: heartbeat, heartbeat_secondary, trading_engine, ccxt_service.
        details: called at each renewal; JSON-serialisable facts (`lag_ms` is shown on the panel).
    """

    def __init__(
        self, *, name: str, redis: Redis, clock: Clock, details: Callable[[], Mapping[str, Any]] = dict
    ) -> None:
        self._key = presence_key(name)
        self._redis = redis
        self._clock = clock
        self._details = details
        self._since = clock.now()

    async def announce(self) -> None:
        """Write the key once. Raises what Redis raises."""
        body = {
            "since": self._since.isoformat(),
            "sent_at": self._clock.now().isoformat(),
            "pid": os.getpid(),
            "details": dict(self._details()),
        }
        await self._redis.set(self._key, orjson.dumps(body), ex=EXPIRES_S)
        await metrics_store.leave(self._redis, self._key.removeprefix(_PREFIX))

    async def run(self) -> None:
        while True:
            try:
                await self.announce()
            except RedisUnavailable as exc:
                log.warning("presence.redis_unavailable", key=self._key, error=str(exc))
            await self._clock.sleep(PERIOD_S)


class RedisPresenceReader:
    """The `PresenceReader` of apps.core.services.health. Connects per event loop, at its first use."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def read(self, names: Sequence[str]) -> tuple[Mapping[str, PresenceReport], float] | None:
        client = connect(self._url, timeout_s=1.0)
        try:
            await client.ping()
            started = perf_counter()
            reports = await read_presences(client, names)
            return reports, (perf_counter() - started) * 1000
        except RedisUnavailable as exc:
            log.warning("presence.unreadable", error=str(exc))
            return None
        finally:
            await client.aclose()
