"""Sends one order (or the two of an OCO) once and writes down what came of it.

The verdict on an answer is in one place, `_conclude`: refused, certainly not executed, or unknown. Whatever
is not one of the two proofs is unknown, a bug of ours included: an order is never sent again blindly.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial

import structlog

from apps.core.tracing import following
from apps.orders import claims, ledger
from apps.orders.claims import Claimed, Leg
from apps.orders.database import persist
from apps.orders.follower import OrderFollower
from apps.orders.timings import ExecutorTimings
from domain.errors import (
    AristobotError,
    AuthenticationFailed,
    ExchangeRateLimited,
    InvalidInput,
    OrderNotExecuted,
    OrderRejected,
)
from domain.orders import OrderReport, OrderStatus
from domain.ports import Clock, ExchangeSession

log = structlog.get_logger(__name__)

_BOOKS_WAIT_S = 0.2  # what an answer says is known later by this at most, should another order hang meanwhile


class OrderSender:
    """Carries claimed orders to the exchange."""

    def __init__(self, *, clock: Clock, timings: ExecutorTimings, follower: OrderFollower) -> None:
        self._clock = clock
        self._timings = timings
        self._follower = follower
        self._leaving = 0
        self._all_left = asyncio.Event()

    async def send(self, session: ExchangeSession, order: Claimed) -> None:
        """Send what was claimed; returns once the outcome, or its absence, is committed."""
        await self.carry(order, partial(self._create, session, order))

    async def carry(self, order: Claimed, call: Callable[[], Awaitable[Sequence[OrderReport]]]) -> None:
        """Make the one request that places what was claimed, unless it is too late, and write its outcome."""
        with following(order.trace_id, user_id=order.user_id):
            await self._carry(order, call)

    async def _carry(self, order: Claimed, call: Callable[[], Awaitable[Sequence[OrderReport]]]) -> None:
        if self._clock.now() >= order.valid_until:
            await self._mark(ledger.mark_expired, order, now=self._clock.now())
            return
        log.info("orders.sending", client_order_ids=[leg.ticket.client_order_id for leg in order.legs])
        try:
            reports = await self._leave(call)
        except asyncio.CancelledError:
            raise  # the row says `sending`: whoever comes next looks it up
        except Exception as exc:  # noqa: BLE001 — the order's boundary: what is not proof is unknown
            await self._conclude(order, exc)
        else:
            for leg, report in zip(order.legs, reports, strict=True):
                await self._apply(leg, report)

    async def _leave(self, call: Callable[[], Awaitable[Sequence[OrderReport]]]) -> Sequence[OrderReport]:
        """Make the request; then let those that leave at the same time go before its bookkeeping, a little."""
        self._leaving += 1
        self._all_left.clear()
        try:
            reports = await call()
        finally:
            self._leaving -= 1
            if not self._leaving:
                self._all_left.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(_BOOKS_WAIT_S):
                await self._all_left.wait()
        return reports

    async def refuse(self, broker_id: int, error: AristobotError) -> bool:
        """Reject the oldest waiting order of a broker that cannot be used at all; False when none waits."""
        trade_id = await persist(self._clock, claims.oldest_pending, broker_id)
        if trade_id is None:
            return False
        await persist(self._clock, ledger.apply_rejection, trade_id, error, now=self._clock.now())
        return True

    @staticmethod
    async def _create(session: ExchangeSession, order: Claimed) -> Sequence[OrderReport]:
        if order.pair is not None:
            return await session.create_pair(order.pair, valid_until=order.valid_until)
        return [await session.create_order(order.legs[0].ticket, valid_until=order.valid_until)]

    async def _conclude(self, order: Claimed, error: Exception) -> None:
        now = self._clock.now()
        if isinstance(error, OrderRejected | AuthenticationFailed):
            await self._mark(ledger.apply_rejection, order, error, now=now)
        elif isinstance(error, OrderNotExecuted | ExchangeRateLimited):
            retry_at = now + self._timings.resend_delay(error.retry_after_s)
            await self._mark(ledger.mark_not_executed, order, error, by=order.by, now=now, retry_at=retry_at)
        else:
            if not isinstance(error, AristobotError):
                log.error("orders.send_failed", trade_ids=order.trade_ids, exc_info=error)
            await self._mark_unknown(order.legs, error)

    async def _mark(
        self, change: Callable[..., OrderStatus], order: Claimed, *args: object, **kwargs: object
    ) -> None:
        await persist(self._clock, ledger.together, change, order.trade_ids, *args, **kwargs)

    async def _apply(self, leg: Leg, report: OrderReport) -> None:
        try:
            applied = await persist(
                self._clock,
                ledger.apply_report,
                leg.trade_id,
                report,
                now=self._clock.now(),
                check_after=self._timings.open_check,
            )
        except InvalidInput as exc:
            log.error("orders.inconsistent_report", client_order_id=leg.ticket.client_order_id, error=exc.message)
            await self._mark_unknown([leg], exc)
            return
        if applied.fills_missing:
            await self._follow(leg)

    async def _mark_unknown(self, legs: Sequence[Leg], error: Exception) -> None:
        now = self._clock.now()
        reason = error.message if isinstance(error, AristobotError) else f"erreur interne ({type(error).__name__})."
        await persist(
            self._clock,
            ledger.together,
            ledger.mark_unknown,
            [leg.trade_id for leg in legs],
            reason=reason,
            absent_after=now + self._timings.proof_span,
            now=now,
        )
        for leg in legs:
            await self._follow(leg)

    async def _follow(self, leg: Leg) -> None:
        followed = await persist(self._clock, claims.look_up, leg.trade_id)
        if followed is not None:
            await self._follower.look_up(followed)
