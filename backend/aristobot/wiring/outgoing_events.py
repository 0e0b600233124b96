"""Events on their way to browsers, from the event loop and from database threads alike.

At most once, and never in the way of what they tell about: the queue is bounded, the oldest is dropped, and
a Redis that is down costs events only (a page refetches when its socket comes back).
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any

import structlog

from apps.orders.signals import order_event, orders_waiting
from domain.ports import Gateway, Publisher

log = structlog.get_logger(__name__)

_KEPT = 2000
_Event = tuple[str, str, Mapping[str, Any], int | None]


class OutgoingEvents:
    """A `Publisher` that answers at once and publishes in order from one task.

    Belongs to the event loop in which it is made.
    """

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._loop = asyncio.get_running_loop()
        self._queue: deque[_Event] = deque(maxlen=_KEPT)
        self._filled = asyncio.Event()

    async def publish(
        self, topic: str, event_type: str, data: Mapping[str, Any], *, user_id: int | None = None
    ) -> None:
        self.offer(topic, event_type, data, user_id)

    def offer(self, topic: str, event_type: str, data: Mapping[str, Any], user_id: int | None) -> None:
        """Queue an event; call it in the loop's thread."""
        self._queue.append((topic, event_type, data, user_id))
        self._filled.set()

    def offer_from_thread(self, topic: str, event_type: str, data: Mapping[str, Any], user_id: int | None) -> None:
        """Queue an event from any thread; a loop that has ended takes nothing any more."""
        try:
            self._loop.call_soon_threadsafe(self.offer, topic, event_type, data, user_id)
        except RuntimeError:
            log.warning("events.after_the_end", topic=topic, event_type=event_type)

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


def join_orders(events: OutgoingEvents, gateway: Gateway) -> None:
    """Send what the orders room says after its commits to browsers, and wake terminal 5 for new rows."""
    loop = asyncio.get_running_loop()
    waking: set[asyncio.Task[None]] = set()

    def start_waking() -> None:
        task = loop.create_task(gateway.wake_orders())
        waking.add(task)
        task.add_done_callback(waking.discard)

    def tell(sender: Any, *, topic: str, event_type: str, data: Mapping[str, Any], user_id: int, **_: Any) -> None:
        events.offer_from_thread(topic, event_type, data, user_id)

    def wake(sender: Any, **_: Any) -> None:
        loop.call_soon_threadsafe(start_waking)

    order_event.connect(tell, weak=False, dispatch_uid="outgoing_events")
    orders_waiting.connect(wake, weak=False, dispatch_uid="wake_orders")
