"""The gateway for code that has no event loop of its own (a synchronous view)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from django.conf import settings

from apps.core.adapters.clock import SystemClock
from apps.core.adapters.redis_connection import connect
from apps.core.adapters.redis_requests import RedisRequestBus
from apps.core.services.ccxt_client import CcxtClient


@asynccontextmanager
async def short_lived_gateway() -> AsyncIterator[CcxtClient]:
    """Give a client for one call: a Redis connection belongs to the event loop that opened it."""
    clock = SystemClock()
    redis = connect(settings.REDIS_URL)
    client = CcxtClient(RedisRequestBus(redis, clock=clock), clock=clock)
    try:
        yield client
    finally:
        await client.close()
        await redis.aclose()
