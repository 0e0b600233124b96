"""Kills an executor at one of its awaits, in-process.

At the chosen step of any task of the executor all its tasks are cancelled and its sessions go silent, while a
statement already given to PostgreSQL still finishes there, as it would with a client that died.
"""

import asyncio
import types
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import Any

from apps.orders.executor import OrderExecutor
from tests.fakes.exchange import FakeSessions


class Killer:
    """Counts the steps of every task made while it is installed, and kills at the given one."""

    def __init__(self, at_step: int, kill: Callable[[], None]) -> None:
        self._at_step = at_step
        self._kill = kill
        self.steps = 0

    @property
    def has_struck(self) -> bool:
        return self.steps >= self._at_step

    def factory(self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> "asyncio.Task[Any]":
        return asyncio.Task(self._counted(coro), loop=loop, **options)

    def _counted(self, coro: Any) -> Any:
        @types.coroutine
        def drive() -> Generator[Any, Any, Any]:
            send = partial(coro.send, None)
            while True:
                self._step()
                try:
                    awaited = send()
                except StopIteration as stop:
                    return stop.value
                try:
                    value = yield awaited
                except BaseException as exc:  # noqa: BLE001 — handed to the coroutine, which decides
                    send = partial(coro.throw, exc)
                else:
                    send = partial(coro.send, value)

        async def body() -> Any:
            return await drive()

        return body()

    def _step(self) -> None:
        self.steps += 1
        if self.steps == self._at_step:
            self._kill()


async def run_until_killed(executor: OrderExecutor, sessions: FakeSessions, at_step: int) -> bool:
    """Run one cycle; return whether the kill came before its end."""
    return (await run_and_kill(executor.cycle, sessions, at_step)).has_struck


async def run_and_kill(work: Callable[[], Awaitable[None]], sessions: FakeSessions, at_step: int) -> Killer:
    """Run any work of an executor until the kill or its end; return the killer, which counted the steps."""
    loop = asyncio.get_running_loop()
    victim: list[asyncio.Task[None]] = []

    def kill() -> None:
        sessions.kill()
        loop.call_soon(victim[0].cancel)

    killer = Killer(at_step, kill)
    loop.set_task_factory(killer.factory)
    try:
        victim.append(loop.create_task(_awaited(work)))
        await asyncio.wait(victim)
    finally:
        loop.set_task_factory(None)
    return killer


async def _awaited(work: Callable[[], Awaitable[None]]) -> None:
    await work()
