"""The engine on real PostgreSQL: one decision per bot and close, whatever arrives twice or races."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from pytest_django.fixtures import SettingsWrapper

from apps.brokers.models import Exchange
from apps.orders.models import Position
from apps.trading_engine import settlement, settler
from apps.trading_engine.models import ActiveStrategy, BotDecision
from apps.trading_engine.settlement import settle_all
from domain.orders import OrderRequest
from domain.sizing import Funds, NoOrder, size_order
from domain.strategies.contract import Evaluation
from tests.engine_world import CLOSE, World, hold, make_bot, make_broker, make_user
from tests.fakes.strategy_host import SELL, buy

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_buy_signal_commits_one_decision_and_one_pending_order(world: World, bot: ActiveStrategy) -> None:
    engine = world.engine()
    await engine.receive(world.signal())
    await engine.idle()
    (decision,) = await world.decisions()
    (trade,) = await world.trades()
    assert (decision.status, decision.action, decision.trade_id) == ("decided", "buy", trade.id)
    assert decision.lease_until is None
    # 50 USDT at 100 = 0.5 BTC; stop 98, target 104
    assert (trade.status, trade.side, trade.quantity) == ("pending", "buy", Decimal("0.5"))
    assert (trade.stop_loss, trade.take_profit) == (Decimal(98), Decimal(104))
    assert trade.market_time == CLOSE
    assert [event[:2] for event in world.publisher.events] == [("bots", "decision"), ("bots", "bot")]


async def test_the_same_close_twice_decides_once(world: World, bot: ActiveStrategy) -> None:
    engine = world.engine()
    await engine.receive(world.signal())
    await engine.receive(world.signal(source="secondary"))
    await engine.idle()
    await engine.receive(world.signal(late=True))
    await engine.idle()
    assert [row.status for row in await world.decisions()] == ["decided"]
    assert len(await world.trades()) == 1


async def test_twenty_bots_on_one_signal_are_each_decided_once(world: World) -> None:
    bots = await world.database.run(lambda: _twenty(world))
    engine = world.engine()
    await engine.receive(world.signal())
    await engine.idle()
    rows = await world.decisions()
    assert [row.bot_id for row in rows] == bots
    assert {row.status for row in rows} == {"decided"}
    assert len(await world.trades()) == 20
    assert world.host.asked == 20
    assert world.gateway.calls.count("balance") == 2  # one per account, shared by its ten bots
    assert world.reader.asked == 1


async def test_two_engines_racing_decide_each_bot_once(world: World) -> None:
    bots = await world.database.run(lambda: _twenty(world))
    engines = [world.engine(), world.engine()]
    await asyncio.gather(*(engine.receive(world.signal()) for engine in engines))
    await asyncio.gather(*(engine.idle() for engine in engines))
    rows = await world.decisions()
    assert [row.bot_id for row in rows] == bots
    assert {row.status for row in rows} == {"decided"}
    assert len(await world.trades()) == 20
    assert world.host.asked == 20


def _twenty(world: World) -> list[int]:
    world.host.answers["code"] = buy(50.0)
    ids = []
    for name in ("alice", "bob"):
        user = make_user(name)
        broker = make_broker(user)
        world.fund(broker.id, 1000)
        ids += [make_bot(user, broker).id for _ in range(10)]
    return ids


async def test_bots_of_one_account_do_not_spend_the_same_money_twice(world: World, bot: ActiveStrategy) -> None:
    await world.database.run(lambda: [make_bot(bot.user, bot.broker) for _ in range(4)])
    world.fund(bot.broker_id, 120)  # enough for two orders of 50
    engine = world.engine()
    await engine.receive(world.signal())
    await engine.idle()
    actions = sorted(row.action for row in await world.decisions())
    assert actions == ["buy", "buy", "none", "none", "none"]
    refused = [row.reason for row in await world.decisions() if row.action == "none"]
    assert all(reason.startswith("solde insuffisant : 50 USDT demandés") for reason in refused)


async def test_a_bot_that_cannot_be_settled_loses_no_other_s_decision(
    world: World, bot: ActiveStrategy, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = await world.database.run(lambda: [make_bot(bot.user, bot.broker).id for _ in range(2)])

    def size(evaluation: Evaluation, *, funds: Funds, **terms: Any) -> OrderRequest | NoOrder:
        if funds.cap == 13:
            raise ZeroDivisionError("a fault of ours in one bot's sizing")
        return size_order(evaluation, funds=funds, **terms)

    await world.database.run(lambda: ActiveStrategy.objects.filter(id=bot.id).update(amount=13))
    monkeypatch.setattr(settlement, "size_order", size)
    engine = world.engine()
    await engine.receive(world.signal())
    await engine.idle()
    assert [(row.bot_id, row.status) for row in await world.decisions()] == [
        (bot.id, "failed"),
        *((other, "decided") for other in others),
    ]
    assert [trade.bot_id for trade in await world.trades()] == others


async def test_the_bots_of_one_account_sell_in_one_transaction(
    world: World, bot: ActiveStrategy, monkeypatch: pytest.MonkeyPatch
) -> None:
    bots = [bot, *await world.database.run(lambda: [make_bot(bot.user, bot.broker) for _ in range(3)])]
    held = [await world.database.run(hold, each) for each in bots]
    world.host.answers["code"] = SELL
    together: list[int] = []

    def settle(answered: Sequence[Any], **terms: Any) -> list[BotDecision | None]:
        together.append(len(answered))
        return settle_all(answered, **terms)

    monkeypatch.setattr(settler, "settle_all", settle)
    engine = world.engine()
    await engine.receive(world.signal())
    await engine.idle()
    assert together == [4]
    sales = await world.trades()
    assert [(sale.side, sale.intent, sale.quantity) for sale in sales] == [("sell", "exit", Decimal("0.5"))] * 4
    assert [sale.position_id for sale in sales] == [position.id for position in held]
    assert [row.trade_id for row in await world.decisions()] == [sale.id for sale in sales]
    positions = await world.database.run(lambda: list(Position.objects.values_list("status", "closing_reason")))
    assert positions == [("closing", "signal")] * 4


@pytest.mark.parametrize(
    ("changes", "decided"),
    [
        ({}, True),
        ({"is_active": False}, False),
        ({"pause_reason": "erreur"}, False),
        ({"timeframe": "1m"}, False),
        ({"start_date": CLOSE}, True),
        ({"start_date": CLOSE + timedelta(seconds=1)}, False),
        ({"end_date": CLOSE}, True),
        ({"end_date": CLOSE - timedelta(seconds=1)}, False),
    ],
)
async def test_only_matching_bots_decide(
    world: World, bot: ActiveStrategy, changes: dict[str, object], decided: bool
) -> None:
    await world.database.run(lambda: ActiveStrategy.objects.filter(id=bot.id).update(**changes))
    engine = world.engine()
    await engine.receive(world.signal())
    await engine.idle()
    assert bool(await world.decisions()) is decided


@pytest.mark.parametrize(
    ("feed", "exchange", "decided"),
    [
        ("simex:test", "simex", True),
        ("simex:test", "binance", False),
        ("binance", "binance", True),
        ("binance", "kraken", True),
        ("binance", "simex", False),
    ],
)
async def test_a_feed_serves_the_brokers_of_its_world(
    world: World, feed: str, exchange: str, decided: bool
) -> None:
    def make() -> None:
        user = make_user()
        make_bot(user, make_broker(user, exchange=exchange))

    await world.database.run(make)
    engine = world.engine()
    await engine.receive(world.signal(feed=feed))
    await engine.idle()
    assert bool(await world.decisions()) is decided


async def test_at_real_prices_the_feed_serves_the_simulateur_too_with_the_relays_candles(
    world: World, bot: ActiveStrategy, settings: SettingsWrapper
) -> None:
    settings.SIMEX_REAL_PRICES = True
    await world.database.run(
        lambda: Exchange.objects.update_or_create(pk="simex", defaults={"candle_source": "simex:relais"})
    )
    engine = world.engine()
    await engine.receive(world.signal(feed="binance"))
    await engine.idle()
    assert [each.bot_id for each in await world.decisions()] == [bot.id]
    assert world.reader.source == "simex:relais"
