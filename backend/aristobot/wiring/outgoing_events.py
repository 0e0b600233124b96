"""Events on their way to browsers, and the wake-up of terminal 5.

At most once, and never in the way of what they tell about: the queue is bounded, the oldest is dropped, and
a Redis that is down costs events only (a page refetches when its socket comes back).
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any

import structlog

from apps.orders.signals import orders_waiting
from domain.ports import Gateway, Publisher

log = structlog.get_logger(__name__)

_KEPT = 2000
_Event = tuple[str, str, Mapping[str, Any], int | None]


class OutgoingEvents:
    """A `Publisher` that answers at once and publishes in order from one task."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._queue: deque[_Event] = deque(maxlen=_KEPT)
        self._filled = asyncio.Event()

    async def publish(
        self, topic: str, event_type: str, data: Mapping[str, Any], *, user_id: int | None = None
    ) -> None:
        self._queue.append((topic, event_type, data, user_id))
        self._filled.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            while self._queue:
                topic, event_type, data, user_id = self._queue.popleft()
                try:
                    await self._publisher.publish(topic, event_type, data, user_id=user_id)
                except Exception:  # boundary: an event lost is not worth a service
                    log.exception("events.not_published", topic=topic, event_type=event_type)


def join_wake_up(gateway: Gateway) -> None:
    """Wake terminal 5 when a transaction of this process committed orders, whatever thread did."""
    loop = asyncio.get_running_loop()
    waking: set[asyncio.Task[None]] = set()

    def start_waking() -> None:
        task = loop.create_task(gateway.wake_orders())
        waking.add(task)
        task.add_done_callback(waking.discard)

    def wake(sender: Any, **_: Any) -> None:
        loop.call_soon_threadsafe(start_waking)

    orders_waiting.connect(wake, weak=False, dispatch_uid="wake_orders")
