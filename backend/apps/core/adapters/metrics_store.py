"""Where terminals leave what they count: a Redis key each, which a terminal that died does not renew."""

from collections.abc import Sequence

import orjson
import structlog
from redis.asyncio import Redis

from apps.core.adapters.redis_connection import RedisUnavailable, connect
from apps.core.metrics import Wire, snapshot

log = structlog.get_logger(__name__)

_EXPIRES_S = 30


def _key(name: str) -> str:
    return f"metrics:{name}"


async def leave(redis: Redis, name: str) -> None:
    """Leave this process's counts. Raises what Redis raises."""
    await redis.set(_key(name), orjson.dumps(snapshot()), ex=_EXPIRES_S)


class RedisMetricsReader:
    """Connects per event loop, at each reading: it is asked every few seconds at most."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def read(self, names: Sequence[str]) -> dict[str, list[Wire]]:
        """Return the counts of the terminals that live; none without Redis."""
        client = connect(self._url, timeout_s=1.0)
        try:
            raw = await client.mget([_key(name) for name in names])
        except RedisUnavailable as exc:
            log.warning("metrics.unreadable", error=str(exc))
            return {}
        finally:
            await client.aclose()
        return {name: orjson.loads(body) for name, body in zip(names, raw, strict=True) if body is not None}
