"""An executor is killed at every one of its awaits; a new one on the same database must make everything good.

The judge is the exchange's own record: an order is never taken twice, and one that was taken ends in our rows
with the same fills.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from apps.orders import database, desk
from apps.orders.executor import OrderExecutor
from apps.orders.models import Fill, OrderCommand, Position, Trade
from domain.errors import OrderOutcomeUnknown
from domain.order_abilities import OrderAbilities
from domain.orders import OrderType, Side
from tests.fakes.clock import FakeClock
from tests.fakes.killer import run_until_killed
from tests.fakes.orders_room import OrdersRoom, orders_room, refreshed

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.crash]


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
@pytest.mark.parametrize("is_refused_late", [False, True], ids=["waits for the proof", "the exchange refuses late"])
async def test_killed_at_every_await_never_sends_twice_and_loses_nothing(
    scenario: Scenario, is_refused_late: bool
) -> None:
    """Where the exchange refuses late, the successor comes when the span is over, and proves an absence at once."""
    survived_at = 0
    for at_step in range(1, 400):
        async with orders_room() as room:
            if is_refused_late:
                await sync_to_async(room.become)(OrderAbilities(refused_late=frozenset(OrderType)))
            trades = await scenario(room)
            executor, sessions = room.executor()
            struck = await run_until_killed(executor, sessions, at_step)
            successor, _ = room.executor(others_until=room.clock.now() if is_refused_late else None)
            await room.settle(successor, seconds=64, step=8)
            await _check_books(room, trades)
            await _clear()
        if not struck:
            survived_at = at_step
            break
    assert survived_at > 8, "the executor was not killed often enough for this to be a test"


@pytest.mark.parametrize("scenario", [_plain, _answer_lost, _cancelled], ids=lambda it: it.__name__[1:])
async def test_database_lost_after_every_statement_never_sends_twice_and_loses_nothing(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statement is committed, its answer never comes; the same process goes on."""
    call, survived_at = database._call, 0
    for at_call in range(1, 200):
        async with orders_room() as room:
            trades = await scenario(room)
            loss = _AnswerLost(call, at_call)
            monkeypatch.setattr(database, "_call", loss)
            executor, _ = room.executor()
            for _ in range(9):
                await _cycle(executor, room.clock)
                room.clock.advance(8)
            monkeypatch.setattr(database, "_call", call)
            await _check_books(room, trades)
            await _clear()
        if loss.count < at_call:
            survived_at = at_call
            break
    assert survived_at > 8, "the database was not lost often enough for this to be a test"


async def _cycle(executor: OrderExecutor, clock: FakeClock) -> None:
    """Run one, with time going on for what waits for the database."""
    running = asyncio.create_task(executor.cycle())
    while not running.done():
        await asyncio.sleep(0.001)
        clock.advance(0.01)
    try:
        await running
    except* database.DatabaseDown:  # of the look itself: `run` looks again
        pass


class _AnswerLost:
    def __init__(self, call: Callable[..., Any], at_call: int) -> None:
        self._call, self._at_call, self.count = call, at_call, 0

    def __call__(self, *args: Any) -> Any:
        answer = self._call(*args)
        self.count += 1
        if self.count == self._at_call:
            raise database.DatabaseDown("server closed the connection unexpectedly")
        return answer
