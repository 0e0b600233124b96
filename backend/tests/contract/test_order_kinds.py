"""Orders with a trigger, pairs and replacements: what every `ExchangeSession` does with them."""

from datetime import timedelta
from decimal import Decimal

import pytest

from domain.errors import OrderNotFound, OrderRejected
from domain.order_abilities import PairMode
from domain.orders import OrderHandle, OrderReport, OrderStatus, OrderTicket, OrderType, Side
from tests.contract.world import BTC, CLOCK, World

HELD = Decimal("0.02")


@pytest.fixture
async def holding(world: World, request: pytest.FixtureRequest) -> World:
    """An account that bought 0.03 BTC, so that 0.02 can be sold whatever the fees."""
    if world.session.abilities.pair is PairMode.NONE:
        pytest.skip("the fake exchange does not hold orders with a trigger and pairs yet")
    await world.order(quantity=Decimal("0.03"))
    return world


async def found(world: World, ticket: OrderTicket) -> OrderReport:
    return await world.session.find_order(OrderHandle(BTC, ticket.client_order_id, order_type=ticket.order_type))


async def opened(world: World) -> set[str | None]:
    return {each.client_order_id for each in await world.session.fetch_open_orders(BTC)}


@pytest.mark.parametrize(
    ("order_type", "trigger", "limit", "reached"),
    [
        (OrderType.STOP_LOSS, "0.9", None, "0.85"),
        (OrderType.TAKE_PROFIT, "1.1", None, "1.15"),
        (OrderType.STOP_LIMIT, "0.9", "0.8", "0.85"),
    ],
)
async def test_order_with_a_trigger_waits_and_then_sells(
    holding: World, order_type: OrderType, trigger: str, limit: str | None, reached: str
) -> None:
    ticket = holding.ticket(
        side=Side.SELL,
        order_type=order_type,
        stop_price=await holding.price_times(trigger),
        price=None if limit is None else await holding.price_times(limit),
    )
    sent = await holding.session.create_order(ticket, valid_until=CLOCK.now() + timedelta(seconds=10))
    assert (sent.status, sent.order_type, sent.stop_price) == (OrderStatus.OPEN, order_type, ticket.stop_price)
    assert (sent.quantity, sent.filled_quantity, sent.price) == (HELD, Decimal(0), ticket.price)
    (resting,) = await holding.session.fetch_open_orders()
    assert (resting.exchange_order_id, resting.client_order_id) == (sent.exchange_order_id, ticket.client_order_id)
    assert (await holding.session.fetch_balance()).locked["BTC"] == HELD

    holding.move_price(await holding.price_times(reached))
    sold = await found(holding, ticket)
    assert (sold.status, sold.filled_quantity) == (OrderStatus.FILLED, HELD)
    assert sold.exchange_order_id == sent.exchange_order_id
    assert sum(each.quantity for each in sold.fills) == HELD
    assert {each.exchange_order_id for each in sold.fills} == {sent.exchange_order_id}


async def test_order_with_a_trigger_is_cancelled_by_our_id(holding: World) -> None:
    ticket = holding.ticket(
        side=Side.SELL, order_type=OrderType.STOP_LOSS, stop_price=await holding.price_times("0.9")
    )
    await holding.session.create_order(ticket, valid_until=CLOCK.now() + timedelta(seconds=10))
    await holding.session.cancel_order(OrderHandle(BTC, ticket.client_order_id, order_type=OrderType.STOP_LOSS))
    assert (await found(holding, ticket)).status is OrderStatus.CANCELLED
    assert await opened(holding) == set()


async def test_trigger_already_passed_is_rejected(holding: World) -> None:
    with pytest.raises(OrderRejected):
        await holding.order(
            side=Side.SELL, order_type=OrderType.STOP_LOSS, stop_price=await holding.price_times("1.1")
        )


async def test_pair_locks_its_quantity_once_and_bears_our_ids(holding: World) -> None:
    pair, (stop, gain) = await holding.pair(HELD)
    assert (stop.client_order_id, gain.client_order_id) == (
        pair.stop_loss.client_order_id,
        pair.take_profit.client_order_id,
    )
    assert (stop.status, gain.status) == (OrderStatus.OPEN, OrderStatus.OPEN)
    assert await opened(holding) == {pair.stop_loss.client_order_id, pair.take_profit.client_order_id}
    assert (await holding.session.fetch_balance()).locked["BTC"] == HELD


@pytest.mark.parametrize(("reached", "executed"), [("0.85", "stop_loss"), ("1.15", "take_profit")])
async def test_leg_that_executes_ends_the_other(holding: World, reached: str, executed: str) -> None:
    pair, _ = await holding.pair(HELD)
    holding.move_price(await holding.price_times(reached))
    reports = {name: await found(holding, getattr(pair, name)) for name in ("stop_loss", "take_profit")}
    winner = reports.pop(executed)
    (loser,) = reports.values()
    assert (winner.status, sum(each.quantity for each in winner.fills)) == (OrderStatus.FILLED, HELD)
    assert loser.status in (OrderStatus.EXPIRED, OrderStatus.CANCELLED)
    assert loser.filled_quantity == 0
    assert await opened(holding) == set()


async def test_cancelling_one_leg_cancels_both(holding: World) -> None:
    pair, (stop, _) = await holding.pair(HELD)
    await holding.session.cancel_order(
        OrderHandle(BTC, pair.stop_loss.client_order_id, stop.exchange_order_id, OrderType.STOP_LOSS)
    )
    assert (await found(holding, pair.take_profit)).status is OrderStatus.CANCELLED
    assert (await holding.session.fetch_balance()).locked.get("BTC", Decimal(0)) == 0


async def test_pair_of_more_than_one_owns_is_rejected_whole(holding: World) -> None:
    with pytest.raises(OrderRejected):
        await holding.pair(Decimal("0.5"))
    assert await opened(holding) == set()


async def replace(world: World, old: OrderTicket, **changes: object) -> tuple[OrderTicket, OrderReport]:
    ticket = world.ticket(side=old.side, order_type=old.order_type, price=old.price, **changes)
    until = CLOCK.now() + timedelta(seconds=10)
    handle = OrderHandle(BTC, old.client_order_id, order_type=old.order_type)
    return ticket, await world.session.replace_order(handle, ticket, valid_until=until)


async def resting_limit(world: World) -> OrderTicket:
    ticket = world.ticket(order_type=OrderType.LIMIT, price=await world.far_below())
    await world.session.create_order(ticket, valid_until=CLOCK.now() + timedelta(seconds=10))
    return ticket


async def test_replacement_takes_the_place_of_a_limit_order(holding: World) -> None:
    old = await resting_limit(holding)
    ticket, report = await replace(holding, old, quantity=Decimal("0.01"))
    assert (report.client_order_id, report.status) == (ticket.client_order_id, OrderStatus.OPEN)
    assert (report.quantity, report.price) == (Decimal("0.01"), old.price)
    assert await opened(holding) == {ticket.client_order_id}
    assert (await found(holding, old)).status is OrderStatus.CANCELLED


async def test_replacement_moves_a_trigger(holding: World) -> None:
    old = holding.ticket(
        side=Side.SELL, order_type=OrderType.STOP_LOSS, stop_price=await holding.price_times("0.9")
    )
    await holding.session.create_order(old, valid_until=CLOCK.now() + timedelta(seconds=10))
    trigger = await holding.price_times("0.92")
    ticket, report = await replace(holding, old, stop_price=trigger)
    assert (report.order_type, report.stop_price) == (OrderType.STOP_LOSS, trigger)
    assert await opened(holding) == {ticket.client_order_id}


async def test_replacement_that_is_wrong_in_itself_leaves_the_old_order(holding: World) -> None:
    old = await resting_limit(holding)
    with pytest.raises(OrderRejected):
        await replace(holding, old, quantity=Decimal("0.00001"))
    assert await opened(holding) == {old.client_order_id}


async def test_replacement_of_an_order_that_is_gone_places_nothing(holding: World) -> None:
    old = await resting_limit(holding)
    await holding.session.cancel_order(OrderHandle(BTC, old.client_order_id))
    with pytest.raises(OrderRejected):
        await replace(holding, old, quantity=Decimal("0.01"))
    assert await opened(holding) == set()


async def test_replacement_one_cannot_pay_says_what_became_of_the_old_order(holding: World) -> None:
    old = await resting_limit(holding)
    with pytest.raises(OrderRejected) as caught:
        await replace(holding, old, quantity=Decimal("1"))
    rests = old.client_order_id in await opened(holding)
    assert rests != ("est annulé" in caught.value.message)


async def test_replacement_of_nothing_is_not_looked_for(holding: World) -> None:
    old = await resting_limit(holding)
    with pytest.raises(OrderRejected):
        await replace(holding, holding.ticket(order_type=OrderType.LIMIT, price=old.price))
    assert await opened(holding) == {old.client_order_id}
    with pytest.raises(OrderNotFound):
        await found(holding, holding.ticket())
