"""Stop loss + take profit: one quantity, two orders, of which one executes."""

from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async

from apps.orders import desk, selectors
from apps.orders.models import OrderCommand, Position, Trade
from apps.orders.signals import order_event
from domain.errors import Conflict, InvalidInput, NotFound, OrderNotExecuted, OrderOutcomeUnknown, OrderRejected
from domain.order_abilities import OrderAbilities, PairMode
from domain.orders import OrderRequest, OrderType, Side
from tests.fakes.orders_room import OrdersRoom, make_room, orders_room, refreshed

pytestmark = pytest.mark.django_db(transaction=True)
LINKED = OrderAbilities(pair=PairMode.LINKED)


@pytest_asyncio.fixture
async def room() -> AsyncIterator[OrdersRoom]:
    async with orders_room() as made:
        yield made


@pytest.fixture
def alerts() -> Iterator[list[str]]:
    codes: list[str] = []

    def receive(*, event_type: str, data: Any, **_: Any) -> None:
        if event_type == "alert":
            codes.append(data["code"])

    order_event.connect(receive)
    yield codes
    order_event.disconnect(receive)


async def placed(room: OrdersRoom, abilities: OrderAbilities | None = None) -> tuple[Trade, Trade]:
    """A pair that rests at the exchange."""
    if abilities is not None:
        await sync_to_async(room.become)(abilities)
    stop, profit = await sync_to_async(room.submit_pair)()
    await room.settle(room.executor()[0], seconds=2)
    assert await statuses(stop, profit) == ["open", "open"]
    return stop, profit


async def statuses(*trades: Trade) -> list[str]:
    return [(await refreshed(trade)).status for trade in trades]


async def reserved(room: OrdersRoom, **more: Any) -> dict[str, Decimal]:
    held: dict[str, Decimal] = await sync_to_async(selectors.reserved_by_currency)(room.broker.id, **more)
    return held


async def cancel(room: OrdersRoom, trade: Trade) -> Trade:
    now = room.clock.now()
    cancelled: Trade = await sync_to_async(desk.cancel)(trade_id=trade.id, user_id=room.user.id, now=now)
    return cancelled


async def test_both_legs_leave_in_one_request_and_hold_the_quantity_once(room: OrdersRoom) -> None:
    stop, profit = await placed(room)
    assert (stop.link_id, stop.link_mode) == (profit.link_id, "oco")
    assert (stop.type, stop.stop_price, profit.type, profit.stop_price) == ("stop_loss", 90, "take_profit", 110)
    assert await reserved(room) == {"BTC": 2}
    assert room.exchange.calls.count("create_pair") == 1
    assert "create_order" not in room.exchange.calls
    assert room.exchange.locked[room.broker.id]["BTC"] == 2


@pytest.mark.parametrize(("price", "outcome"), [(89, ["filled", "expired"]), (111, ["expired", "filled"])])
async def test_the_execution_of_one_leg_ends_the_other_without_alarm(
    room: OrdersRoom, alerts: list[str], price: int, outcome: list[str]
) -> None:
    stop, profit = await placed(room)
    room.exchange.move_price("BTC/USDT", price)
    await room.settle(room.executor()[0], seconds=4)
    assert await statuses(stop, profit) == outcome
    assert alerts == []
    assert await reserved(room) == {}
    assert room.conserved()


async def test_cancelling_one_leg_cancels_both(room: OrdersRoom) -> None:
    for number in (0, 1):
        legs = await placed(room)
        await cancel(room, legs[number])
        await room.settle(room.executor()[0], seconds=3)
        assert await statuses(*legs) == ["cancelled", "cancelled"]
        assert [command.status async for command in OrderCommand.objects.all()] == ["done"] * 2 * (number + 1)
    assert room.conserved()


async def test_a_pair_that_was_not_sent_is_cancelled_here(room: OrdersRoom) -> None:
    stop, profit = await sync_to_async(room.submit_pair)()
    assert (await cancel(room, profit)).status == "cancelled"
    assert await statuses(stop, profit) == ["cancelled", "cancelled"]
    await room.settle(room.executor()[0], seconds=2)
    assert room.exchange.calls == []


async def test_a_refused_pair_refuses_both_legs(room: OrdersRoom) -> None:
    room.exchange.fail("create_pair", OrderRejected("relationship of the prices"))
    legs = await sync_to_async(room.submit_pair)()
    await room.settle(room.executor()[0], seconds=2)
    assert await statuses(*legs) == ["rejected", "rejected"]
    assert "relationship" in (await refreshed(legs[1])).error_message


async def test_a_pair_not_executed_waits_whole_and_leaves_once(room: OrdersRoom) -> None:
    room.exchange.fail("create_pair", OrderNotExecuted("429", retry_after_s=3))
    legs = await sync_to_async(room.submit_pair)()
    executor, _ = room.executor()
    await executor.cycle()
    assert await statuses(*legs) == ["pending", "pending"]
    await room.settle(executor, seconds=5)
    assert await statuses(*legs) == ["open", "open"]
    assert len(room.exchange.accepted) == 2


async def test_a_pair_never_sent_in_time_expires_whole(room: OrdersRoom) -> None:
    legs = await sync_to_async(room.submit_pair)()
    room.clock.advance(21)
    await room.settle(room.executor()[0], seconds=2)
    assert await statuses(*legs) == ["expired", "expired"]
    assert room.exchange.accepted == []


@pytest.mark.parametrize(("when", "outcome"), [("after", "open"), ("before", "expired")])
async def test_a_pair_of_unknown_outcome_is_looked_up_leg_by_leg(room: OrdersRoom, when: str, outcome: str) -> None:
    room.exchange.fail("create_pair", OrderOutcomeUnknown("Délai dépassé."), when=when)
    legs = await sync_to_async(room.submit_pair)()
    await room.settle(room.executor()[0], seconds=60, step=4)
    assert await statuses(*legs) == [outcome, outcome]
    assert room.exchange.calls.count("create_pair") == 1


async def test_linked_legs_leave_one_after_the_other_and_keep_their_quantity_reserved(room: OrdersRoom) -> None:
    stop, profit = await placed(room, LINKED)
    sent = [order.ticket.client_order_id for order in room.exchange.accepted]
    assert sent == [stop.client_order_id, profit.client_order_id]
    assert room.exchange.locked[room.broker.id]["BTC"] == 0  # such an exchange locks nothing yet
    room.clock.advance(60)
    assert await reserved(room, as_of=room.clock.now()) == {"BTC": 2}


async def test_a_refused_stop_loss_keeps_its_take_profit_from_leaving(room: OrdersRoom) -> None:
    await sync_to_async(room.become)(LINKED)
    room.exchange.fail("create_order", OrderRejected("no"))
    legs = await sync_to_async(room.submit_pair)()
    await room.settle(room.executor()[0], seconds=3)
    assert await statuses(*legs) == ["rejected", "cancelled"]
    assert room.exchange.accepted == []
    assert "jamais envoyé" in (await refreshed(legs[1])).error_message


async def test_a_refused_take_profit_leaves_the_stop_loss_and_says_so(room: OrdersRoom, alerts: list[str]) -> None:
    await sync_to_async(room.become)(LINKED)
    room.exchange.fail("create_order", OrderRejected("no"), passing=1)
    stop, profit = await sync_to_async(room.submit_pair)()
    await room.settle(room.executor()[0], seconds=3)
    assert await statuses(stop, profit) == ["open", "rejected"]
    assert alerts == ["pair_incomplete"]


@pytest.mark.parametrize(("price", "outcome"), [(89, ["filled", "cancelled"]), (111, ["cancelled", "filled"])])
async def test_the_first_execution_of_a_linked_leg_cancels_the_other(
    room: OrdersRoom, alerts: list[str], price: int, outcome: list[str]
) -> None:
    stop, profit = await placed(room, LINKED)
    room.exchange.move_price("BTC/USDT", price)
    await room.settle(room.executor()[0], seconds=5)
    assert await statuses(stop, profit) == outcome
    assert alerts == []
    assert (await OrderCommand.objects.aget()).status == "done"
    assert await reserved(room) == {}


async def test_two_linked_legs_that_both_executed_raise_an_alarm(room: OrdersRoom, alerts: list[str]) -> None:
    await sync_to_async(room.submit)(quantity="4")
    stop, profit = await placed(room, LINKED)
    room.exchange.move_price("BTC/USDT", 89)
    room.exchange.move_price("BTC/USDT", 111)  # before we even heard of the first
    await room.settle(room.executor()[0], seconds=5)
    assert await statuses(stop, profit) == ["filled", "filled"]
    assert "pair_oversold" in alerts
    # 4 bought with 0.1 % of fee in BTC, 2 + 2 sold: what was not ours to sell shows.
    position = await Position.objects.aget()
    assert position.quantity == 0


async def test_a_stop_loss_cancelled_elsewhere_leaves_its_quantity_with_the_take_profit(
    room: OrdersRoom, alerts: list[str]
) -> None:
    stop, profit = await placed(room, LINKED)
    room.exchange.cancel(room.broker.id, stop.client_order_id)
    await room.settle(room.executor()[0], seconds=4)
    assert await statuses(stop, profit) == ["cancelled", "open"]
    assert await reserved(room, as_of=room.clock.now()) == {"BTC": 2}
    assert alerts == ["pair_incomplete"]


def test_the_same_client_id_gives_the_same_pair_or_the_same_refusal() -> None:
    room = make_room()
    first = room.submit_pair(client_order_id="abc")
    again = room.submit_pair(client_order_id="abc", quantity="9")
    assert [leg.id for leg in again] == [leg.id for leg in first]
    with pytest.raises(InvalidInput, match="solde insuffisant"):
        room.submit_pair(client_order_id="def", free=Decimal(1))
    with pytest.raises(InvalidInput, match="solde insuffisant"):
        room.submit_pair(client_order_id="def")
    refused = Trade.objects.get(client_order_id="def")
    assert (refused.type, refused.status, refused.stop_loss, refused.take_profit) == ("oco", "rejected", 90, 110)
    room.submit(client_order_id="ghi")
    with pytest.raises(Conflict, match="déjà utilisé"):
        room.submit_pair(client_order_id="ghi")
    with pytest.raises(NotFound):
        make_room().submit_pair(broker_id=room.broker.id)


def test_what_no_exchange_holds_together_is_refused_by_the_desk() -> None:
    room = make_room()
    room.become(OrderAbilities(pair=PairMode.NONE))
    with pytest.raises(InvalidInput, match="ne tient pas ensemble"):
        room.submit_pair()
    with pytest.raises(InvalidInput, match="se soumet par paire"):
        room.submit(request=OrderRequest("BTC/USDT", Side.SELL, OrderType.OCO, quantity=Decimal(1)))


async def test_cancel_all_takes_what_was_asked_for_and_nothing_else(room: OrdersRoom) -> None:
    pair = await placed(room)
    resting = await room.submitted(price="80")
    await room.settle(room.executor()[0], seconds=2)
    unsent, of_a_bot = await room.submitted(price="81"), await room.submitted(price="82", owner="bot:1")
    other = await sync_to_async(make_room)()
    elsewhere = await other.submitted(price="83")
    arguments: dict[str, Any] = {"user_id": room.user.id, "broker_id": room.broker.id, "now": room.clock.now()}
    cancel_all = sync_to_async(desk.cancel_all)
    assert await cancel_all(**arguments, symbol="ETH/USDT") == []
    asked = await cancel_all(**arguments, owner="manual")
    assert [trade.id for trade in asked] == [trade.id for trade in (*pair, resting, unsent)]
    assert asked[-1].status == "cancelled"
    assert await cancel_all(**arguments, owner="manual") == asked[:-1]  # twice is harmless
    assert await OrderCommand.objects.acount() == 3
    await room.settle(room.executor()[0], seconds=4)
    assert await statuses(*pair, resting, unsent) == ["cancelled"] * 4
    assert await statuses(of_a_bot, elsewhere) == ["open", "rejected"]  # that account is empty
    with pytest.raises(NotFound):
        await cancel_all(**{**arguments, "user_id": other.user.id})
