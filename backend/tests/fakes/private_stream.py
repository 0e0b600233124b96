"""An account's stream that a test opens, feeds and breaks by hand."""

import asyncio
from collections.abc import Callable

from domain.ports import PrivateEvent


class FakeStream:
    """The `PrivateStream` port; open as soon as somebody listens."""

    def __init__(self) -> None:
        self.connections = 0
        self._receive: Callable[[PrivateEvent], None] | None = None
        self._broken: asyncio.Future[None] | None = None

    async def listen(self, *, receive: Callable[[PrivateEvent], None], opened: Callable[[], None]) -> None:
        self.connections += 1
        self._receive, self._broken = receive, asyncio.get_running_loop().create_future()
        opened()
        try:
            await self._broken
        finally:
            self._receive = None

    def send(self, event: PrivateEvent) -> None:
        """Tell an event; nobody hears it while the stream is not open."""
        if self._receive is not None:
            self._receive(event)

    def fail(self, error: Exception) -> None:
        """End the connection."""
        if self._broken is None:
            raise RuntimeError("the stream was never opened")
        self._broken.set_exception(error)
