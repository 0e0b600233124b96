"""Protections watched by the engine: reached once, sold once, resumed when an exit came to nothing."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import QuerySet

from apps.core.models import Restoration
from apps.orders import selectors
from apps.orders.models import OrderCommand, Position, Trade
from apps.trading_engine.models import ActiveStrategy
from apps.trading_engine.position_watch import PositionWatch
from domain.errors import Unavailable
from tests.engine_world import CLOSE, SYMBOL, World, hold, make_bot, rest, until

pytestmark = pytest.mark.django_db(transaction=True)


def watch(world: World) -> PositionWatch:
    return PositionWatch(gateway=world.gateway, database=world.database, clock=world.clock)


async def exits_of(world: World) -> list[Trade]:
    return await world.database.run(lambda: list(Trade.objects.filter(intent="exit").order_by("id")))


async def protections_of(world: World) -> list[Trade]:
    return await world.database.run(lambda: list(Trade.objects.filter(intent="protection").order_by("id")))


async def position_of(world: World, bot: ActiveStrategy) -> Position:
    return await world.database.run(lambda: Position.objects.get(bot=bot))


async def test_a_price_between_the_protections_only_moves_the_value(world: World, bot: ActiveStrategy) -> None:
    await world.database.run(lambda: hold(bot, stop_loss=Decimal(98), take_profit=Decimal(104)))
    world.gateway.prices[SYMBOL] = Decimal(101)
    await watch(world).look()
    position = await position_of(world, bot)
    # 0.5 BTC × (101 − 100)
    assert (position.status, position.current_price, position.unrealized_pnl) == ("open", 101, Decimal("0.5"))
    assert await exits_of(world) == []


async def test_a_restoration_that_waits_values_positions_and_leaves_none(world: World, bot: ActiveStrategy) -> None:
    await world.database.run(lambda: hold(bot, stop_loss=Decimal(98), unrealized_pnl=Decimal("0.92")))
    closing = await world.database.run(lambda: hold(make_bot(bot.user, bot.broker), status="closing"))
    dates = {"backup_taken_at": CLOSE, "restored_at": CLOSE}
    await world.database.run(lambda: Restoration.objects.create(user=bot.user, **dates))
    world.gateway.prices[SYMBOL] = Decimal(96)
    await watch(world).look()
    # 0.5 BTC × (96 − 100), though the stop loss is reached and the other one was being left
    position = await position_of(world, bot)
    assert (position.status, position.unrealized_pnl) == ("open", -2)
    await world.database.run(closing.refresh_from_db)
    assert (closing.status, closing.unrealized_pnl) == ("closing", -2)
    assert await exits_of(world) == []

    await world.database.run(lambda: Restoration.objects.update(confirmed_at=CLOSE))
    await watch(world).look()
    assert len(await exits_of(world)) == 2


async def test_a_position_held_by_hand_is_valued_as_the_bots_are(world: World, bot: ActiveStrategy) -> None:
    await world.database.run(lambda: hold(bot))
    await world.database.run(lambda: Position.objects.update(bot=None, owner="manual"))
    world.gateway.prices[SYMBOL] = Decimal(101)
    await watch(world).look()
    position = await world.database.run(Position.objects.get)
    assert (position.status, position.unrealized_pnl) == ("open", Decimal("0.5"))


async def test_a_stop_loss_sells_the_whole_position_once(world: World, bot: ActiveStrategy) -> None:
    await world.database.run(lambda: hold(bot, stop_loss=Decimal(98)))
    world.gateway.prices[SYMBOL] = Decimal("97.5")
    guard = watch(world)
    for _ in range(3):
        await guard.look()
    (trade,) = await exits_of(world)
    assert (trade.side, trade.type, trade.quantity, trade.status) == ("sell", "market", Decimal("0.5"), "pending")
    position = await position_of(world, bot)
    assert (position.status, position.closing_reason) == ("closing", "stop_loss")


async def test_a_stop_that_rests_is_left_to_the_exchange_for_a_while(world: World, bot: ActiveStrategy) -> None:
    position = await world.database.run(lambda: hold(bot, stop_loss=Decimal(98)))
    await world.database.run(lambda: rest(position))
    world.gateway.prices[SYMBOL] = Decimal(97)
    guard = watch(world)
    for wait_s, status in ((0, "open"), (14, "open"), (1, "closing")):
        world.clock.advance(wait_s)
        await guard.look()
        assert (await position_of(world, bot)).status == status
    assert await exits_of(world) == []  # the stop is cancelled first
    command = await world.database.run(OrderCommand.objects.get)
    assert (command.kind, command.trade_id) == ("cancel", (await protections_of(world))[0].id)


async def test_each_minute_what_is_missing_is_placed_again(world: World, bot: ActiveStrategy) -> None:
    await world.database.run(lambda: hold(bot, stop_loss=Decimal(98), take_profit=Decimal(104)))
    await watch(world).verify()
    legs = await protections_of(world)
    assert [(leg.type, leg.quantity, leg.stop_price) for leg in legs] == [
        ("stop_loss", Decimal("0.5"), 98),
        ("take_profit", Decimal("0.5"), 104),
    ]


async def test_two_watches_at_once_sell_once(world: World, bot: ActiveStrategy) -> None:
    await world.database.run(lambda: hold(bot, take_profit=Decimal(104)))
    world.gateway.prices[SYMBOL] = Decimal(105)
    await asyncio.gather(*(watch(world).look() for _ in range(4)))
    assert len(await exits_of(world)) == 1


async def test_an_exit_that_fills_while_the_watch_looks_is_not_made_again(
    world: World, bot: ActiveStrategy, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.database.run(lambda: hold(bot, stop_loss=Decimal(98)))
    world.gateway.prices[SYMBOL] = Decimal(97)
    guard = watch(world)
    await guard.look()
    really = selectors.live_orders

    def fills_meanwhile(**criteria: Any) -> QuerySet[Trade]:
        Trade.objects.update(status="filled")  # terminal 5 commits both at once
        Position.objects.update(status="closed")
        return really(**criteria)

    monkeypatch.setattr(selectors, "live_orders", fills_meanwhile)
    await guard.look()
    assert len(await exits_of(world)) == 1


async def test_an_exit_of_unknown_outcome_is_not_sent_again(world: World, bot: ActiveStrategy) -> None:
    await world.database.run(lambda: hold(bot, stop_loss=Decimal(98)))
    world.gateway.prices[SYMBOL] = Decimal(97)
    guard = watch(world)
    await guard.look()
    await world.database.run(lambda: Trade.objects.update(status="unknown"))
    world.clock.advance(3600)
    await guard.look()
    assert len(await exits_of(world)) == 1


async def test_a_refused_exit_is_tried_again_later_and_later(world: World, bot: ActiveStrategy) -> None:
    await world.database.run(lambda: hold(bot, stop_loss=Decimal(98)))
    world.gateway.prices[SYMBOL] = Decimal(97)
    guard = watch(world)
    await guard.look()
    for wait_s, count in ((15, 1), (1, 2), (30, 2), (1, 3)):
        await world.database.run(lambda: _reject_all(world))
        world.clock.advance(wait_s)
        await guard.look()
        assert len(await exits_of(world)) == count


async def test_an_exit_that_nobody_could_send_is_followed_by_another_at_once(
    world: World, bot: ActiveStrategy
) -> None:
    await world.database.run(lambda: hold(bot, stop_loss=Decimal(98)))
    world.gateway.prices[SYMBOL] = Decimal(97)
    guard = watch(world)
    await guard.look()
    for wait_s, count in ((1, 2), (30, 2), (1, 3), (60, 3), (1, 4), (60, 4), (1, 5)):  # then within a minute
        await world.database.run(lambda: _end_all(world, "expired", "order_expired"))
        world.clock.advance(wait_s)
        await guard.look()
        assert len(await exits_of(world)) == count


def _reject_all(world: World) -> None:
    _end_all(world, "rejected")


def _end_all(world: World, status: str, code: str = "") -> None:
    live = Trade.objects.exclude(status=status)
    live.update(status=status, error_code=code, closed_at=world.clock.now())


async def test_one_price_serves_all_the_positions_of_a_market(world: World, bot: ActiveStrategy) -> None:
    other = await world.database.run(lambda: make_bot(bot.user, bot.broker))
    await world.database.run(lambda: [hold(one) for one in (bot, other)])
    world.gateway.prices[SYMBOL] = Decimal(100)
    await watch(world).look()
    assert world.gateway.calls == ["price"]


async def test_no_price_leaves_the_position_alone(world: World, bot: ActiveStrategy) -> None:
    await world.database.run(lambda: hold(bot, stop_loss=Decimal(98)))
    world.gateway.failures["price"] = Unavailable("Le service CCXT ne répond pas.")
    await watch(world).look()
    assert (await position_of(world, bot)).status == "open"


async def test_a_stopped_bot_is_still_protected(world: World, bot: ActiveStrategy) -> None:
    await world.database.run(lambda: hold(bot, stop_loss=Decimal(98)))
    await world.database.run(lambda: ActiveStrategy.objects.update(is_active=False))
    world.gateway.prices[SYMBOL] = Decimal(97)
    await watch(world).look()
    assert len(await exits_of(world)) == 1


async def test_the_watch_looks_at_each_period_and_when_woken(world: World, bot: ActiveStrategy) -> None:
    await world.database.run(lambda: hold(bot))
    world.gateway.prices[SYMBOL] = Decimal(100)
    guard = watch(world)
    running = asyncio.create_task(guard.run())

    async def looked(times: int) -> None:
        async def enough() -> bool:
            return world.gateway.calls.count("price") >= times

        await until(enough)

    try:
        await looked(1)
        guard.wake()
        await looked(2)

        async def period() -> bool:
            world.clock.advance(timedelta(seconds=5).total_seconds())
            return world.gateway.calls.count("price") >= 3

        await until(period)
    finally:
        running.cancel()
