"""The right to send orders: one process at a time, by an advisory lock of PostgreSQL.

The lock lives with a connection of its own, so it is free the moment its holder dies. A holder that was only
paused may still hold orders it claimed: nobody else can claim those rows, and whoever takes over presumes
nothing of them before their validity and the exchange's own window have passed (`absent_after`).
"""

import asyncio
from typing import Any, Protocol

import psycopg
import structlog
from django.db import connections

from domain.errors import Unavailable
from domain.ports import Clock

log = structlog.get_logger(__name__)

LOCK_KEY = 4_702_026_11  # any number nobody else locks in this database
_CHECK_TIMEOUT_S = 5.0
_NOT_FOR_PSYCOPG = ("context", "cursor_factory", "prepare_threshold")


class LeaseLost(Unavailable):
    """The connection that holds the lock is gone; another process may be sending."""

    code = "lease_lost"


class Lease(Protocol):
    """What the executor needs of a lease."""

    async def acquire(self) -> None: ...

    async def check(self) -> None: ...

    async def release(self) -> None: ...


class AdvisoryLease:
    """The lease over a dedicated connection."""

    def __init__(self, clock: Clock, *, retry_s: float = 1.0) -> None:
        self._clock = clock
        self._retry_s = retry_s
        self._connection: psycopg.AsyncConnection[Any] | None = None

    async def acquire(self) -> None:
        """Wait until the lock is ours."""
        waiting = False
        while not await self._try():
            if not waiting:
                log.info("orders.lease_waiting")
                waiting = True
            await self._clock.sleep(self._retry_s)
        log.info("orders.lease_acquired")

    async def check(self) -> None:
        """Raises LeaseLost when the connection that holds the lock does not answer."""
        try:
            if self._connection is None:
                raise psycopg.OperationalError("no connection")
            async with asyncio.timeout(_CHECK_TIMEOUT_S):
                await self._connection.execute("SELECT 1")
        except (psycopg.Error, OSError, TimeoutError) as exc:
            raise LeaseLost(f"Droit d'envoyer les ordres perdu : {exc}") from exc

    async def release(self) -> None:
        """Close the connection, which frees the lock."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.close()

    async def _try(self) -> bool:
        await self.release()
        settings = connections["default"].get_connection_params()
        wanted = {name: value for name, value in settings.items() if name not in _NOT_FOR_PSYCOPG}
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_S):
                self._connection = await psycopg.AsyncConnection.connect(**wanted, autocommit=True)
                cursor = await self._connection.execute("SELECT pg_try_advisory_lock(%s)", [LOCK_KEY])
                row = await cursor.fetchone()
        except (psycopg.Error, OSError, TimeoutError) as exc:
            log.warning("orders.lease_unavailable", error=str(exc))
            return False
        if row is not None and row[0]:
            return True
        await self.release()
        return False
