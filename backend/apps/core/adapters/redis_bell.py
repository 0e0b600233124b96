"""Wakes a service that looks for work in PostgreSQL: a Redis list, rung by whoever committed a row.

Only a wake-up: one that is lost costs the sleeper's own period, for it looks at the rows by itself too.
"""

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from apps.core.adapters.redis_connection import connect, end_if_cancelled
from domain.ports import Clock

log = structlog.get_logger(__name__)

_KEPT = 1  # one ring wakes for any number of rows
_EXPIRES_S = 60


class RedisBell:
    """The sleeper's end."""

    def __init__(self, redis: Redis, name: str, *, clock: Clock) -> None:
        self._redis = redis
        self._name = name
        self._clock = clock

    async def wait(self, seconds: float) -> None:
        """Return when rung, at the latest after `seconds` (at least one: Redis counts so). Never fails."""
        try:
            await self._redis.blpop([self._name], timeout=max(seconds, 1.0))
        except (RedisError, OSError) as exc:
            log.warning("bell.redis_unavailable", name=self._name, error=str(exc))
            await self._clock.sleep(seconds)
        end_if_cancelled()


async def ring(url: str, name: str) -> None:
    """Wake whoever waits, over a connection of its own (a web request's event loop is short-lived)."""
    redis = connect(url)
    try:
        async with redis.pipeline(transaction=True) as pipe:
            pipe.rpush(name, b"1")
            pipe.ltrim(name, -_KEPT, -1)
            pipe.expire(name, _EXPIRES_S)
            await pipe.execute()
    except (RedisError, OSError) as exc:
        log.warning("bell.not_rung", name=name, error=str(exc))
    finally:
        await redis.aclose()
