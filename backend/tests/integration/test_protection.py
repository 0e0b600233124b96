"""A position's protection rests at the exchange: all that is held, once; and a position is left in steps.

Prices are round: BTC at 100 USDT, fees of 0.1 % in what is received, a step of 0.00001 BTC.
"""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from apps.alerts.models import Alert
from apps.core.models import HeartbeatStatus
from apps.orders import closing, desk, keeper, protection
from apps.orders.closing import Step
from apps.orders.models import Position, Trade
from apps.orders.protection_state import protection_body
from domain.errors import Conflict, InvalidInput, NotFound, OrderNotExecuted, OrderRejected
from domain.order_abilities import OrderAbilities, PairMode
from domain.orders import OrderSource, OrderType, Side
from tests.fakes.exchange import PlacedOrder
from tests.fakes.orders_room import OrdersRoom, know_market, make_room, orders_room

pytestmark = pytest.mark.django_db(transaction=True)
SL, TP = Decimal(90), Decimal(110)


@pytest.fixture
async def room() -> AsyncIterator[OrdersRoom]:
    async with orders_room() as made:
        await sync_to_async(know_market)(made)
        yield made


async def bought(room: OrdersRoom, quantity: str = "2", *, owner: str = "webhook:1", **more: Any) -> Trade:
    """Buy at market with a stop loss and a take profit, and let everything settle."""
    given = {"stop_loss": SL, "take_profit": TP, **more}
    trade = await room.submitted(quantity=quantity, owner=owner, **given)
    await room.settle(room.executor()[0], seconds=4)
    return trade


def resting(room: OrdersRoom) -> list[PlacedOrder]:
    return [order for order in room.exchange.accepted if order.rests]


def sold(room: OrdersRoom) -> Decimal:
    return sum((one.filled for one in room.exchange.accepted if one.ticket.side is Side.SELL), Decimal(0))


async def position_now() -> Position:
    return await Position.objects.aget()


def shape(orders: list[PlacedOrder]) -> list[tuple[str, Decimal, Decimal | None]]:
    return [(str(each.ticket.order_type), each.quantity, each.ticket.stop_price) for each in orders]


# 2 BTC bought, 0.002 taken as the fee.
HELD = Decimal("1.998")
PAIR = [("stop_loss", HELD, SL), ("take_profit", HELD, TP)]


async def test_an_entry_that_filled_is_protected_by_one_pair(room: OrdersRoom) -> None:
    await bought(room)
    assert shape(resting(room)) == PAIR
    legs = [row async for row in Trade.objects.filter(intent="protection").order_by("id")]
    position = await position_now()
    assert {(leg.position_id, leg.owner, leg.source) for leg in legs} == {(position.id, "webhook:1", "webhook")}
    body = await sync_to_async(protection_body)(position)
    assert body == {"stop_loss": "exchange", "take_profit": "exchange", "text": "SL 90 · TP 110, chez l'exchange"}
    assert await sync_to_async(keeper.survey)() == []


async def test_a_protection_is_not_dated_before_the_purchase_when_the_stored_clock_lags(room: OrdersRoom) -> None:
    lagging = room.clock.now() - timedelta(minutes=1)
    await HeartbeatStatus.objects.acreate(feed="simex:1", market_time=lagging, last_application_start=lagging)
    trade = await bought(room)
    fill = await trade.fills.aget()
    assert fill.executed_at > lagging
    legs = [leg.market_time async for leg in Trade.objects.filter(intent="protection")]
    assert legs == [fill.executed_at] * 2


async def test_a_first_part_is_protected_at_once_and_the_whole_later(room: OrdersRoom) -> None:
    # A limit of 3: 1 executes, then the other 2.
    trade = await room.submitted(quantity="3", price="90", owner="webhook:1", stop_loss=Decimal(80), take_profit=TP)
    executor, _ = room.executor()
    await room.settle(executor, seconds=2)
    room.exchange.trade(trade.client_order_id, "1")
    await room.settle(executor, seconds=4)
    assert [quantity for _, quantity, _ in shape(resting(room))[1:]] == [Decimal("0.999")] * 2
    room.exchange.trade(trade.client_order_id, "2")
    await room.settle(executor, seconds=8)
    assert [quantity for _, quantity, _ in shape(resting(room))] == [Decimal("2.997")] * 2
    assert sold(room) == 0


async def test_a_pair_that_executes_closes_the_position_and_leaves_nothing(room: OrdersRoom) -> None:
    await bought(room)
    room.exchange.move_price("BTC/USDT", 90)
    await room.settle(room.executor()[0], seconds=6)
    assert (resting(room), sold(room)) == ([], HELD)
    assert (await position_now()).status == "closed"
    assert [row.status async for row in Trade.objects.filter(intent="protection").order_by("id")] == [
        "filled",
        "expired",
    ]


async def test_what_somebody_cancels_at_the_exchange_is_placed_again(room: OrdersRoom) -> None:
    await bought(room)
    room.exchange.cancel(room.broker.id, resting(room)[0].ticket.client_order_id)
    await room.settle(room.executor()[0], seconds=6)
    assert shape(resting(room)) == PAIR


async def test_an_exchange_without_pairs_holds_the_stop_and_the_engine_watches_the_rest(room: OrdersRoom) -> None:
    await sync_to_async(room.become)(OrderAbilities())
    await bought(room)
    assert shape(resting(room)) == PAIR[:1]
    body = await sync_to_async(protection_body)(await position_now())
    assert body is not None
    assert body["text"] == "SL 90, chez l'exchange · TP 110, surveillé par le moteur"


async def test_a_linked_pair_protects_too(room: OrdersRoom) -> None:
    await sync_to_async(room.become)(OrderAbilities(pair=PairMode.LINKED))
    await bought(room)
    assert shape(resting(room)) == PAIR
    room.exchange.move_price("BTC/USDT", 111)
    await room.settle(room.executor()[0], seconds=8)
    assert (resting(room), sold(room), (await position_now()).status) == ([], HELD, "closed")


async def test_a_position_too_small_at_its_stop_is_watched(room: OrdersRoom) -> None:
    await bought(room, "0.05", stop_loss=Decimal(95))  # 0.04995 × 95 = 4.745 USDT, the minimum is 5
    assert resting(room) == []
    body = await sync_to_async(protection_body)(await position_now())
    assert body is not None
    assert body["text"] == "SL 95 · TP 110, surveillé par le moteur"


async def test_refused_three_times_is_sold_and_alerted(room: OrdersRoom) -> None:
    refusal = OrderRejected("Ordre refusé par fake (BTC/USDT) : Filter failure: MAX_NUM_ALGO_ORDERS.")
    room.exchange.fail("create_pair", refusal, times=99)
    await bought(room)
    await room.settle(room.executor()[0], seconds=16)
    assert room.exchange.calls.count("create_pair") == 3
    position = await position_now()
    assert (position.status, position.closing_reason, sold(room)) == ("closed", "unprotected", HELD)
    alert = await Alert.objects.aget(code="protection_refused")
    assert "MAX_NUM_ALGO_ORDERS" in alert.message


async def test_an_exchange_that_is_away_is_asked_again_and_nothing_is_sold(room: OrdersRoom) -> None:
    room.exchange.fail("create_pair", OrderNotExecuted("Trop de requêtes."), times=30)
    await bought(room)
    await room.settle(room.executor()[0], seconds=70)
    assert shape(resting(room)) == PAIR
    assert sold(room) == 0


async def test_leaving_cancels_the_protection_then_sells_the_whole_once(room: OrdersRoom) -> None:
    await bought(room)
    position = await position_now()
    progress = await sync_to_async(_close)(room, position)
    assert progress is Step.CANCELLING
    assert (await position_now()).status == "closing"
    with pytest.raises(Conflict, match="déjà en cours de clôture"):
        await sync_to_async(_close)(room, position)
    await room.settle(room.executor()[0], seconds=6)
    assert (resting(room), sold(room)) == ([], HELD)
    position = await position_now()
    assert (position.status, position.closing_reason, position.quantity) == ("closed", "user", 0)
    exit_ = await Trade.objects.aget(intent="exit")
    assert (exit_.position_id, exit_.type, exit_.filled_quantity) == (position.id, "market", HELD)


async def test_a_protection_that_executes_while_it_is_cancelled_is_not_sold_again(room: OrdersRoom) -> None:
    await bought(room)
    await sync_to_async(_close)(room, await position_now())
    room.exchange.move_price("BTC/USDT", 89)  # before the cancellation leaves
    await room.settle(room.executor()[0], seconds=8)
    assert (sold(room), (await position_now()).status) == (HELD, "closed")
    assert not await Trade.objects.filter(intent="exit").aexists()


async def test_a_protection_executed_in_part_is_left_for_what_remains(room: OrdersRoom) -> None:
    await bought(room)
    (stop, _) = resting(room)
    room.exchange.trade(stop.ticket.client_order_id, "0.5")
    await room.settle(room.executor()[0], seconds=3)
    await sync_to_async(_close)(room, await position_now())
    await room.settle(room.executor()[0], seconds=8)
    assert (resting(room), sold(room), (await position_now()).status) == ([], HELD, "closed")
    assert (await Trade.objects.aget(intent="exit")).filled_quantity == Decimal("1.498")  # 1.998 − 0.5


async def test_leaving_without_protection_sells_at_once(room: OrdersRoom) -> None:
    await bought(room, owner="manual", stop_loss=None, take_profit=None)
    resting_buy = await room.submitted(price="80")  # by hand: none of its business
    assert await sync_to_async(_close)(room, await position_now()) is Step.SELLING
    await room.settle(room.executor()[0], seconds=3)
    assert sold(room) == HELD
    assert (await Trade.objects.aget(id=resting_buy.id)).status == "open"


async def test_a_sale_by_hand_is_cancelled_by_the_closing(room: OrdersRoom) -> None:
    await bought(room, owner="manual", stop_loss=None, take_profit=None)
    await room.submitted(Side.SELL, "1", "120")
    await room.settle(room.executor()[0], seconds=2)
    assert await sync_to_async(_close)(room, await position_now()) is Step.CANCELLING
    await room.settle(room.executor()[0], seconds=6)
    assert (resting(room), sold(room), (await position_now()).status) == ([], HELD, "closed")


async def test_a_sale_that_the_filters_refuse_leaves_the_position_open(room: OrdersRoom) -> None:
    await bought(room, "0.06", stop_loss=None, take_profit=None)
    room.exchange.move_price("BTC/USDT", 50)  # 0.05994 × 50 = 2.997 USDT
    with pytest.raises(InvalidInput, match="inférieure au minimum"):
        await sync_to_async(_close)(room, await position_now())
    assert (await position_now()).status == "open"


async def test_another_users_position_does_not_exist(room: OrdersRoom) -> None:
    await bought(room)
    position = await position_now()
    other = await sync_to_async(make_room)()
    with pytest.raises(NotFound):
        await sync_to_async(_close)(other, position)


async def test_an_exit_in_vain_is_tried_again_by_terminal_5(room: OrdersRoom) -> None:
    await bought(room)
    room.exchange.fail("create_order", OrderRejected("Ordre refusé par fake : Market is closed."), times=1)
    await sync_to_async(_close)(room, await position_now())
    await room.settle(room.executor()[0], seconds=24)
    assert [row.status async for row in Trade.objects.filter(intent="exit").order_by("id")] == [
        "rejected",
        "filled",
    ]
    assert (sold(room), (await position_now()).status) == (HELD, "closed")


async def test_what_a_person_placed_by_hand_is_not_the_keepers(room: OrdersRoom) -> None:
    await bought(room, owner="manual", stop_loss=None, take_profit=None)
    await sync_to_async(room.submit_pair)("1.998")
    await room.settle(room.executor()[0], seconds=4)
    assert shape(resting(room)) == PAIR
    assert not await Trade.objects.filter(position__isnull=False).aexists()


async def test_each_minute_the_exchange_is_asked_for_what_rests(room: OrdersRoom) -> None:
    await bought(room)
    await room.executor()[0].cycle()  # just asked: the next look is due in some seconds
    assert await sync_to_async(protection.ask_exchange)(now=room.clock.now()) == 2
    assert await Trade.objects.filter(next_check_at=room.clock.now()).acount() == 2


@pytest.mark.parametrize(("owner", "source", "after"), [("webhook:1", "webhook", PAIR), ("manual", "manual", [])])
async def test_only_what_was_placed_by_hand_is_given_up_by_cancelling(
    room: OrdersRoom, owner: str, source: str, after: list[Any]
) -> None:
    await bought(room, owner=owner, source=OrderSource(source))
    leg = await Trade.objects.filter(type=OrderType.STOP_LOSS.value).aget()
    await sync_to_async(desk.cancel)(trade_id=leg.id, user_id=room.user.id, now=room.clock.now())
    await room.settle(room.executor()[0], seconds=6)
    assert shape(resting(room)) == after


def _close(room: OrdersRoom, position: Position) -> Step:
    price = room.exchange.prices["BTC/USDT"]
    return closing.close(position.id, user_id=room.user.id, price=price, now=room.clock.now()).step
