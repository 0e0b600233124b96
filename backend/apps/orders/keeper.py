"""Terminal 5's hand on positions: places, mends and ends their protection, and takes the next step of closings.

Looks at the rows each time the executor does, that is as soon as anything was committed there: fills, final
words, wishes of other processes. What it finds in line is not in the query's answer.
"""

from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db import connection

from apps.market_data.selectors import market_now
from apps.orders import closing, ownership, protection
from apps.orders.database import DatabaseDown, in_database
from apps.orders.models import Position
from domain.errors import AristobotError
from domain.ports import Clock

log = structlog.get_logger(__name__)

_JUDGED_S = 30.0  # before a position that is as it can be is judged again
_AS_IT_CAN_BE = (protection.Outcome.HELD, protection.Outcome.WATCHED)
_LIVE = "('pending', 'sending', 'unknown', 'open', 'partially_filled')"
# After a restoration nothing moves by itself before its user has looked.
_IS_HELD = "EXISTS (SELECT 1 FROM restorations r WHERE r.user_id = p.user_id AND r.confirmed_at IS NULL)"
_DUE = f"""
    SELECT p.id, p.status, p.quantity, p.stop_loss, p.take_profit, live.legs, live.covered FROM positions p
    LEFT JOIN LATERAL (
        SELECT count(*) AS legs, count(*) FILTER (WHERE t.type = 'stop_loss') AS stops, max(t.step_size) AS step,
            -- The two legs of a pair sell the same quantity.
            COALESCE(sum(t.quantity), 0) - COALESCE(sum(t.quantity) FILTER (
                WHERE t.link_id <> '' AND t.type = 'take_profit' AND EXISTS (
                    SELECT 1 FROM trades s
                    WHERE s.link_id = t.link_id AND s.id <> t.id AND s.status IN {_LIVE})), 0) AS covered
        FROM trades t
        WHERE t.position_id = p.id AND t.intent = 'protection' AND t.status IN {_LIVE}) live ON true
    WHERE NOT {_IS_HELD} AND (p.status = 'closing' OR p.status = 'open' AND (
        live.legs > 0 AND (live.covered > p.quantity OR p.quantity - live.covered >= live.step
            OR p.stop_loss IS NOT NULL AND live.stops = 0
            OR p.stop_loss IS NOT NULL AND p.take_profit IS NOT NULL AND live.stops = live.legs)
        OR live.legs = 0 AND (p.stop_loss IS NOT NULL OR p.take_profit IS NOT NULL)))
    UNION
    SELECT p.id, p.status, p.quantity, p.stop_loss, p.take_profit, 0, 0
    FROM trades t JOIN positions p ON p.id = t.position_id
    WHERE t.status IN {_LIVE} AND t.intent = 'protection' AND p.status = 'closed' AND NOT {_IS_HELD}
    ORDER BY 1
"""  # noqa: S608 — constants only


@dataclass(frozen=True, slots=True)
class Due:
    """A position that is not in line with its orders. `state` is what was judged: another one is judged anew."""

    position_id: int
    status: str
    state: tuple[object, ...]


class PositionKeeper:
    """Takes one step for each position that needs one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._judged: dict[int, tuple[tuple[object, ...], float]] = {}

    async def run(self) -> None:
        """Look once."""
        now, monotonic = self._clock.now(), self._clock.monotonic()
        known = {key: entry for key, entry in self._judged.items() if monotonic < entry[1]}
        self._judged = {}
        for due in await in_database(survey):
            if due.position_id in known and known[due.position_id][0] == due.state:
                self._judged[due.position_id] = known[due.position_id]
            elif await self._take_step(due, now=now) in _AS_IT_CAN_BE:
                self._judged[due.position_id] = due.state, monotonic + _JUDGED_S

    async def _take_step(self, due: Due, *, now: datetime) -> protection.Outcome | closing.Step | None:
        """One call of the database for each, so that an order never waits for all of them."""
        try:
            return await in_database(take_step, due, now=now)
        except DatabaseDown:
            raise
        except AristobotError as exc:  # one position's boundary: the others are kept
            log.error("keeper.step_failed", position_id=due.position_id, error=exc.message)
            return None


def survey() -> list[Due]:
    """Return the positions that are being left, or whose protection is not what is held."""
    with connection.cursor() as cursor:
        cursor.execute(_DUE)
        rows = cursor.fetchall()
    return [Due(position_id=row[0], status=row[1], state=tuple(row[1:])) for row in rows]


def take_step(due: Due, *, now: datetime) -> protection.Outcome | closing.Step:
    """Take the next step of one position."""
    if due.status == Position.Status.CLOSING:
        position = ownership.current(due.position_id)
        market_time = None if position is None else market_now(position.broker.exchange, now=now)
        step = closing.advance(due.position_id, now=now, market_time=market_time).step
        if step is closing.Step.SELLING:
            log.info("keeper.sold", position_id=due.position_id)
        return step
    outcome = protection.align(due.position_id, now=now)
    if outcome not in (protection.Outcome.HELD, protection.Outcome.WAITING):
        log.info("keeper.protection", position_id=due.position_id, outcome=outcome.value)
    return outcome
