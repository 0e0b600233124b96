"""Calls of synchronous ORM functions from the executor's loop, and what happens when PostgreSQL is away."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import structlog
from asgiref.sync import sync_to_async
from django.db import InterfaceError, OperationalError, connection

from domain.errors import Unavailable
from domain.ports import Clock

log = structlog.get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
_FIRST_DELAY_S = 0.1
_MAX_DELAY_S = 2.0
_claims = ThreadPoolExecutor(max_workers=1, thread_name_prefix="orders-claims")


class DatabaseDown(Unavailable):
    """PostgreSQL did not answer; nothing can be said of what was asked."""

    code = "database_down"


def _call(function: Callable[..., T], args: tuple[object, ...], kwargs: dict[str, object]) -> T:
    try:
        return function(*args, **kwargs)
    except (OperationalError, InterfaceError) as exc:
        connection.close()  # the next call opens a new one
        raise DatabaseDown(f"Base de données indisponible : {exc}") from exc


async def in_database(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a synchronous ORM function, which holds its own transaction, off the loop.

    Raises:
        DatabaseDown: the connection failed, or a deadlock was broken; the transaction did not necessarily
            fail, so only what may be repeated may be called again.
    """
    result: T = await sync_to_async(_call)(function, args, kwargs)
    return result


async def in_claims(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As `in_database`, in a thread of its own: what an order waits for does not wait for anything else."""
    result: T = await sync_to_async(_call, thread_sensitive=False, executor=_claims)(function, args, kwargs)
    return result


async def renew_connections() -> None:
    """Let the next statement of both threads open a new connection.

    A process that stood by has not used its own for long: the server behind them may have been replaced since.
    """
    await in_database(_close)
    await in_claims(_close)


async def close_claims() -> None:
    """Close that thread's connection at the end of a process (or of a test)."""
    await in_claims(_close)


def _close() -> None:
    connection.close()  # looked up in that thread: each has its own


async def persist(clock: Clock, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a repeatable function until the database takes it: what an exchange said is never dropped."""
    delay = _FIRST_DELAY_S
    while True:
        try:
            return await in_database(function, *args, **kwargs)
        except DatabaseDown as exc:
            log.warning("orders.database_down", error=exc.message, retry_in_s=delay)
        await clock.sleep(delay)
        delay = min(delay * 2, _MAX_DELAY_S)
