"""Terminal 3's side: the sums follow the orders also while nobody looks at them."""

import structlog

from apps.core.adapters.database import in_database
from apps.stats.services.rollup import bring_everybody_up_to_date
from domain.errors import Unavailable
from domain.ports import Clock

log = structlog.get_logger(__name__)

_EVERY_S = 60.0


class StatsUpkeep:
    """Brings the sums up to date every minute; a page does so for its own user at once."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock

    async def run(self) -> None:
        """Run until cancelled; a database that is away is tried again a minute later."""
        while True:
            await self._clock.sleep(_EVERY_S)
            try:
                await in_database(bring_everybody_up_to_date)
            except Unavailable as exc:
                log.warning("stats.upkeep_postponed", reason=exc.message)
