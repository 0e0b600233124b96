"""Asks the exchange for the state of orders that rest there, and for orders whose outcome is unknown.

An unknown order is *proven absent* only when it is found neither by its client id, nor among the open orders,
nor among the recent executions, all asked after `absent_after`. Executions carry no client id, so one counts
against the proof when no order of ours accounts for it and its order's total equals the quantity looked for.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import structlog

from apps.core.tracing import following
from apps.orders import attribution, claims, ledger
from apps.orders.claims import Followed
from apps.orders.database import in_database, persist
from apps.orders.models import Trade
from apps.orders.stream_board import StreamBoard
from apps.orders.timings import ExecutorTimings
from domain.errors import AristobotError, InvalidInput, NotFound, OrderNotFound
from domain.orders import TRIGGERED_TYPES, FillReport, OrderReport, OrderStatus
from domain.ports import Clock, ExchangeSession, ExchangeSessions

log = structlog.get_logger(__name__)

_CLOCKS_APART = timedelta(minutes=5)  # more than any exchange's clock differs from ours
_GONE_AFTER = 5  # look-ups in a row without a trace of an order placed elsewhere
_SPENT_AT_LEAST = Decimal("0.95")  # of the amount a market buy may spend; the rest is its last step


class OrderFollower:
    """Looks orders up at their exchange and hands what it says to the ledger.

    Args:
        board: which accounts tell their orders by themselves: those are asked less often, never not at all.
    """

    def __init__(
        self,
        *,
        sessions: ExchangeSessions,
        clock: Clock,
        timings: ExecutorTimings,
        board: StreamBoard | None = None,
    ) -> None:
        self._sessions = sessions
        self._clock = clock
        self._timings = timings
        self._board = board or StreamBoard(clock)

    async def follow(self, orders: Sequence[Followed]) -> None:
        """Bring due orders of one broker and symbol up to date: one call when nothing moved."""
        try:
            session = await self._sessions.session(orders[0].broker_id)
            resting = [order for order in orders if order.status.rests_at_exchange]
            reports = await self._open_reports(session, resting)
        except AristobotError as exc:
            log.warning("orders.follow_failed", broker_id=orders[0].broker_id, error=exc.message)
            for order in orders:
                await self._postpone(order)
            return
        for order in orders:
            report = reports.get(_name(order))
            if report is not None and report.filled_quantity == order.filled_quantity:
                await self._apply(session, order, report)
            else:
                await self._look_up(session, order)

    async def look_up(self, order: Followed) -> None:
        """Ask for one order by its client id, now."""
        try:
            session = await self._sessions.session(order.broker_id)
        except AristobotError:
            await self._postpone(order)
            return
        await self._look_up(session, order)

    async def _open_reports(self, session: ExchangeSession, orders: Sequence[Followed]) -> dict[str, OrderReport]:
        if not orders:
            return {}
        reports = await session.fetch_open_orders(orders[0].symbol)
        by_client_id = {report.client_order_id: report for report in reports if report.client_order_id}
        return {**{report.exchange_order_id: report for report in reports}, **by_client_id}

    async def _look_up(self, session: ExchangeSession, order: Followed) -> None:
        with following(order.trace_id, user_id=order.user_id):
            await self._ask(session, order)

    async def _ask(self, session: ExchangeSession, order: Followed) -> None:
        asked_at = self._clock.now()
        try:
            report = await session.find_order(order.handle)
        except OrderNotFound:
            if order.is_external and order.check_count >= _GONE_AFTER:
                await persist(self._clock, ledger.mark_gone, order.trade_id, now=self._clock.now())
                return
            if order.status.rests_at_exchange:
                log.error("orders.open_order_not_found", client_order_id=order.client_order_id)
            if await self._is_proven_absent(session, order, asked_at=asked_at):
                await persist(self._clock, ledger.mark_absent, order.trade_id, now=self._clock.now())
            else:
                await self._postpone(order)
        except AristobotError as exc:
            log.warning("orders.look_up_failed", client_order_id=order.client_order_id, error=exc.message)
            await self._postpone(order)
        else:
            await self._apply(session, order, report)

    async def _apply(self, session: ExchangeSession, order: Followed, report: OrderReport) -> None:
        try:
            if not await self._commit(order, report):
                return
            # With a fill known, `market_time` is its own: the one that is missing may be older.
            is_first = order.filled_quantity == 0 and not order.is_external
            fills = await session.fetch_my_trades(order.symbol, since=order.market_time if is_first else None)
            own = tuple(fill for fill in fills if fill.exchange_order_id == report.exchange_order_id)
            if await self._commit(order, replace(report, fills=own)):
                log.warning("orders.fills_missing", client_order_id=order.client_order_id)
                await self._postpone(order)
        except NotFound:
            log.info("orders.deleted_meanwhile", client_order_id=order.client_order_id)
        except InvalidInput as exc:
            log.error("orders.inconsistent_report", client_order_id=order.client_order_id, error=exc.message)
            await self._postpone(order)
        except AristobotError as exc:
            log.warning("orders.fills_unavailable", client_order_id=order.client_order_id, error=exc.message)
            await self._postpone(order)

    async def _commit(self, order: Followed, report: OrderReport) -> bool:
        """Apply a report; return whether executions are still to be fetched."""
        applied = await persist(
            self._clock,
            ledger.apply_report,
            order.trade_id,
            attribution.as_of_row(order, report),
            now=self._clock.now(),
            check_after=self._timings.check_after(is_told=self._board.is_up(order.broker_id)),
        )
        if applied.changed and order.order_type not in TRIGGERED_TYPES:  # not every stream tells of those
            self._board.found(order.broker_id, report.exchange_order_id)
        return applied.fills_missing

    async def _postpone(self, order: Followed) -> None:
        unknown = order.status in (OrderStatus.UNKNOWN, OrderStatus.SENDING)
        delays = self._timings.unknown_backoff if unknown else self._timings.open_backoff
        until = self._clock.now() + claims.retry_delay(delays, order.check_count)
        await persist(self._clock, claims.postpone, order.trade_id, until=until)

    async def _is_proven_absent(self, session: ExchangeSession, order: Followed, *, asked_at: datetime) -> bool:
        """Tell whether the exchange certainly never took an order it did not find by client id at `asked_at`."""
        if order.status is not OrderStatus.UNKNOWN or order.absent_after is None or asked_at < order.absent_after:
            return False
        try:
            open_ids = await self._open_reports(session, [order])
            fills = await session.fetch_my_trades(order.symbol, since=_since(order))
        except AristobotError as exc:
            log.warning("orders.proof_unavailable", client_order_id=order.client_order_id, error=exc.message)
            return False
        executed: dict[str, list[FillReport]] = defaultdict(list)
        for fill in fills:
            executed[fill.exchange_order_id].append(fill)
        ours = await in_database(_known_orders, order.broker_id, list(executed))
        stray = [key for key, parts in executed.items() if key not in ours and _could_be(order, parts)]
        if stray:
            log.error("orders.unattributed_fills", client_order_id=order.client_order_id, exchange_orders=stray)
        return order.client_order_id not in open_ids and not stray


def _name(order: Followed) -> str:
    """Return the id that a report of it bears."""
    return order.exchange_order_id if order.is_external else order.client_order_id


def _since(order: Followed) -> datetime | None:
    """Return the beginning of "recent": the decision's market time, else some minutes before the sending."""
    if order.market_time is not None:
        return order.market_time
    return None if order.sending_at is None else order.sending_at - _CLOCKS_APART


def _could_be(order: Followed, fills: Sequence[FillReport]) -> bool:
    """Tell whether those executions of one order at the exchange are as large as the order looked for."""
    if order.quote_amount is None:
        return sum((fill.quantity for fill in fills), Decimal(0)) == order.quantity
    spent = sum((fill.price * fill.quantity for fill in fills), Decimal(0))
    return order.quote_amount * _SPENT_AT_LEAST <= spent <= order.quote_amount


def _known_orders(broker_id: int, exchange_order_ids: Sequence[str]) -> set[str]:
    known = Trade.objects.filter(broker_id=broker_id, exchange_order_id__in=exchange_order_ids)
    return set(known.values_list("exchange_order_id", flat=True))
