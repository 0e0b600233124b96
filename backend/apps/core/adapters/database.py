"""Calls ORM functions from the event loop, each with its own transaction, in Django's one database thread."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import InterfaceError, OperationalError, connection

from domain.errors import Unavailable

P = ParamSpec("P")
R = TypeVar("R")


async def in_database(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run `function` in the database thread.

    Raises:
        Unavailable: PostgreSQL does not answer; the broken connection is dropped, the next call opens one.
    """

    def call() -> R:
        try:
            return function(*args, **kwargs)
        except (OperationalError, InterfaceError) as exc:
            connection.close()
            raise Unavailable(
                "Base de données indisponible : PostgreSQL ne répond pas.", code="database_down"
            ) from exc

    result: R = await sync_to_async(call)()
    return result


async def read_database(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a function that only reads; asked once more when the connection turned out to be dead.

    Raises:
        Unavailable: PostgreSQL does not answer on a new connection either.
    """
    try:
        return await in_database(function, *args, **kwargs)
    except Unavailable:
        return await in_database(function, *args, **kwargs)


async def close_database() -> None:
    """Close the database thread's connection at the end of a process (or of a test)."""
    await sync_to_async(_close)()


def _close() -> None:
    connection.close()  # looked up in the database thread: each thread has its own
