"""Replays the queued market days, one after the other, for as long as terminal 3 runs."""

from datetime import datetime, timedelta

import structlog

from apps.trading_engine.bodies import parity_body
from apps.trading_engine.database import Database, DatabaseDown
from apps.trading_engine.models import ParityRun
from apps.trading_engine.parity import book
from apps.trading_engine.parity.replays import Replayer, Tally
from domain.errors import StrategyError, Unavailable
from domain.ports import Clock, Publisher, StrategyHost
from domain.strategies.replay import MAX_QUESTIONS

log = structlog.get_logger(__name__)


class ParityWatch:
    """Looks for days that are over, and for days that a user asked for.

    Args:
        database: its own, so that no decision waits for a connection.
        look_s: between two looks at the queue; `every` between two looks for finished days.
    """

    def __init__(
        self,
        *,
        host: StrategyHost,
        publisher: Publisher,
        database: Database,
        clock: Clock,
        look_s: float = 2.0,
        every: timedelta = timedelta(minutes=1),
    ) -> None:
        self._publisher = publisher
        self._database = database
        self._clock = clock
        self._look_s = look_s
        self._every = every
        self._replayer = Replayer(host=host, database=database)
        self._looked_at: datetime | None = None

    async def run(self) -> None:
        """Work until cancelled; survives restarts of PostgreSQL."""
        while True:
            try:
                await self.look()
            except (*DatabaseDown, Unavailable) as exc:
                log.warning("parity.postponed", error=str(exc).strip())
            except Exception:  # boundary of a long-lived task
                log.exception("parity.failed")
            await self._clock.sleep(self._look_s)

    async def look(self) -> None:
        """Queue what is over, then replay the day that has waited longest, if any."""
        now = self._clock.now()
        if self._looked_at is None or now - self._looked_at >= self._every:
            await self._database.run(book.queue_finished_days, now=now)
            self._looked_at = now
        run = await self._database.run(book.next_queued)
        if run is not None:
            await self._replay(run)

    async def _replay(self, run: ParityRun) -> None:
        tally, offset = Tally(), 0
        try:
            while pasts := await self._database.run(book.decisions_from, run, offset, limit=MAX_QUESTIONS):
                await self._replayer.compare(run.bot, pasts, tally)
                offset += len(pasts)
        except StrategyError as exc:  # the text takes too long or too much memory, now that it is asked again
            await self._database.run(book.fail, run, reason=exc.message, now=self._clock.now())
        else:
            await self._database.run(
                book.close,
                run,
                checked=tally.checked,
                unverifiable=tally.unverifiable,
                found=tally.found,
                now=self._clock.now(),
            )
            log.info("parity.done", bot_id=run.bot_id, day=run.day.isoformat(), differing=len(tally.found))
        await self._announce(run)

    async def _announce(self, run: ParityRun) -> None:
        """Tell the user's pages that the day is done; they ask for the differences themselves."""
        body = await self._database.run(parity_body, run.id)
        if body is not None:
            await self._publisher.publish("bots", "parity", body, user_id=run.bot.user_id)
