"""An executor is killed at every one of its awaits; a new one on the same database must make everything good.

The judge is the exchange's own record: an order is never taken twice, and one that was taken ends in our rows
with the same fills. Killing is in-process: at the chosen step of any task of the executor all its tasks are
cancelled and its sessions go silent, while a statement already given to PostgreSQL still finishes there, as
it would with a client that died.
"""

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from apps.orders import desk
from apps.orders.executor import OrderExecutor
from apps.orders.models import Fill, OrderCommand, Position, Trade
from domain.errors import OrderOutcomeUnknown
from domain.orders import Side
from tests.fakes.exchange import FakeSessions
from tests.fakes.orders_room import OrdersRoom, orders_room, refreshed

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.crash]


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


async def _run_until_killed(executor: OrderExecutor, sessions: FakeSessions, at_step: int) -> bool:
    """Run one cycle; return whether the kill came before its end."""
    loop = asyncio.get_running_loop()
    victim: list[asyncio.Task[None]] = []

    def kill() -> None:
        sessions.kill()
        loop.call_soon(victim[0].cancel)

    killer = Killer(at_step, kill)
    loop.set_task_factory(killer.factory)
    try:
        victim.append(loop.create_task(executor.cycle()))
        await asyncio.wait(victim)
    finally:
        loop.set_task_factory(None)
    return killer.has_struck


async def _clear() -> None:
    await OrderCommand.objects.all().adelete()
    await Fill.objects.all().adelete()
    await Trade.objects.all().adelete()
    await Position.objects.all().adelete()


async def _check_books(room: OrdersRoom, trades: list[Trade]) -> None:
    for trade in trades:
        row = await refreshed(trade)
        taken = room.exchange.orders_of(trade.client_order_id)
        assert len(taken) <= 1, f"{row.client_order_id} was taken twice"
        assert row.status in ("filled", "cancelled", "expired"), row.status
        executed = taken[0].filled if taken else 0
        assert row.filled_quantity == executed
        known = [fill.quantity async for fill in Fill.objects.filter(trade_id=row.id)]
        assert sum(known) == executed
        if row.status == "expired":
            assert taken == []
    bought = [fill async for fill in Fill.objects.filter(trade__side=Side.BUY)]
    sold = [fill async for fill in Fill.objects.filter(trade__side=Side.SELL)]
    held = sum(fill.quantity - fill.fee for fill in bought) - sum(fill.quantity for fill in sold)
    rows = [position.quantity async for position in Position.objects.all()]
    assert sum(rows) == held
    assert room.conserved()


Scenario = Callable[[OrdersRoom], Coroutine[Any, Any, list[Trade]]]


async def _plain(room: OrdersRoom) -> list[Trade]:
    return [await room.submitted(quantity="2"), await room.submitted(quantity="1")]


async def _answer_lost(room: OrdersRoom) -> list[Trade]:
    room.exchange.fail("create_order", OrderOutcomeUnknown("Délai dépassé."), when="after")
    return [await room.submitted()]


async def _never_arrived(room: OrdersRoom) -> list[Trade]:
    room.exchange.fail("create_order", OrderOutcomeUnknown("Délai dépassé."), when="before")
    return [await room.submitted()]


async def _cancelled(room: OrdersRoom) -> list[Trade]:
    trade = await room.submitted(quantity="2", price="90")
    executor, _ = room.executor()
    await executor.cycle()
    room.exchange.trade(trade.client_order_id, "0.5")
    await sync_to_async(desk.cancel)(trade_id=trade.id, user_id=room.user.id, now=room.clock.now())
    return [trade]


@pytest.mark.parametrize(
    "scenario", [_plain, _answer_lost, _never_arrived, _cancelled], ids=lambda it: it.__name__[1:]
)
async def test_killed_at_every_await_never_sends_twice_and_loses_nothing(scenario: Scenario) -> None:
    survived_at = 0
    for at_step in range(1, 400):
        async with orders_room() as room:
            trades = await scenario(room)
            executor, sessions = room.executor()
            struck = await _run_until_killed(executor, sessions, at_step)
            successor, _ = room.executor()
            await room.settle(successor, seconds=64, step=8)
            await _check_books(room, trades)
            await _clear()
        if not struck:
            survived_at = at_step
            break
    assert survived_at > 8, "the executor was not killed often enough for this to be a test"
