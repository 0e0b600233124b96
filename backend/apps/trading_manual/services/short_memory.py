"""Answers kept for a moment, so that a form that asks at every keystroke costs the exchange one request."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from domain.ports import Clock

K = TypeVar("K")
V = TypeVar("V")

_KEPT = 500


@dataclass(frozen=True, slots=True)
class Dated(Generic[V]):
    """A value and the wall time just before it was asked for."""

    value: V
    as_of: datetime


class ShortMemory(Generic[K, V]):
    """Values by key, each asked for once by those who want it together. Failures are not kept.

    Args:
        ttl_s: how old an answer may be.
    """

    def __init__(self, *, clock: Clock, ttl_s: float) -> None:
        self._clock = clock
        self._ttl_s = ttl_s
        self._known: dict[K, tuple[float, Dated[V]]] = {}
        self._running: dict[K, asyncio.Task[Dated[V]]] = {}

    async def get(self, key: K, read: Callable[[], Awaitable[V]], *, fresh: bool = False) -> Dated[V]:
        """Return what is known of `key`, or read it. Raises what `read` raises.

        Args:
            fresh: ask even when an answer is still young (one on its way will do).
        """
        if not fresh:
            known = self.recent(key)
            if known is not None:
                return known
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(self._read(key, read))
            self._running[key] = task
            task.add_done_callback(lambda done: self._forget_running(key, done))
        return await asyncio.shield(task)  # somebody else may wait for it too

    def recent(self, key: K, *, within_s: float | None = None) -> Dated[V] | None:
        """Return the value if it is young enough (`within_s` instead of the usual age)."""
        entry = self._known.get(key)
        age_s = self._ttl_s if within_s is None else within_s
        if entry is None or self._clock.monotonic() - entry[0] > age_s:
            return None
        return entry[1]

    def note(self, key: K, value: V) -> None:
        """Keep a value that came by another way."""
        self._keep(key, self._clock.monotonic(), Dated(value, self._clock.now()))

    async def _read(self, key: K, read: Callable[[], Awaitable[V]]) -> Dated[V]:
        asked, as_of = self._clock.monotonic(), self._clock.now()
        found = Dated(await read(), as_of)
        self._keep(key, asked, found)
        return found

    def _keep(self, key: K, at: float, found: Dated[V]) -> None:
        self._known.pop(key, None)
        self._known[key] = at, found
        while len(self._known) > _KEPT:
            del self._known[next(iter(self._known))]

    def _forget_running(self, key: K, done: "asyncio.Task[Dated[V]]") -> None:
        if self._running.get(key) is done:
            del self._running[key]
        if not done.cancelled():
            done.exception()  # seen here in case that nobody waits any more
