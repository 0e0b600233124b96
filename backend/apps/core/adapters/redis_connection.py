"""One way to reach Redis, by URL (`redis://`, `rediss://`, `unix://`)."""

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

READ_TIMEOUT_S = 15.0
RedisUnavailable = (RedisConnectionError, RedisTimeoutError)


def connect(url: str, *, timeout_s: float = 5.0) -> Redis:
    """Return a client (bytes in, bytes out) that reconnects by itself a few times before it raises.

    Args:
        timeout_s: of connecting. An answer may take READ_TIMEOUT_S, so a blocking read must ask for less.
    """
    return Redis.from_url(
        url,
        socket_connect_timeout=timeout_s,
        socket_timeout=READ_TIMEOUT_S,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), retries=3),
        health_check_interval=15,
    )
