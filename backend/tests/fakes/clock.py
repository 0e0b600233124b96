"""A clock that a test moves by hand."""

import asyncio
from datetime import UTC, datetime, timedelta


class FakeClock:
    """`sleep` waits until the test advances the clock past the wake-up time."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._monotonic = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._monotonic + seconds, future))
        await future

    def advance(self, seconds: float) -> None:
        """Move time forward and wake the sleepers whose time has come."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds
        due = [future for at, future in self._sleepers if at <= self._monotonic]
        self._sleepers = [(at, future) for at, future in self._sleepers if at > self._monotonic]
        for future in due:
            if not future.done():
                future.set_result(None)
