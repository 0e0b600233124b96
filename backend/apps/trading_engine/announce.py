"""Tells browsers what the engine wrote. At most once: the rows are the truth."""

from collections.abc import Iterable

from apps.trading_engine import selectors
from apps.trading_engine.bodies import decision_body
from apps.trading_engine.database import Database
from apps.trading_engine.models import BotDecision
from domain.ports import Clock, Publisher


class Announcer:
    """Publishes decisions and bots' states to their users."""

    def __init__(self, *, publisher: Publisher, database: Database, clock: Clock) -> None:
        self._publisher = publisher
        self._database = database
        self._clock = clock

    async def decision(self, row: BotDecision, *, user_id: int) -> None:
        """Send a decision; the bot's card shows it as its last."""
        body = decision_body(row)
        await self._publisher.publish("bots", "decision", {**body, "bot": row.bot_id}, user_id=user_id)
        await self._publisher.publish("bots", "bot", {"id": row.bot_id, "last_decision": body}, user_id=user_id)

    async def missed(self, rows: Iterable[BotDecision]) -> None:
        """Send missed closes; the rows come with their bot."""
        for row in rows:
            await self.decision(row, user_id=row.bot.user_id)

    async def bot(self, bot_id: int) -> None:
        """Send a bot's settings and state."""
        found = await self._database.run(selectors.event_body, bot_id, now=self._clock.now())
        if found is not None:
            user_id, body = found
            await self._publisher.publish("bots", "bot", body, user_id=user_id)
