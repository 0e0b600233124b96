"""Carries out cancellations. Cancelling is repeatable, so an attempt without an answer is simply made again."""

import structlog

from apps.orders import claims
from apps.orders.claims import Followed
from apps.orders.database import in_database, persist
from apps.orders.follower import OrderFollower
from apps.orders.timings import ExecutorTimings
from domain.errors import AristobotError, OrderNotFound, OrderRejected
from domain.ports import Clock, ExchangeSessions

log = structlog.get_logger(__name__)


class CommandRunner:
    """Claims commands and closes them once the order's own state is known."""

    def __init__(
        self, *, sessions: ExchangeSessions, clock: Clock, timings: ExecutorTimings, follower: OrderFollower
    ) -> None:
        self._sessions = sessions
        self._clock = clock
        self._timings = timings
        self._follower = follower

    async def run(self, command_id: int) -> None:
        """Cancel one order at its exchange."""
        # Not `persist`: a claim whose commit is uncertain is sorted out by recovery.
        order = await in_database(claims.claim_command, command_id, now=self._clock.now())
        if order is None:
            return
        try:
            await self._cancel(order)
        except OrderRejected as exc:
            await self._finish(command_id, error=exc.message)
            return
        except AristobotError as exc:
            log.warning("orders.cancel_retried", client_order_id=order.client_order_id, error=exc.message)
            await self._release(command_id)
            return
        await self._follower.look_up(order)  # the final word: it may have filled first
        after = await persist(self._clock, claims.look_up, order.trade_id)
        if after is None or after.status.is_final:
            await self._finish(command_id)
        else:
            await self._release(command_id)

    async def _cancel(self, order: Followed) -> None:
        session = await self._sessions.session(order.broker_id)
        try:
            await session.cancel_order(order.handle)
        except OrderNotFound:
            log.info("orders.cancel_met_nothing", client_order_id=order.client_order_id)

    async def _finish(self, command_id: int, *, error: str = "") -> None:
        await persist(self._clock, claims.finish_command, command_id, now=self._clock.now(), error=error)

    async def _release(self, command_id: int) -> None:
        count = await persist(self._clock, claims.attempts, command_id)
        until = self._clock.now() + claims.retry_delay(self._timings.cancel_backoff, count)
        await persist(self._clock, claims.release_command, command_id, until=until)
