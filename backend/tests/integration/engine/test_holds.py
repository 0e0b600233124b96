"""What holds a decision back: a minimum, a live or unknown order, a position, a suspension, a protection."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.orders.models import OrderCommand, Position, Trade
from apps.trading_engine.models import ActiveStrategy
from tests.engine_world import CLOSE, World, hold, rest, until
from tests.fakes.strategy_host import SELL, buy

pytestmark = pytest.mark.django_db(transaction=True)
STEP = timedelta(minutes=5)


async def test_an_order_below_the_minimum_is_a_decision_with_its_refusal(world: World, bot: ActiveStrategy) -> None:
    world.host.answers["code"] = buy(2.0)
    engine = world.engine()
    await engine.receive(world.signal())
    await engine.idle()
    (row,) = await world.decisions()
    (trade,) = await world.trades()
    assert (row.status, row.action, row.trade_id) == ("decided", "buy", trade.id)
    assert "valeur 2 USDT inférieure au minimum 5 USDT" in row.reason
    assert trade.status == "rejected"


@pytest.mark.parametrize(
    ("status", "reason"),
    [("pending", "ordre en cours"), ("open", "ordre en cours"), ("unknown", "ordre de statut inconnu")],
)
async def test_a_live_order_blocks_its_bot(world: World, bot: ActiveStrategy, status: str, reason: str) -> None:
    engine = world.engine()
    await engine.receive(world.signal())
    await engine.idle()
    await world.database.run(lambda: Trade.objects.update(status=status))
    await engine.receive(world.signal(CLOSE + STEP))
    await engine.idle()
    row = (await world.decisions())[-1]
    assert (row.status, row.action) == ("decided", "none")
    assert row.reason.startswith(reason)
    assert len(world.host.jobs) == 1  # not evaluated again


async def test_anybody_s_unknown_order_blocks_the_bots_of_its_market_until_it_is_known(
    world: World, bot: ActiveStrategy
) -> None:
    def other(**fields: Any) -> Trade:
        made: Trade = Trade.objects.create(
            **{
                "user_id": bot.user_id,
                "broker_id": bot.broker_id,
                "source": "manual",
                "owner": "manual",
                "client_order_id": f"{fields}"[-36:],
                "symbol": bot.symbol,
                "side": "sell",
                "type": "market",
                "quantity": Decimal("0.25"),
                "status": "unknown",
                "valid_until": CLOSE,
                **fields,
            }
        )
        return made

    unknown = await world.database.run(other)
    await world.database.run(other, symbol="ETH/USDT")
    engine = world.engine()
    await engine.receive(world.signal())
    await engine.idle()
    (row,) = await world.decisions()
    assert (row.status, row.action) == ("decided", "none")
    assert row.reason == (
        f"BTC/USDT bloqué : l'ordre de vente n° {unknown.id} (0.25 BTC/USDT, manuel) est de statut inconnu, "
        "recherché auprès de l'exchange"
    )
    await world.database.run(lambda: Trade.objects.filter(id=unknown.id).update(status="filled"))
    await engine.receive(world.signal(CLOSE + STEP))
    await engine.idle()
    assert [row.action for row in await world.decisions()] == ["none", "buy"]


async def test_an_order_that_becomes_unknown_during_the_evaluation_still_blocks(
    world: World, bot: ActiveStrategy
) -> None:
    gate = world.host.loops["code"] = asyncio.Event()
    engine = world.engine()
    await engine.receive(world.signal())

    async def evaluating() -> bool:
        return bool(world.host.jobs)

    await until(evaluating)
    await world.database.run(
        lambda: Trade.objects.create(
            user_id=bot.user_id,
            broker_id=bot.broker_id,
            source="manual",
            owner="manual",
            client_order_id="u",
            symbol=bot.symbol,
            side="buy",
            type="market",
            quantity=1,
            status="unknown",
            valid_until=CLOSE,
        )
    )
    gate.set()
    await engine.idle()
    (row,) = await world.decisions()
    assert row.action == "none"
    assert row.reason.startswith("BTC/USDT bloqué : l'ordre d'achat")


async def test_should_short_sells_the_whole_position_once(world: World, bot: ActiveStrategy) -> None:
    position = await world.database.run(lambda: hold(bot))
    world.host.answers["code"] = SELL
    engine = world.engine()
    await engine.receive(world.signal())
    await engine.receive(world.signal(CLOSE + STEP))
    await engine.idle()
    (trade,) = await world.trades()
    assert (trade.side, trade.intent, trade.quantity) == ("sell", "exit", Decimal("0.5"))
    assert [row.action for row in await world.decisions()] == ["sell", "none"]
    assert (await world.database.run(lambda: Position.objects.get(id=position.id))).status == "closing"
    view = world.host.jobs[0].position
    assert view is not None
    assert (view.quantity, view.entry_price) == (0.5, 100.0)


async def test_a_position_is_not_bought_again(world: World, bot: ActiveStrategy) -> None:
    await world.database.run(lambda: hold(bot))
    engine = world.engine()
    await engine.receive(world.signal())
    await engine.idle()
    (row,) = await world.decisions()
    assert row.reason == "position conservée : aucun signal de vente"
    assert await world.trades() == []


async def test_an_unknown_market_is_said_without_evaluating(world: World, bot: ActiveStrategy) -> None:
    await world.database.run(lambda: ActiveStrategy.objects.update(symbol="DOGE/USDT"))
    engine = world.engine()
    await engine.receive(world.signal())
    await engine.idle()
    (row,) = await world.decisions()
    assert row.reason == "symbole DOGE/USDT absent des marchés chargés de simex"
    assert world.host.jobs == []


async def test_suspending_during_the_evaluation_stops_the_order(world: World, bot: ActiveStrategy) -> None:
    world.host.loops["code"] = asyncio.Event()
    engine = world.engine()
    await engine.receive(world.signal())
    await world.asked(1)
    await world.database.run(lambda: ActiveStrategy.objects.update(is_active=False))
    world.host.loops["code"].set()
    await engine.idle()
    (row,) = await world.decisions()
    assert row.reason == "bot arrêté ou suspendu pendant l'évaluation"
    assert await world.trades() == []


async def test_a_sale_of_what_is_protected_cancels_the_protection_first(world: World, bot: ActiveStrategy) -> None:
    world.host.answers["code"] = SELL
    position = await world.database.run(lambda: hold(bot, stop_loss=Decimal(98)))
    await world.database.run(lambda: rest(position))
    engine = world.engine()
    await engine.receive(world.signal())
    await engine.idle()
    (row,) = await world.decisions()
    assert (row.status, row.action, row.trade_id) == ("decided", "sell", None)
    assert "la protection est annulée chez l'exchange" in row.reason
    await world.database.run(position.refresh_from_db)
    assert (position.status, position.closing_reason) == ("closing", "signal")
    command = await world.database.run(lambda: OrderCommand.objects.select_related("trade").get())
    assert (command.kind, command.trade.intent) == ("cancel", "protection")
