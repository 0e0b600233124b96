"""A wake-up call between processes: one token in a Redis list. A lost one costs the reader's period, no more."""

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from apps.core.adapters.redis_connection import READ_TIMEOUT_S, end_if_cancelled
from domain.ports import Clock

log = structlog.get_logger(__name__)


class RedisWakeUp:
    """Both ends of one call.

    Args:
        name: key of the list; whoever waits under it is woken, one reader per call.
    """

    def __init__(self, redis: Redis, name: str, *, clock: Clock) -> None:
        self._redis = redis
        self._name = name
        self._clock = clock

    async def call(self) -> None:
        """Leave the token; calls that nobody heard yet are one. Never fails."""
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.lpush(self._name, b"1")
                pipe.ltrim(self._name, 0, 0)
                await pipe.execute()
        except (RedisError, OSError) as exc:
            log.warning("wake_up.not_sent", name=self._name, error=str(exc))
        end_if_cancelled()

    async def wait(self, timeout_s: float) -> None:
        """Return when called, or after `timeout_s`; without Redis, after `timeout_s`."""
        try:
            await self._redis.blpop([self._name], timeout=min(timeout_s, READ_TIMEOUT_S / 2))
        except (RedisError, OSError) as exc:
            log.warning("wake_up.not_heard", name=self._name, error=str(exc))
            await self._clock.sleep(timeout_s)
        end_if_cancelled()
