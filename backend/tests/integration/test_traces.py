"""One trace id from the signal to the last fill, kept by the rows, so that a restart does not lose it."""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async
from structlog.testing import capture_logs

from apps.core.tracing import following, order_trace
from apps.orders import closing
from apps.orders.models import Position, Trade
from domain.errors import OrderOutcomeUnknown
from tests.fakes.orders_room import OrdersRoom, know_market, orders_room

pytestmark = pytest.mark.django_db(transaction=True)
TRACE = "5m_1700000000000.bot12"


@pytest.fixture
async def room() -> AsyncIterator[OrdersRoom]:
    async with orders_room() as made:
        await sync_to_async(know_market)(made)
        yield made


async def _bought(room: OrdersRoom) -> Trade:
    return await room.submitted(
        quantity="2", owner="bot:12", trace_id=TRACE, stop_loss=Decimal(90), take_profit=Decimal(110)
    )


async def test_what_a_decision_led_to_bears_its_trace_after_a_restart(room: OrdersRoom) -> None:
    await _bought(room)
    with capture_logs() as lines:
        await room.settle(room.executor()[0], seconds=4)  # another process: it knows the rows only
    traced = [line for line in lines if line.get("trace_id") == TRACE]
    states = {line["status"] for line in traced if line["event"] == "orders.state"}
    assert {"filled", "open"} <= states  # the purchase, and what protects it
    assert {line["user_id"] for line in traced} == {room.user.id}
    traces = [trade.trace_id async for trade in Trade.objects.order_by("id")]
    assert len(traces) >= 2
    assert set(traces) == {TRACE}


async def test_sale_bears_the_trace_of_who_wanted_out_even_when_it_waits_for_the_protection(
    room: OrdersRoom,
) -> None:
    await _bought(room)
    executor = room.executor()[0]
    await room.settle(executor, seconds=4)
    position = await Position.objects.aget()

    def leave() -> None:
        with following("5m_1700000300000.bot12"):
            closing.begin(position.id, reason=closing.SIGNAL, price=Decimal(100), now=room.clock.now())

    await sync_to_async(leave)()
    assert await Trade.objects.filter(intent="exit").acount() == 0  # the protection is cancelled first
    await room.settle(room.executor()[0], seconds=4)
    sale = await Trade.objects.aget(intent="exit")
    assert sale.trace_id == "5m_1700000300000.bot12"


async def test_order_of_a_person_begins_a_trace_of_its_own(room: OrdersRoom) -> None:
    trade = await room.submitted(quantity="1")
    assert trade.trace_id == order_trace(trade.client_order_id)


async def test_alert_of_an_order_bears_its_trace(room: OrdersRoom) -> None:
    room.exchange.fail("create_order", OrderOutcomeUnknown("pas de réponse"))
    await room.submitted(quantity="1", trace_id=TRACE)
    with capture_logs() as lines:
        await room.executor()[0].cycle()
    alerts = [line for line in lines if line["event"] == "alert.recorded"]
    assert [line["trace_id"] for line in alerts] == [TRACE]
