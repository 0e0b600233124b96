"""Leases in Redis: which markets somebody looks at, until when. One sorted set, scored by the end of each."""

from collections.abc import Sequence
from typing import Any

import orjson
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from apps.core.adapters.redis_connection import end_if_cancelled
from domain.errors import Unavailable
from domain.live_market import Interest
from domain.ports import Clock
from domain.timeframes import Timeframe, to_ms

log = structlog.get_logger(__name__)

INTEREST_KEY = "market_interest"
LEASE_S = 25.0
_KEY_EXPIRES_S = 120
_MOST_READ = 500


class RedisInterests:
    """Renewed by the web process for each trader's selection, read by terminal 5."""

    def __init__(self, redis: Redis, *, clock: Clock) -> None:
        self._redis = redis
        self._clock = clock

    async def renew(self, interest: Interest) -> None:
        """Keep that interest alive for LEASE_S from now. Raises Unavailable when Redis does not answer."""
        until_ms = to_ms(self._clock.now()) + LEASE_S * 1000
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.zadd(INTEREST_KEY, {_member(interest): until_ms})
                pipe.expire(INTEREST_KEY, _KEY_EXPIRES_S)
                await pipe.execute()
        except (RedisError, OSError) as exc:
            raise Unavailable("Marché non suivi : Redis ne répond pas.", code="redis_down") from exc

    async def current(self) -> Sequence[Interest]:
        """Return what is looked at now, most recently renewed first. Raises Unavailable."""
        now_ms = to_ms(self._clock.now())
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.zremrangebyscore(INTEREST_KEY, "-inf", now_ms)
                pipe.zrevrange(INTEREST_KEY, 0, _MOST_READ - 1)
                members = (await pipe.execute())[1]
        except (RedisError, OSError) as exc:
            end_if_cancelled()
            raise Unavailable("Marchés suivis illisibles : Redis ne répond pas.", code="redis_down") from exc
        end_if_cancelled()
        return [interest for member in members if (interest := _interest(member)) is not None]


def _member(interest: Interest) -> bytes:
    timeframe = interest.timeframe.value if interest.timeframe else ""
    return orjson.dumps([interest.broker_id, interest.symbol, timeframe])


def _interest(member: Any) -> Interest | None:
    try:
        broker_id, symbol, timeframe = orjson.loads(member)
        return Interest(int(broker_id), str(symbol), Timeframe(timeframe) if timeframe else None)
    except (ValueError, TypeError) as exc:
        log.warning("market_interest.unreadable", error=str(exc))
        return None
