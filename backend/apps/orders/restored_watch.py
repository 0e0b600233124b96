"""Asks the exchanges what happened since the backup, as long as a user has not confirmed a restoration.

Orders that the backup does not know are written as external ones, with their executions; then what each account
holds is compared with the positions that the backup believes in. A position that is not covered was sold by the
instance that went on: it is named here, and closed when the user confirms. Nothing is ever sent from here.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import structlog

from apps.core.models import Restoration
from apps.core.selectors import restorations as selectors
from apps.core.services import restorations
from apps.orders.database import DatabaseDown, in_database
from apps.orders.events import amount
from apps.orders.external_watch import ExternalTimings, ExternalWatch
from apps.orders.models import Position, Trade
from apps.orders.stream_board import StreamBoard
from domain.errors import AristobotError, Unavailable
from domain.markets import split_symbol
from domain.orders import OrderSource, OrderStatus
from domain.ports import BrokerAccess, BrokerDirectory, Clock, ExchangeSessions, Publisher

log = structlog.get_logger(__name__)

_EVERYTHING = ExternalTimings(symbols_a_look=1000, orders_a_look=1000)
_FIRST_S, _AGAIN_S = 2.0, 30.0
_NAMED = 50  # found orders that the page lists


class RestoredWatch:
    """Keeps the report of each waiting restoration fresh; ends when none waits."""

    def __init__(
        self,
        sessions: ExchangeSessions,
        directory: BrokerDirectory,
        clock: Clock,
        *,
        board: StreamBoard,
        may_apply: Callable[[], bool],
        publisher: Publisher,
    ) -> None:
        self._sessions = sessions
        self._directory = directory
        self._publisher = publisher
        self._clock = clock
        self._may_apply = may_apply
        self._external = ExternalWatch(
            sessions, directory, clock, board=board, may_apply=may_apply, timings=_EVERYTHING
        )

    async def run(self) -> None:
        """Work until nobody waits. A restoration only ever begins while no terminal runs."""
        await self._clock.sleep(_FIRST_S)
        while True:
            try:
                waiting = await in_database(_waiting)
                if not waiting:
                    return
                if self._may_apply():
                    await self.look(waiting)
            except (DatabaseDown, Unavailable) as exc:
                log.warning("orders.restored_not_looked", error=exc.message)
            except Exception:  # boundary of a long-lived task
                log.exception("orders.restored_failed")
            await self._clock.sleep(_AGAIN_S if self._may_apply() else _FIRST_S)

    async def look(self, waiting: Sequence[Restoration]) -> None:
        """Ask every account of the users who wait, and write their reports."""
        active = await self._directory.active()
        for restoration in waiting:
            mine = [access for access in active if access.user_id == restoration.user_id]
            accounts = {access.broker_id: await self._ask(access) for access in mine}
            report = await in_database(_report, restoration, accounts)
            await in_database(restorations.note_report, restoration.pk, report, now=self._clock.now())
            # The page asks again: what it shows is the user's only.
            await self._publisher.publish("bots", "restoration", {}, user_id=restoration.user_id)
            log.info("orders.restored_reported", user_id=restoration.user_id, found=report["found"])

    async def _ask(self, access: BrokerAccess) -> Mapping[str, Decimal] | str:
        """Return what the account holds by currency, or why it could not be asked."""
        try:
            await self._external.look(access)
            session = await self._sessions.session(access.broker_id)
            balance = await session.fetch_balance()
        except AristobotError as exc:
            return exc.message
        return {currency: balance.total(currency) for currency in {*balance.free, *balance.locked}}


def _waiting() -> list[Restoration]:
    rows = Restoration.objects.filter(user_id__in=selectors.held_users(), confirmed_at=None)
    return list(rows.order_by("id"))


def _report(restoration: Restoration, accounts: Mapping[int, Mapping[str, Decimal] | str]) -> dict[str, Any]:
    mine = Trade.objects.filter(user_id=restoration.user_id)
    found = mine.filter(source=OrderSource.EXTERNAL, created_at__gte=restoration.restored_at)
    unsettled = mine.filter(status__in=[OrderStatus.SENDING, OrderStatus.UNKNOWN])
    return {
        "found": found.count(),
        "orders": [_order_body(trade) for trade in found.order_by("-id")[:_NAMED]],
        "unknown": unsettled.count(),
        "positions": _positions(restoration.user_id, accounts),
        "failures": [answer for answer in accounts.values() if isinstance(answer, str)],
    }


def _order_body(trade: Trade) -> dict[str, Any]:
    return {
        "id": trade.pk,
        "symbol": trade.symbol,
        "side": trade.side,
        "quantity": amount(trade.filled_quantity or trade.quantity),
        "price": None if trade.average_price is None else amount(trade.average_price),
        "status": trade.status,
    }


def _positions(user_id: int, accounts: Mapping[int, Mapping[str, Decimal] | str]) -> list[dict[str, Any]]:
    """Return the positions that an account does not cover, newest first among those that share a currency."""
    groups: dict[tuple[int, str], list[Position]] = defaultdict(list)
    live = Position.objects.filter(user_id=user_id).exclude(status=Position.Status.CLOSED)
    for position in live.exclude(owner="external").order_by("-opened_at", "-id"):
        groups[position.broker_id, split_symbol(position.symbol)[0]].append(position)
    uncovered = []
    for (broker_id, base), positions in groups.items():
        held = accounts.get(broker_id)
        if held is None or isinstance(held, str):
            continue  # not asked: nothing is known, nothing is closed
        have = held.get(base, Decimal(0))
        missing = sum((position.quantity for position in positions), Decimal(0)) - have
        for position in positions:
            if missing < _step_of(position):
                break  # dust
            uncovered.append(_position_body(position, have))
            missing -= position.quantity
    return uncovered


def _step_of(position: Position) -> Decimal:
    """Return the smallest amount that its market sells; what is missing below it is no difference."""
    steps = Trade.objects.filter(broker_id=position.broker_id, symbol=position.symbol, step_size__gt=0)
    step: Decimal | None = steps.order_by("-id").values_list("step_size", flat=True).first()
    return Decimal("1e-18") if step is None else step


def _position_body(position: Position, held: Decimal) -> dict[str, Any]:
    return {
        "id": position.pk,
        "symbol": position.symbol,
        "owner": position.owner,
        "quantity": amount(position.quantity),
        "held": amount(held),
    }
