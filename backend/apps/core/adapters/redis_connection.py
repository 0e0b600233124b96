"""One way to reach Redis, by URL (`redis://`, `rediss://`, `unix://`)."""

import asyncio

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

READ_TIMEOUT_S = 15.0
RedisUnavailable = (RedisConnectionError, RedisTimeoutError)


def end_if_cancelled() -> None:
    """Raise the cancellation that redis-py swallowed: to be called after its calls, in whatever loops.

    It loses most of those that arrive while an answer is awaited (seen: 188 of 200 with redis-py 8); a task
    that was cancelled then goes on as if nothing had been, and whoever waits for its end waits for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


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
