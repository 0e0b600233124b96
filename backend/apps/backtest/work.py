"""A claimed row while it is being played: its progress, told to the browsers and kept with the lease."""

from contextlib import AbstractAsyncContextManager
from typing import Any

from apps.backtest import queue
from apps.backtest.advance import Advance
from apps.backtest.announce import TOPIC, alongside, progress_body, tell
from apps.backtest.models import Job
from apps.market_data.services.candle_history import Queries
from domain.ports import Clock, Publisher

_TOLD_EVERY_S = 0.15  # six times a second


class ClaimLost(Exception):
    """Another worker has the row, or it was deleted: nothing more is to be done for it."""


class Work:
    """What players see of the queue."""

    def __init__(self, row: Job, *, queries: Queries, publisher: Publisher, clock: Clock) -> None:
        self.claim = queue.claim_of(row)
        self.phase: str = row.status
        self.is_ending = False  # its last words are being written: too late to stop it
        self._row = row
        self._queries = queries
        self._publisher = publisher
        self._clock = clock
        self._advance = Advance()
        self._news: dict[str, Any] | None = None
        self._lap_began = clock.monotonic()
        self.seconds: dict[str, float] = {}

    def lap(self, step: str) -> None:
        """Note that a step is over: `seconds` says how long each took, for the log."""
        now = self._clock.monotonic()
        self.seconds[step] = round(self.seconds.get(step, 0.0) + now - self._lap_began, 3)
        self._lap_began = now

    @property
    def progress(self) -> float:
        """How far the present phase is; never less than before."""
        return self._advance.share

    def tell(self, said: float, detail: str) -> None:
        """Note how far the present phase is; the browsers hear of it within `_TOLD_EVERY_S`."""
        share = self._advance.to(said)
        self._news = progress_body(self._row, phase=self.phase, progress=share, detail=detail)

    async def write(self, **columns: Any) -> None:
        """Change the row and tell the browsers. Raises ClaimLost."""
        self.is_ending = self.is_ending or columns["status"] not in queue.AT_WORK
        row = await self._queries.run(queue.write, self.claim, **columns)
        if row is None:
            raise ClaimLost
        if row.status != self.phase:
            self.phase, self._advance, self._news = row.status, Advance(), None
        await tell(self._publisher, row)

    async def note(self, **columns: Any) -> None:
        """Change the row without a word; a lost claim is heard of at its next renewal."""
        await self._queries.run(queue.write, self.claim, **columns)

    def telling(self) -> AbstractAsyncContextManager[None]:
        """Publish progress for the length of a block."""
        return alongside(self._tick())

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(_TOLD_EVERY_S)
            news, self._news = self._news, None
            if news is not None:
                await self._publisher.publish(TOPIC, "progress", news, user_id=self._row.user_id)
