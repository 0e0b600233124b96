"""The stream of signals in memory."""

import asyncio
from collections.abc import AsyncIterator

from domain.messages import Signal


class FakeSignalStream:
    """The `SignalStream` port. Ids are "1-0", "2-0", …"""

    def __init__(self) -> None:
        self.kept: list[tuple[int, Signal]] = []
        self._published = 0
        self._news = asyncio.Event()

    async def publish(self, signal: Signal) -> None:
        self._published += 1
        self.kept.append((self._published, signal))
        self._news.set()

    def forget(self) -> None:
        """Lose what is kept, as a capped stream does."""
        self.kept.clear()

    async def read(self, *, after: str, block_s: float) -> AsyncIterator[tuple[str, Signal]]:
        last = self._published if after == "$" else int(after.partition("-")[0])
        while True:
            self._news.clear()
            for number, signal in [entry for entry in self.kept if entry[0] > last]:
                last = number
                yield f"{number}-0", signal
            await self._news.wait()
