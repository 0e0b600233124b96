"""Sends one order once and writes down what came of it.

The verdict on an answer is in one place, `_conclude`: refused, certainly not executed, or unknown. Whatever
is not one of the two proofs is unknown, a bug of ours included: an order is never sent again blindly.
"""

import asyncio

import structlog

from apps.orders import claims, ledger
from apps.orders.claims import Claimed, Key
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
from domain.orders import OrderReport
from domain.ports import Clock, ExchangeSession

log = structlog.get_logger(__name__)


class OrderSender:
    """Carries claimed orders to the exchange."""

    def __init__(self, *, clock: Clock, timings: ExecutorTimings, follower: OrderFollower) -> None:
        self._clock = clock
        self._timings = timings
        self._follower = follower

    async def send(self, session: ExchangeSession, order: Claimed) -> None:
        """Send a claimed order; returns once the outcome, or its absence, is committed."""
        if self._clock.now() >= order.valid_until:
            await persist(self._clock, ledger.mark_expired, order.trade_id, now=self._clock.now())
            return
        try:
            report = await session.create_order(order.ticket, valid_until=order.valid_until)
        except asyncio.CancelledError:
            raise  # the row says `sending`: whoever comes next looks it up
        except Exception as exc:  # noqa: BLE001 — the order's boundary: what is not proof is unknown
            await self._conclude(order, exc)
        else:
            await self._apply(order, report)

    async def refuse(self, key: Key, error: AristobotError) -> bool:
        """Reject the oldest waiting order of a broker that cannot be used at all; False when none waits."""
        trade_id = await persist(self._clock, claims.oldest_pending, *key)
        if trade_id is None:
            return False
        await persist(self._clock, ledger.apply_rejection, trade_id, error, now=self._clock.now())
        return True

    async def _conclude(self, order: Claimed, error: Exception) -> None:
        now = self._clock.now()
        if isinstance(error, OrderRejected | AuthenticationFailed):
            await persist(self._clock, ledger.apply_rejection, order.trade_id, error, now=now)
        elif isinstance(error, OrderNotExecuted | ExchangeRateLimited):
            retry_at = now + self._timings.resend_delay(error.retry_after_s)
            await persist(self._clock, ledger.mark_not_executed, order.trade_id, error, now=now, retry_at=retry_at)
        else:
            if not isinstance(error, AristobotError):
                log.error("orders.send_failed", client_order_id=order.ticket.client_order_id, exc_info=error)
            await self._mark_unknown(order, error)

    async def _apply(self, order: Claimed, report: OrderReport) -> None:
        try:
            applied = await persist(
                self._clock,
                ledger.apply_report,
                order.trade_id,
                report,
                now=self._clock.now(),
                check_after=self._timings.open_check,
            )
        except InvalidInput as exc:
            log.error("orders.inconsistent_report", client_order_id=order.ticket.client_order_id, error=exc.message)
            await self._mark_unknown(order, exc)
            return
        if applied.fills_missing:
            await self._follow(order)

    async def _mark_unknown(self, order: Claimed, error: Exception) -> None:
        now = self._clock.now()
        reason = error.message if isinstance(error, AristobotError) else f"erreur interne ({type(error).__name__})."
        await persist(
            self._clock,
            ledger.mark_unknown,
            order.trade_id,
            reason=reason,
            absent_after=now + self._timings.proof_span,
            now=now,
        )
        await self._follow(order)

    async def _follow(self, order: Claimed) -> None:
        followed = await persist(self._clock, claims.look_up, order.trade_id)
        if followed is not None:
            await self._follower.look_up(followed)
