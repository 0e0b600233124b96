"""One way to reach Redis, by URL (`redis://`, `rediss://`, `unix://`, `sentinel://`)."""

import asyncio
from typing import Any

from redis.asyncio import Redis, Sentinel
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelManagedConnection
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError

from apps.core.adapters.redis_address import SENTINEL_OPTIONS, SentinelAddress, sentinel_address

READ_TIMEOUT_S = 8.0  # a frozen server is left for the one that replaced it after that long
# A server that changes its role or waits for its replicas answers with errors of its own, not only by silence.
RedisUnavailable = (RedisError, OSError)


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
    options: dict[str, Any] = {
        "socket_connect_timeout": timeout_s,
        "socket_timeout": READ_TIMEOUT_S,
        "socket_keepalive": True,
        "retry": Retry(ExponentialBackoff(cap=0.5, base=0.05), retries=3),
        "health_check_interval": 15,
    }
    address = sentinel_address(url)
    if address is not None:
        return _SentinelRedis.of(address, options)
    if url.startswith("unix"):
        del options["socket_keepalive"]
    return Redis.from_url(url, **options)


async def primary_place(url: str) -> str | None:
    """Return where the Sentinels see the primary, "" without Sentinels, None when they do not tell."""
    address = sentinel_address(url)
    if address is None:
        return ""
    asked = _sentinels(address)
    try:
        host, port = await asked.discover_master(address.service)
    except RedisUnavailable:
        return None
    finally:
        await _close(asked)
    return f"{host}:{port}"


def _sentinels(address: SentinelAddress) -> Sentinel:
    of_sentinels = {**address.sentinel, **SENTINEL_OPTIONS}
    return Sentinel(address.hosts, sentinel_kwargs=of_sentinels)  # type: ignore[no-untyped-call]


async def _close(asked: Sentinel) -> None:
    for sentinel in asked.sentinels:
        await sentinel.aclose()


class FollowingConnection(SentinelManagedConnection):
    """Asks the Sentinels at each reconnection.

    redis-py 8 asks them when a connection is taken from the pool, but repeats a failed command at the server it
    knew: one that froze is then waited for again and again (seen: 33 s instead of 8).
    """

    async def connect_check_health(self, check_health: bool = True, retry_socket_connect: bool = True) -> None:
        if not self.is_connected:
            self.host, self.port = await self.connection_pool.get_master_address()
        await super().connect_check_health(check_health=check_health, retry_socket_connect=False)


class _SentinelRedis(Redis):
    """A client of whichever server the Sentinels call the primary; closing it closes its ways to them too."""

    @classmethod
    def of(cls, address: SentinelAddress, options: dict[str, Any]) -> "_SentinelRedis":
        asked = _sentinels(address)
        found = {"redis_class": cls, "connection_class": FollowingConnection, **address.redis, **options}
        client: _SentinelRedis = asked.master_for(address.service, **found)
        client._asked = asked
        return client

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        await super().aclose(close_connection_pool)
        await _close(self._asked)

    _asked: Sentinel
