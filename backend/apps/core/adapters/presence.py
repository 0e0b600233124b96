"""Every terminal says that it lives: a Redis key it renews, so that a dead one is seen within seconds."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import orjson
import structlog
from redis.asyncio import Redis

from apps.core.adapters.redis_connection import RedisUnavailable
from domain.ports import Clock

log = structlog.get_logger(__name__)

PERIOD_S = 2.0
EXPIRES_S = 3600  # the reader decides by `sent_at`; the key stays a while to say since when it is dead
DEAD_AFTER_S = 8.0


def presence_key(name: str) -> str:
    return f"service:{name}"


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

    async def run(self) -> None:
        while True:
            try:
                await self.announce()
            except RedisUnavailable as exc:
                log.warning("presence.redis_unavailable", key=self._key, error=str(exc))
            await self._clock.sleep(PERIOD_S)
