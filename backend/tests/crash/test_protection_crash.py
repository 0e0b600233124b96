"""Terminal 5 killed while it protects or leaves positions; its successor makes everything good.

The judge is the exchange's own record: what is held is protected there by one pair, or was sold once. The gate
kills at some of the awaits only; `ARISTOBOT_EVERY_AWAIT=1` kills at every one, `ARISTOBOT_SEED` at others.
"""

import os
import random
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from apps.orders import closing
from apps.orders.models import Fill, OrderCommand, Position, Trade
from domain.errors import OrderOutcomeUnknown
from domain.order_abilities import OrderAbilities, PairMode
from domain.orders import OrderStatus, Side
from tests.fakes.exchange import PlacedOrder
from tests.fakes.killer import run_and_kill
from tests.fakes.orders_room import OrdersRoom, know_market, orders_room

EVERY_AWAIT = os.environ.get("ARISTOBOT_EVERY_AWAIT", "") != ""
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.crash,
    pytest.mark.timeout(900 if EVERY_AWAIT else 120),
]
SEED = int(os.environ.get("ARISTOBOT_SEED", "20261126"))
GATE_KILLS = 10  # of each scenario
CYCLES = 5  # an entry, its protection, their final words
SL, TP, BOUGHT, HELD = Decimal(90), Decimal(110), "2", Decimal("1.998")  # 0.1 % of fee in BTC
TIMEOUT = OrderOutcomeUnknown("Délai dépassé.")
Scenario = Callable[[OrdersRoom], Coroutine[Any, Any, None]]


async def _entry(room: OrdersRoom) -> None:
    await sync_to_async(know_market)(room)
    await room.submitted(quantity=BOUGHT, owner="webhook:1", stop_loss=SL, take_profit=TP)


async def _entry_linked(room: OrdersRoom) -> None:
    room.exchange.abilities = OrderAbilities(pair=PairMode.LINKED)
    await _entry(room)


async def _answer_lost(room: OrdersRoom) -> None:
    room.exchange.fail("create_pair", TIMEOUT, when="after")
    await _entry(room)


async def _leaving(room: OrdersRoom) -> None:
    await _entry(room)
    await room.settle(room.executor()[0], seconds=4)
    position = await Position.objects.aget()
    await sync_to_async(closing.close)(
        position.id, user_id=room.user.id, price=room.exchange.prices["BTC/USDT"], now=room.clock.now()
    )


async def _leaving_while_the_stop_executes_in_part(room: OrdersRoom) -> None:
    await _leaving(room)
    stop = next(order for order in room.exchange.accepted if order.ticket.order_type == "stop_loss")
    room.exchange.trade(stop.ticket.client_order_id, "0.5")


def _sales(room: OrdersRoom) -> list[PlacedOrder]:
    return [order for order in room.exchange.accepted if order.ticket.side is Side.SELL]


async def _check_orders(room: OrdersRoom) -> None:
    rows = {row.client_order_id: row async for row in Trade.objects.all()}
    assert all(len(room.exchange.orders_of(name)) <= 1 for name in rows), "an order was taken twice"
    assert {order.ticket.client_order_id for order in room.exchange.accepted} <= rows.keys()
    for order in room.exchange.accepted:
        assert rows[order.ticket.client_order_id].filled_quantity == order.filled


async def _check_protected(room: OrdersRoom) -> None:
    await _check_orders(room)
    positions = [row async for row in Position.objects.exclude(status="closed")]
    resting = [order for order in _sales(room) if order.rests]
    assert sum(order.filled for order in _sales(room)) == 0
    bought = any(order.filled for order in room.exchange.accepted)
    wanted = [("stop_loss", HELD, SL), ("take_profit", HELD, TP)] if bought else []
    found = [(str(one.ticket.order_type), one.quantity, one.ticket.stop_price) for one in resting]
    assert sorted(found) == wanted
    assert [row.quantity for row in positions] == ([HELD] if bought else [])


async def _check_left(room: OrdersRoom) -> None:
    await _check_orders(room)
    assert not any(order.rests for order in room.exchange.accepted)
    assert sum(order.filled for order in _sales(room)) == HELD
    assert [row.status async for row in Position.objects.all()] == ["closed"]
    assert room.conserved()
    assert not await Trade.objects.exclude(status__in=[s.value for s in OrderStatus if s.is_final]).aexists()


async def _clear() -> None:
    for model in (OrderCommand, Fill, Trade, Position):
        await model.objects.all().adelete()


async def _life(room: OrdersRoom, at_step: int) -> int:
    """Let a terminal 5 work until its fate; return how many steps it made."""
    executor, sessions = room.executor()

    async def work() -> None:
        for _ in range(CYCLES):
            await executor.cycle()
            room.clock.advance(1)

    return (await run_and_kill(work, sessions, at_step)).steps


@pytest.mark.parametrize(
    ("scenario", "check"),
    [
        (_entry, _check_protected),
        (_entry_linked, _check_protected),
        (_answer_lost, _check_protected),
        (_leaving, _check_left),
        (_leaving_while_the_stop_executes_in_part, _check_left),
    ],
    ids=lambda it: it.__name__[1:],
)
async def test_killed_anywhere_what_is_held_is_protected_once_or_sold_once(
    scenario: Scenario, check: Scenario
) -> None:
    async with orders_room() as room:
        await scenario(room)
        steps = await _life(room, 10**6)  # a whole life, to know how many deaths there are
        await _clear()
    fatal = range(1, steps + 1)
    assert steps > 6 * CYCLES, "too few steps for this to be a test"
    for at_step in fatal if EVERY_AWAIT else random.Random(SEED).sample(fatal, GATE_KILLS):
        async with orders_room() as room:
            await scenario(room)
            await _life(room, at_step)
            await room.settle(room.executor()[0], seconds=130, step=8)  # an exit is proven absent, then made again
            try:
                await check(room)
            except AssertionError as exc:
                raise AssertionError(f"killed at step {at_step} of {steps} (seed {SEED})") from exc
            await _clear()
