"""Carries the events of committed transactions to the publisher, in the process that made them.

Events may be lost (a full queue, Redis away): they only spare a browser a refetch.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog

from apps.orders.signals import order_event
from domain.ports import Publisher

log = structlog.get_logger(__name__)

_Event = tuple[str, str, Mapping[str, Any], int | None]


class EventRelay:
    """Listens to `order_event` while `run` is running. Overflow drops the oldest event."""

    def __init__(self, publisher: Publisher, *, capacity: int = 1000) -> None:
        self._publisher = publisher
        self._queue: asyncio.Queue[_Event] = asyncio.Queue(capacity)
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self) -> None:
        """Publish until cancelled."""
        self._loop = asyncio.get_running_loop()
        order_event.connect(self._receive, weak=False, dispatch_uid=id(self))
        try:
            while True:
                topic, event_type, data, user_id = await self._queue.get()
                await self._publish(topic, event_type, data, user_id)
        finally:
            order_event.disconnect(dispatch_uid=id(self))

    async def _publish(self, topic: str, event_type: str, data: Mapping[str, Any], user_id: int | None) -> None:
        try:
            await self._publisher.publish(topic, event_type, data, user_id=user_id)
        except Exception as exc:  # noqa: BLE001 — the task's boundary: no event may stop the others
            log.warning("orders.event_lost", topic=topic, type=event_type, error=repr(exc))

    def _receive(self, *, topic: str, event_type: str, data: Mapping[str, Any], user_id: int, **_: Any) -> None:
        """Called in whatever thread committed."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._put, (topic, event_type, data, user_id))

    def _put(self, event: _Event) -> None:
        if self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(event)
