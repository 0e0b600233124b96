"""Keeps what changes anything at an exchange within the lease, whatever a paused process still had in hand.

An order's validity is cut to the end of the lease. The adapter looks at it after its last wait and signs with
it, so that the exchange itself refuses what leaves later.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from apps.orders.lease import Lease
from domain.errors import OrderNotExecuted
from domain.orders import OrderHandle, OrderReport, OrderTicket, PairTicket
from domain.ports import Clock, ExchangeSession, ExchangeSessions


class FencedSessions:
    """The `ExchangeSessions` port; reads pass through."""

    def __init__(self, sessions: ExchangeSessions, *, lease: Lease, clock: Clock) -> None:
        self._sessions = sessions
        self._lease = lease
        self._clock = clock

    async def session(self, broker_id: int) -> ExchangeSession:
        session = await self._sessions.session(broker_id)
        return cast(ExchangeSession, _FencedSession(session, self._lease, self._clock))


class _FencedSession:
    def __init__(self, session: ExchangeSession, lease: Lease, clock: Clock) -> None:
        self._session = session
        self._lease = lease
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    async def create_order(self, ticket: OrderTicket, *, valid_until: datetime) -> OrderReport:
        return await self._session.create_order(ticket, valid_until=self._within(valid_until))

    async def create_pair(self, pair: PairTicket, *, valid_until: datetime) -> Sequence[OrderReport]:
        return await self._session.create_pair(pair, valid_until=self._within(valid_until))

    async def replace_order(self, old: OrderHandle, ticket: OrderTicket, *, valid_until: datetime) -> OrderReport:
        return await self._session.replace_order(old, ticket, valid_until=self._within(valid_until))

    async def cancel_order(self, order: OrderHandle) -> None:
        self._within(self._lease.until)
        await self._session.cancel_order(order)

    def _within(self, valid_until: datetime) -> datetime:
        """Return the earlier of both ends. Raises OrderNotExecuted when the lease is over: nothing was sent."""
        until = self._lease.until
        if self._clock.now() >= until:
            raise OrderNotExecuted(
                "Ordre non envoyé par ce service CCXT : son droit d'envoyer est échu, un autre peut l'avoir pris.",
                code="lease_lost",
            )
        return min(valid_until, until)
