"""One way to reach Redis, by URL (`redis://`, `rediss://`, `unix://`)."""

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

RedisUnavailable = (RedisConnectionError, RedisTimeoutError)


def connect(url: str, *, timeout_s: float = 5.0) -> Redis:
    """Return a client (bytes in, bytes out) that reconnects by itself a few times before it raises.

    Args:
        timeout_s: of connecting. Reading has no time-out of its own because of blocking reads.
    """
    return Redis.from_url(
        url,
        socket_connect_timeout=timeout_s,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), retries=3),
        health_check_interval=15,
    )
