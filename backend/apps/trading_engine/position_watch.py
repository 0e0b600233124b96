"""Watches the bots' open positions: shows their value move, and sells when a protection is reached.

One price serves all the positions of a market on an account. A position in `closing` whose order ended
without closing it is sold again; `exits.leave` keeps one live exit order at most.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import structlog

from apps.market_data.selectors import market_now
from apps.orders import ledger
from apps.orders.models import Position
from apps.trading_engine import exits
from apps.trading_engine.database import Database, DatabaseDown
from domain.errors import AristobotError
from domain.ports import Clock, Gateway

log = structlog.get_logger(__name__)

Group = tuple[int, int, str]  # broker, user, symbol


class PositionWatch:
    """Looks at every open position each `period_s`, and at once when woken (each market minute)."""

    def __init__(
        self,
        *,
        gateway: Gateway,
        database: Database,
        clock: Clock,
        period_s: float = 5.0,
        price_timeout_s: float = 5.0,
    ) -> None:
        self._gateway = gateway
        self._database = database
        self._clock = clock
        self._period_s = period_s
        self._price_timeout_s = price_timeout_s
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look now rather than at the end of the period."""
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                await self.look()
            except DatabaseDown as exc:
                log.warning("watch.database_down", error=str(exc).strip())
            except Exception:  # boundary of a long-lived task
                log.exception("watch.failed")
            await self._pause()

    async def look(self) -> None:
        """Look once at every open position."""
        groups = await self._database.run(open_positions)
        async with asyncio.TaskGroup() as tasks:
            for group, position_ids in groups.items():
                tasks.create_task(self._look_at(group, position_ids))

    async def _pause(self) -> None:
        waits = [
            asyncio.ensure_future(self._clock.sleep(self._period_s)),
            asyncio.ensure_future(self._woken.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        self._woken.clear()

    async def _look_at(self, group: Group, position_ids: Sequence[int]) -> None:
        """Task boundary of one market on one account: the others go on."""
        broker_id, user_id, symbol = group
        try:
            price = await self._gateway.price(
                broker_id, user_id=user_id, symbol=symbol, timeout_s=self._price_timeout_s
            )
            for position_id in position_ids:
                await self._judge(position_id, price)
        except AristobotError as exc:
            log.warning("watch.no_price", broker_id=broker_id, symbol=symbol, reason=exc.message)
        except DatabaseDown as exc:
            log.warning("watch.database_down", error=str(exc).strip())
        except Exception:  # boundary: the other markets are looked at
            log.exception("watch.market_failed", broker_id=broker_id, symbol=symbol)

    async def _judge(self, position_id: int, price: Decimal) -> None:
        try:
            await self._database.run(judge, position_id, price, now=self._clock.now())
        except AristobotError as exc:
            log.error("watch.exit_refused", position_id=position_id, reason=exc.message)


def open_positions() -> dict[Group, list[int]]:
    """Return the bots' positions that are not closed, by market of an account."""
    groups: dict[Group, list[int]] = defaultdict(list)
    live = Position.objects.filter(bot__isnull=False).exclude(status=Position.Status.CLOSED)
    for position_id, *group in live.values_list("id", "broker_id", "user_id", "symbol"):
        groups[(group[0], group[1], group[2])].append(position_id)
    return dict(groups)


def judge(position_id: int, price: Decimal, *, now: datetime) -> None:
    """Mark a position to the price, and leave it when its protection is reached or its exit must be resumed."""
    ledger.update_mark(position_id, price)
    position = Position.objects.select_related("broker").filter(id=position_id).first()
    if position is None or position.status == Position.Status.CLOSED:
        return
    reason = _why_leave(position, price)
    if reason is None or not exits.may_retry(position, now=now):
        return
    market_time = market_now(position.broker.exchange, now=now)
    trade = exits.leave(position_id, reason=reason, price=price, now=now, market_time=market_time)
    if trade is not None:
        log.info("watch.exit", position_id=position_id, reason=reason, price=str(price), trade_id=trade.id)


def _why_leave(position: Position, price: Decimal) -> str | None:
    if position.status == Position.Status.CLOSING:
        return position.closing_reason or exits.USER
    reached = exits.crossing(position, price)
    return None if reached is None else reached.reason
