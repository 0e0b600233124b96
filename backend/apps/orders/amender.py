"""Carries out changes of orders; what comes next is decided by `amend_steps`, from the rows."""

from collections.abc import Sequence

import structlog

from apps.orders import amend_steps, claims
from apps.orders.amend_steps import CancelFirst, Replace
from apps.orders.claims import Followed, Key
from apps.orders.database import in_database, persist
from apps.orders.follower import OrderFollower
from apps.orders.sender import OrderSender
from apps.orders.timings import ExecutorTimings
from domain.errors import AristobotError, AuthenticationFailed, ExchangeRateLimited, NotFound, OrderNotFound
from domain.order_abilities import AmendMode
from domain.orders import OrderReport
from domain.ports import Clock, ExchangeSession, ExchangeSessions

log = structlog.get_logger(__name__)


class AmendRunner:
    """Changes one order at a time; whatever dies here is taken up again from the rows."""

    def __init__(
        self,
        *,
        sessions: ExchangeSessions,
        clock: Clock,
        timings: ExecutorTimings,
        follower: OrderFollower,
        sender: OrderSender,
    ) -> None:
        self._sessions = sessions
        self._clock = clock
        self._timings = timings
        self._follower = follower
        self._sender = sender

    async def run(self, key: Key, command_id: int) -> None:
        """Take the next step of a change and write what came of it."""
        try:
            session = await self._sessions.session(key[0])
        except (NotFound, AuthenticationFailed) as exc:
            await persist(self._clock, amend_steps.fail, command_id, now=self._clock.now(), error=exc.message)
        except AristobotError as exc:
            log.warning("orders.exchange_unavailable", broker_id=key[0], error=exc.message)
        else:
            await self._step(session, command_id)
        count = await persist(self._clock, claims.attempts, command_id)
        now = self._clock.now()
        retry_at = now + claims.retry_delay(self._timings.cancel_backoff, count)
        await persist(self._clock, amend_steps.settle, command_id, now=now, retry_at=retry_at)

    async def _step(self, session: ExchangeSession, command_id: int) -> None:
        atomic = session.abilities.amend is AmendMode.ATOMIC
        step = await self._next(command_id, atomic=atomic)
        if isinstance(step, CancelFirst) and not step.cancel_sent:
            # What somebody else did to the order before us shows now, and ends the change.
            await self._follower.look_up(step.old)
            step = await self._next(command_id, atomic=False)
        if isinstance(step, Replace):
            await self._replace(session, step)
        elif isinstance(step, CancelFirst):
            await self._cancel(session, step.old, command_id)

    async def _next(self, command_id: int, *, atomic: bool) -> Replace | CancelFirst | None:
        now = self._clock.now()
        # Not `persist`: a claim whose commit is uncertain is sorted out by recovery.
        return await in_database(amend_steps.next_step, command_id, now=now, atomic=atomic)

    async def _replace(self, session: ExchangeSession, step: Replace) -> None:
        async def call() -> Sequence[OrderReport]:
            ticket = step.new.legs[0].ticket
            return [await session.replace_order(step.old.handle, ticket, valid_until=step.new.valid_until)]

        await self._sender.carry(step.new, call)
        await self._look_up(step.old)

    async def _cancel(self, session: ExchangeSession, order: Followed, command_id: int) -> None:
        try:
            await session.cancel_order(order.handle)
            await persist(self._clock, amend_steps.note_cancel_sent, command_id)
        except OrderNotFound:
            log.info("orders.cancel_met_nothing", client_order_id=order.client_order_id)
        except (ExchangeRateLimited, AuthenticationFailed) as exc:
            log.warning("orders.cancel_retried", client_order_id=order.client_order_id, error=exc.message)
            return  # certainly not executed
        except AristobotError as exc:
            log.warning("orders.cancel_retried", client_order_id=order.client_order_id, error=exc.message)
            await persist(self._clock, amend_steps.note_cancel_sent, command_id)
        await self._look_up(order)

    async def _look_up(self, order: Followed) -> None:
        latest = await persist(self._clock, claims.look_up, order.trade_id)
        if latest is not None and not latest.status.is_final:
            await self._follower.look_up(latest)
