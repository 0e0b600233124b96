"""Runs ORM functions off the event loop, in a few threads that keep their connection.

Each function holds its own transaction. A broken connection is dropped at once, so that the next call
after a restart of PostgreSQL opens a new one.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import DatabaseError, InterfaceError, OperationalError, connection

P = ParamSpec("P")
R = TypeVar("R")

# What a database that is down or restarting raises.
DatabaseDown = (OperationalError, InterfaceError)
_CLOSING_TIMEOUT_S = 5.0


class Database:
    """A small pool of threads with one connection each.

    Args:
        threads: how many queries may run at once; more of them only shorten the wait on PostgreSQL.
    """

    def __init__(self, threads: int = 4) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="database")

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `function` in a thread. A cancelled caller leaves it to finish: it commits or it does not."""

        def call() -> R:
            try:
                return function(*args, **kwargs)
            except (DatabaseError, InterfaceError):
                connection.close()
                raise

        result: R = await sync_to_async(call, thread_sensitive=False, executor=self._pool)()
        return result

    def close(self) -> None:
        """Wait for what runs and close every thread's connection."""
        barrier = Barrier(self._threads, timeout=_CLOSING_TIMEOUT_S)

        def leave() -> None:
            barrier.wait()  # holds each thread until all have come, so that none closes twice
            connection.close()

        for closing in [self._pool.submit(leave) for _ in range(self._threads)]:
            closing.exception()
        self._pool.shutdown()
