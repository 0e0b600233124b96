"""The right to send orders: one process at a time, by a row of PostgreSQL that its holder renews.

The holder may send until `until`, counted from before its last renewal; whoever waits takes over when the row
was not renewed for that long and for `SPAN` more, within which the last byte of the holder has arrived or was
refused. It does not wait when the holder released the row, or ended on this same machine.

A holder that was only paused finds its time over when it wakes (`fence`), and its row taken. It may still hold
orders it claimed: nobody else can claim those rows. Whoever takes over presumes nothing of them before the same
span has passed since the end of that lease (`others_until`) where the exchange itself refuses what comes later
than it was signed for, and elsewhere before their validity and the exchange's window have passed (`absent_after`).
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import psycopg
import structlog
from django.db import connections

from apps.orders.process_mark import is_dead, new_mark
from domain.errors import Unavailable
from domain.ports import Clock

log = structlog.get_logger(__name__)

APPLICATION_NAME = "aristobot-sender-lease"
LASTS = timedelta(seconds=8)
# Our time-out (12 s) and the offset of the exchange's clock (1 s). Its receive window adds nothing: an order is
# signed with a window that ends with the lease.
SPAN = timedelta(seconds=13)
_CHECK_TIMEOUT_S = 5.0
_NOT_FOR_PSYCOPG = ("context", "cursor_factory", "prepare_threshold")
_NEVER = datetime.min.replace(tzinfo=UTC)

_TAKE = """
INSERT INTO sender_lease (id, holder, renewed_at) VALUES (1, %(me)s, clock_timestamp())
ON CONFLICT (id) DO UPDATE SET holder = excluded.holder, renewed_at = excluded.renewed_at,
    before_renewed_at = sender_lease.renewed_at
WHERE sender_lease.holder IN ('', %(me)s, %(dead)s) OR sender_lease.renewed_at < clock_timestamp() - %(silent)s
RETURNING clock_timestamp() - before_renewed_at
"""
_RENEW = "UPDATE sender_lease SET renewed_at = clock_timestamp() WHERE id = 1 AND holder = %s RETURNING id"
_RELEASE = "UPDATE sender_lease SET holder = '' WHERE id = 1 AND holder = %s RETURNING id"


class LeaseLost(Unavailable):
    """Another process may be sending: the row is another's, or PostgreSQL does not answer."""

    code = "lease_lost"


class Lease(Protocol):
    """What the executor needs of a lease."""

    @property
    def mark(self) -> str:
        """This process's name in the row that says who may send; "" without such a row."""
        ...

    @property
    def until(self) -> datetime:
        """Until when orders may leave."""
        ...

    @property
    def others_until(self) -> datetime:
        """When whatever a process that held it before sent has arrived, or was refused for coming late."""
        ...

    async def acquire(self) -> None: ...

    async def check(self) -> None: ...

    async def release(self) -> None: ...


class RowLease:
    """The lease over a dedicated connection.

    Attributes:
        held: set at the first acquisition.
        is_taken: at the last look another process held the row.
    """

    def __init__(self, clock: Clock, *, retry_s: float = 1.0) -> None:
        self._clock = clock
        self._retry_s = retry_s
        self._me = new_mark()
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._until = _NEVER
        self._until_s = 0.0  # the same on the monotonic clock, which nobody sets back
        self._others_until = datetime.max.replace(tzinfo=UTC)
        self.held = asyncio.Event()
        self.is_taken = False

    @property
    def mark(self) -> str:
        return self._me

    @property
    def until(self) -> datetime:
        left_s = self._until_s - self._clock.monotonic()
        # By both clocks: a wall clock that is set back does not lengthen what an order is signed for.
        return min(self._until, self._clock.now() + timedelta(seconds=left_s)) if left_s > 0 else _NEVER

    @property
    def others_until(self) -> datetime:
        return self._others_until

    async def acquire(self) -> None:
        """Wait until the row is ours."""
        waiting = False
        while not await self._try():
            if not waiting:
                log.info("orders.lease_waiting", is_taken=self.is_taken)
                waiting = True
            await self._clock.sleep(self._retry_s)
        log.info("orders.lease_acquired")
        self.held.set()

    async def check(self) -> None:
        """Renew. Raises LeaseLost when the row is another's, or PostgreSQL does not answer."""
        try:
            is_ours = await self._ask(_RENEW, [self._me])
        except (psycopg.Error, OSError, TimeoutError) as exc:
            await self._drop()
            raise LeaseLost(f"Droit d'envoyer les ordres perdu : {exc}") from exc
        if not is_ours:
            self._until, self.is_taken = _NEVER, True
            raise LeaseLost("Droit d'envoyer les ordres pris par un autre service CCXT.")

    async def release(self) -> None:
        """Give the row up, if it is still ours, and close the connection."""
        self._until = _NEVER
        if self._connection is None:
            return
        try:
            await self._ask(_RELEASE, [self._me])
        except (psycopg.Error, OSError, TimeoutError) as exc:
            log.warning("orders.lease_not_released", error=str(exc))
        await self._drop()

    async def _try(self) -> bool:
        try:
            await self._connect()
            holder = await self._ask("SELECT holder FROM sender_lease WHERE id = 1", [])
            dead = holder[0] if holder is not None and is_dead(holder[0]) else self._me
            taken = await self._ask(_TAKE, {"me": self._me, "dead": dead, "silent": LASTS + SPAN})
        except (psycopg.Error, OSError, TimeoutError) as exc:
            log.warning("orders.lease_unavailable", error=str(exc))
            await self._drop()
            return False
        self.is_taken = taken is None
        if taken is not None:
            silence = timedelta(0) if taken[0] is None else max(taken[0], timedelta(0))
            self._others_until = self._clock.now() + max(LASTS + SPAN - silence, timedelta(0))
        return not self.is_taken

    async def _ask(self, query: Any, values: Any) -> tuple[Any, ...] | None:
        """Ask over the lease's connection; an answer of ours to a renewal or a taking moves `until`."""
        if self._connection is None:
            raise psycopg.OperationalError("no connection")
        now, now_s = self._clock.now(), self._clock.monotonic()
        async with asyncio.timeout(_CHECK_TIMEOUT_S):
            cursor = await self._connection.execute(query, values)
            row: tuple[Any, ...] | None = await cursor.fetchone()
        if row is not None and query in (_TAKE, _RENEW):
            self._until, self._until_s = now + LASTS, now_s + LASTS.total_seconds()
        return row

    async def _connect(self) -> None:
        if self._connection is not None:
            return
        settings = connections["default"].get_connection_params()
        wanted = {name: value for name, value in settings.items() if name not in _NOT_FOR_PSYCOPG}
        wanted["application_name"] = APPLICATION_NAME
        async with asyncio.timeout(_CHECK_TIMEOUT_S):
            self._connection = await psycopg.AsyncConnection.connect(**wanted, autocommit=True)

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
