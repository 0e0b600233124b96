"""Terminal 3's request server beside a test."""

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

from django.conf import settings

from apps.core.adapters.clock import SystemClock
from apps.core.adapters.redis_connection import connect
from apps.core.adapters.strategy_requests import Handler, StrategyRequestServer


class Terminal3:
    """The request server in a thread with an event loop of its own, as in another process."""

    def __init__(self, host: Any, handlers: Mapping[str, Handler] | None = None) -> None:
        self._host = host
        self._handlers = handlers
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    def __enter__(self) -> "Terminal3":
        self._stop = asyncio.Event()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)

    async def _serve(self) -> None:
        redis = connect(settings.REDIS_URL)
        server = asyncio.create_task(
            StrategyRequestServer(redis, host=self._host, clock=SystemClock(), handlers=self._handlers).run()
        )
        await self._stop.wait()
        server.cancel()
        await asyncio.gather(server, return_exceptions=True)
        await self._host.close()
        await redis.aclose()
