"""Feeds of the web process that exist only while somebody looks: computed once, given to every socket.

A feed starts with its first listener and is cancelled with its last one. A listener is a bounded queue; when
a browser is too slow its oldest event is dropped, which is harmless: these events are renewed by the next.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import structlog

log = structlog.get_logger(__name__)

QUEUE_SIZE = 50
RESTART_S = 1.0

Event = tuple[str, Mapping[str, Any]]  # (type, data)
Narrow = Callable[[Mapping[str, Any], int], Awaitable[Mapping[str, Any] | None]]
Queue = asyncio.Queue[Event]


class LiveFeed:
    """One source of events of a topic, shared by the sockets of this process.

    Args:
        topic: the browser's topic.
        source: makes a fresh iterator of events; it is run again a second after it failed.
        narrow: returns what one user may see of an event's data, None when that is nothing.
    """

    def __init__(
        self, topic: str, source: Callable[[], AsyncIterator[Event]], *, narrow: Narrow | None = None
    ) -> None:
        self.topic = topic
        self.narrow = narrow
        self._source = source
        self._listeners: set[Queue] = set()
        self._task: asyncio.Task[None] | None = None

    def join(self) -> Queue:
        """Add a listener; the first one starts the feed."""
        queue: Queue = asyncio.Queue(QUEUE_SIZE)
        self._listeners.add(queue)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"feed.{self.topic}")
        return queue

    def leave(self, queue: Queue) -> None:
        """Remove a listener; the last one stops the feed."""
        self._listeners.discard(queue)
        if not self._listeners and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        while True:
            try:
                async for event in self._source():
                    self._hand_out(event)
            except Exception:
                log.exception("feed.failed", topic=self.topic)
            await asyncio.sleep(RESTART_S)

    def _hand_out(self, event: Event) -> None:
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)
