"""Watches open positions: shows their value move, and leaves them when a price is reached that it watches over.

One price serves all the positions of a market on an account. A stop loss or take profit that rests at the
exchange is left to the exchange for a while; the engine steps in when it does not execute. Each market minute
it also lets every protection be asked for at its exchange, and mended where it is not what is held.

The positions of a user who has not confirmed a restoration are valued and nothing else: he is asked to verify
them, so what he sees is what they are worth now.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import structlog
from django.db.models import Q

from apps.core.selectors import restorations
from apps.market_data.selectors import market_now
from apps.orders import closing, keeper, ledger, protection
from apps.orders.models import Position
from apps.orders.protection_state import ENGINE, guards_of, holder_of, legs_of
from apps.trading_engine.database import Database, DatabaseDown
from domain.errors import AristobotError
from domain.ports import Clock, Gateway
from domain.protection import reached

log = structlog.get_logger(__name__)

Group = tuple[int, int, str]  # broker, user, symbol


class PositionWatch:
    """Looks at every open position each `period_s`, and at once when woken (each market minute).

    Args:
        patience_s: how long a price may be beyond a protection that rests at the exchange before it is sold.
    """

    def __init__(
        self,
        *,
        gateway: Gateway,
        database: Database,
        clock: Clock,
        period_s: float = 5.0,
        price_timeout_s: float = 5.0,
        patience_s: float = 15.0,
    ) -> None:
        self._gateway = gateway
        self._database = database
        self._clock = clock
        self._period_s = period_s
        self._price_timeout_s = price_timeout_s
        self._patience_s = patience_s
        self._left_to_exchange: dict[int, float] = {}  # position: monotonic time since when
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look now rather than at the end of the period, at the protections too."""
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            is_minute = self._woken.is_set()
            self._woken.clear()
            try:
                if is_minute:
                    await self.verify()
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

    async def verify(self) -> None:
        """Let the protections be asked for at their exchanges, and mend those that are not what is held."""
        run = self._database.run
        await run(protection.ask_exchange, now=self._clock.now())
        for due in await run(keeper.survey):
            try:
                await run(keeper.take_step, due, now=self._clock.now())
            except AristobotError as exc:  # one position's boundary: the others are verified
                log.error("watch.not_mended", position_id=due.position_id, reason=exc.message)

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
        now, since = self._clock.monotonic(), self._left_to_exchange.get(position_id)
        is_overdue = since is not None and now - since >= self._patience_s
        try:
            left = await self._database.run(judge, position_id, price, now=self._clock.now(), is_overdue=is_overdue)
        except AristobotError as exc:
            log.error("watch.exit_refused", position_id=position_id, reason=exc.message)
            return
        if left:
            self._left_to_exchange.setdefault(position_id, now)
        else:
            self._left_to_exchange.pop(position_id, None)


def open_positions() -> dict[Group, list[int]]:
    """Return the positions to value or watch, by market of an account; of an inactive account those to watch."""
    groups: dict[Group, list[int]] = defaultdict(list)
    watched = Q(bot__isnull=False) | Q(stop_loss__isnull=False) | Q(take_profit__isnull=False)
    live = Position.objects.filter(watched | Q(status=Position.Status.CLOSING) | Q(broker__is_active=True))
    live = live.exclude(status=Position.Status.CLOSED)
    for position_id, *group in live.values_list("id", "broker_id", "user_id", "symbol"):
        groups[(group[0], group[1], group[2])].append(position_id)
    return dict(groups)


def judge(position_id: int, price: Decimal, *, now: datetime, is_overdue: bool = False) -> bool:
    """Mark a position to the price, and leave it when it must be left and its user lets us act.

    Args:
        is_overdue: a price that the exchange watches over was reached long ago.

    Returns:
        Whether a price is reached and left to the order that rests for it at the exchange.
    """
    ledger.update_mark(position_id, price)
    position = Position.objects.select_related("broker").filter(id=position_id).first()
    if position is None or position.status == Position.Status.CLOSED:
        return False
    if restorations.waiting_of(position.user_id) is not None:
        return False
    market_time = market_now(position.broker.exchange, now=now)
    if position.status == Position.Status.CLOSING:
        closing.advance(position_id, now=now, price=price, market_time=market_time)
        return False
    side = reached(guards_of(position), price)
    if side is None:
        return False
    if not is_overdue and holder_of(side, legs_of(position_id)) != ENGINE:
        protection.ask_exchange(now=now)
        return True
    log.info("watch.exit", position_id=position_id, reason=side, price=str(price), is_overdue=is_overdue)
    if closing.may_retry(position, now=now):
        closing.begin(position_id, reason=side, price=price, now=now, market_time=market_time)
    return False
