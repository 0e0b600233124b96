"""The engine on real PostgreSQL: one decision per bot and close, whatever arrives, fails or races."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pytest_django.fixtures import SettingsWrapper

from apps.alerts.models import Alert
from apps.brokers.models import Exchange
from apps.core.models import CandleHeartbeat, HeartbeatStatus
from apps.orders.models import OrderCommand, Position, Trade
from apps.trading_engine import leases, settlement, settler
from apps.trading_engine.database import Database
from apps.trading_engine.engine import TradingEngine
from apps.trading_engine.models import ActiveStrategy, BotDecision
from apps.trading_engine.settlement import settle_all
from domain.errors import StrategyError, StrategyTimeout, Unavailable
from domain.orders import OrderRequest
from domain.sizing import Funds, NoOrder, size_order
from domain.strategies.contract import Evaluation
from tests.engine_world import CLOSE, FEED, SYMBOL, World, hold, make_bot, make_broker, make_user, until
from tests.fakes.strategy_host import SELL, buy

pytestmark = pytest.mark.django_db(transaction=True)
STEP = timedelta(minutes=5)


@pytest.fixture
def world(transactional_db: None) -> Iterator[World]:
    database = Database()
    yield World(database)
    database.close()


@pytest.fixture
def bot(world: World) -> ActiveStrategy:
    """A bot whose strategy buys for 50 USDT, on an account of 1000 USDT."""
    user = make_user()
    broker = make_broker(user)
    world.fund(broker.id, 1000)
    world.host.answers["code"] = buy(50.0, stop_loss=0.02, take_profit=0.04)
    return make_bot(user, broker)


async def trades(world: World) -> list[Trade]:
    return await world.database.run(lambda: list(Trade.objects.order_by("id")))


async def test_a_buy_signal_commits_one_decision_and_one_pending_order(world: World, bot: ActiveStrategy) -> None:
    engine = world.engine()
    await engine.receive(world.signal())
    await engine.idle()
    (decision,) = await world.decisions()
    (trade,) = await trades(world)
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
    assert len(await trades(world)) == 1


async def test_twenty_bots_on_one_signal_are_each_decided_once(world: World) -> None:
    bots = await world.database.run(lambda: _twenty(world))
    engine = world.engine()
    await engine.receive(world.signal())
    await engine.idle()
    rows = await world.decisions()
    assert [row.bot_id for row in rows] == bots
    assert {row.status for row in rows} == {"decided"}
    assert len(await trades(world)) == 20
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
    assert len(await trades(world)) == 20
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
    assert [trade.bot_id for trade in await trades(world)] == others


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
    sales = await trades(world)
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


async def test_a_stale_signal_is_missed_and_never_traded(world: World, bot: ActiveStrategy) -> None:
    signal = world.signal()
    world.clock.advance(45)
    engine = world.engine()
    await engine.receive(signal)
    await engine.idle()
    (row,) = await world.decisions()
    assert (row.status, row.action) == ("missed", "none")
    assert row.reason == "manqué : signal reçu 45 s après la clôture"
    assert await trades(world) == []
    await engine.receive(world.signal())  # the same close again, fresh this time
    await engine.idle()
    assert await trades(world) == []


async def test_a_late_signal_is_missed_by_the_bots_that_were_on(world: World, bot: ActiveStrategy) -> None:
    await world.database.run(lambda: make_bot(bot.user, bot.broker, active_since=CLOSE + STEP))
    engine = world.engine()
    await engine.receive(world.signal(late=True))
    await engine.idle()
    (row,) = await world.decisions()
    assert (row.bot_id, row.status) == (bot.id, "missed")
    assert world.host.jobs == []


async def test_closes_that_the_stream_lost_are_missed(world: World, bot: ActiveStrategy) -> None:
    engine = world.engine()
    await engine.receive(world.signal(CLOSE))
    await engine.idle()
    closes = [CLOSE + STEP * index for index in range(1, 5)]
    await world.database.run(lambda: _heartbeat_rows(closes, unpublished=closes[2]))
    await world.engine().receive(world.signal(CLOSE + STEP * 4))
    missed = [row for row in await world.decisions() if row.status == "missed"]
    assert [row.close_time for row in missed] == [closes[0], closes[1]]
    assert {row.reason for row in missed} == {"manqué : signal publié pendant que le moteur était arrêté"}


def _heartbeat_rows(closes: list[datetime], *, unpublished: datetime) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    status = HeartbeatStatus.objects.create(
        source="primary", location="local", feed=FEED, last_application_start=now
    )
    for close in closes:
        CandleHeartbeat.objects.create(
            heartbeat_status=status,
            dhm_reception=now,
            dhm_candle=close,
            signal_type="5m",
            symbol="BTCUSDT",
            feed=FEED,
            source="primary",
            open_time=close - STEP,
            open_price=1,
            high_price=1,
            low_price=1,
            close_price=1,
            volume=1,
            trade_count=1,
            published_at=None if close == unpublished else now,
        )


async def test_an_expired_lease_is_taken_again_while_fresh(world: World, bot: ActiveStrategy) -> None:
    signal = world.signal()
    await world.database.run(  # an engine that died right after its lease
        leases.claim_signal, signal, engine="dead", now=world.clock.now(), lease=world.limits.lease
    )
    engine = world.engine()
    await engine.sweep_once()
    assert [row.status for row in await world.decisions()] == ["leased"]
    world.clock.advance(16)
    await engine.sweep_once()
    await engine.idle()
    assert [row.status for row in await world.decisions()] == ["decided"]
    assert len(await trades(world)) == 1


async def test_an_expired_lease_of_an_old_signal_is_missed(world: World, bot: ActiveStrategy) -> None:
    await world.database.run(
        leases.claim_signal, world.signal(), engine="dead", now=world.clock.now(), lease=world.limits.lease
    )
    world.clock.advance(31)
    engine = world.engine()
    await engine.sweep_once()
    await engine.idle()
    (row,) = await world.decisions()
    assert row.status == "missed"
    assert await trades(world) == []


async def test_an_answer_that_comes_after_its_signal_aged_is_missed(world: World, bot: ActiveStrategy) -> None:
    world.host.loops["code"] = asyncio.Event()
    engine = world.engine()
    await engine.receive(world.signal())
    await _asked(world, 1)
    world.clock.advance(31)
    world.host.loops["code"].set()
    await engine.idle()
    (row,) = await world.decisions()
    assert (row.status, row.action) == ("missed", "none")
    assert row.reason == "manqué : évaluation terminée 31 s après le signal"
    assert await trades(world) == []


async def test_an_order_must_leave_while_its_signal_is_fresh(world: World, bot: ActiveStrategy) -> None:
    world.host.loops["code"] = asyncio.Event()
    engine = world.engine()
    signal = world.signal()
    await engine.receive(signal)
    await _asked(world, 1)
    world.clock.advance(14)  # 16 of its 30 s remain: fewer than the 20 s an order may wait
    world.host.loops["code"].set()
    await engine.idle()
    (trade,) = await trades(world)
    assert trade.valid_until == signal.sent_at + world.limits.max_age


async def test_an_attempt_that_lost_its_lease_writes_nothing(world: World, bot: ActiveStrategy) -> None:
    world.host.loops["code"] = asyncio.Event()
    slow, other = world.engine(), world.engine()
    await slow.receive(world.signal())
    await _asked(world, 1)
    world.clock.advance(16)
    await other.sweep_once()
    await _asked(world, 2)
    world.host.loops["code"].set()
    await asyncio.gather(slow.idle(), other.idle())
    (row,) = await world.decisions()
    (trade,) = await trades(world)
    assert (row.status, row.action, row.trade_id) == ("decided", "buy", trade.id)


async def test_a_failing_strategy_pauses_its_bot_only(world: World, bot: ActiveStrategy) -> None:
    world.host.answers["bad"] = StrategyError("ZeroDivisionError ligne 3", details={"line": 3, "traceback": "…"})
    world.host.answers["slow"] = StrategyTimeout("Stratégie arrêtée après 5 s")
    bad, slow = await world.database.run(
        lambda: [make_bot(bot.user, bot.broker, code=code) for code in ("bad", "slow")]
    )
    engine = world.engine()
    await engine.receive(world.signal())
    await engine.idle()
    assert [row.status for row in await world.decisions()] == ["decided", "failed", "failed"]
    rows = await world.database.run(lambda: ActiveStrategy.objects.in_bulk())
    assert rows[bot.id].pause_reason == ""
    assert (rows[bad.id].pause_reason, rows[bad.id].pause_details["line"]) == ("ZeroDivisionError ligne 3", 3)
    assert rows[slow.id].pause_reason == "Stratégie arrêtée après 5 s"
    states = [event[2] for event in world.publisher.events if event[1] == "bot" and "state" in event[2]]
    assert sorted((state["id"], state["state"]) for state in states) == [
        (bad.id, "paused_error"),
        (slow.id, "paused_error"),
    ]
    told = await world.database.run(lambda: dict(Alert.objects.values_list("subject", "message")))
    assert set(told) == {f"bot:{bad.id}", f"bot:{slow.id}"}
    assert told[f"bot:{bad.id}"].endswith("en pause sur erreur : ZeroDivisionError ligne 3")
    await engine.receive(world.signal(CLOSE + STEP))
    await engine.idle()
    assert len(await world.decisions()) == 4  # only the good one decides again


async def test_closes_that_wait_behind_a_failing_one_are_not_evaluated(world: World, bot: ActiveStrategy) -> None:
    world.host.answers["code"] = StrategyTimeout("Stratégie arrêtée après 5 s")
    world.host.loops["code"] = asyncio.Event()
    engine = world.engine()
    for index in range(3):
        await engine.receive(world.signal(CLOSE + STEP * index))
    world.host.loops["code"].set()
    await engine.idle()
    assert [row.status for row in await world.decisions()] == ["failed", "decided", "decided"]
    assert {row.reason for row in (await world.decisions())[1:]} == {"bot arrêté ou suspendu avant son évaluation"}
    assert len(world.host.jobs) == 1


async def test_a_strategy_that_hangs_delays_nobody(world: World, bot: ActiveStrategy) -> None:
    world.host.loops["hung"] = asyncio.Event()
    await world.database.run(lambda: make_bot(bot.user, bot.broker, code="hung"))
    engine = world.engine()
    await engine.receive(world.signal())
    await _until_decided(world, bot.id)
    world.host.loops["hung"].set()
    await engine.idle()


async def test_an_unreachable_gateway_fails_the_decision_without_pausing(world: World, bot: ActiveStrategy) -> None:
    world.gateway.failures["balance"] = Unavailable("Le service CCXT ne répond pas.")
    engine = world.engine()
    await engine.receive(world.signal())
    await engine.idle()
    (row,) = await world.decisions()
    assert (row.status, row.reason) == ("failed", "Le service CCXT ne répond pas.")
    assert (await world.database.run(ActiveStrategy.objects.get)).pause_reason == ""


async def test_a_database_that_fails_during_the_evaluation_leaves_the_lease(
    world: World, bot: ActiveStrategy
) -> None:
    world.reader.error = Unavailable("Base de données indisponible", code="database_down")
    engine = world.engine()
    await engine.receive(world.signal())
    await engine.idle()
    assert [row.status for row in await world.decisions()] == ["leased"]
    world.reader.error = None
    world.clock.advance(16)
    await engine.sweep_once()
    await engine.idle()
    assert [row.status for row in await world.decisions()] == ["decided"]


async def test_an_order_below_the_minimum_is_a_decision_with_its_refusal(world: World, bot: ActiveStrategy) -> None:
    world.host.answers["code"] = buy(2.0)
    engine = world.engine()
    await engine.receive(world.signal())
    await engine.idle()
    (row,) = await world.decisions()
    (trade,) = await trades(world)
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
    (trade,) = await trades(world)
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
    assert await trades(world) == []


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
    await _asked(world, 1)
    await world.database.run(lambda: ActiveStrategy.objects.update(is_active=False))
    world.host.loops["code"].set()
    await engine.idle()
    (row,) = await world.decisions()
    assert row.reason == "bot arrêté ou suspendu pendant l'évaluation"
    assert await trades(world) == []


async def test_run_reads_from_its_cursor_and_again_after_a_restart(world: World, bot: ActiveStrategy) -> None:
    await world.signals.publish(world.signal(CLOSE))
    await _run_until_decided(world, bot.id, count=1)
    assert await world.database.run(leases.load_cursor) == "1-0"
    await world.database.run(lambda: Trade.objects.update(status="filled"))
    await world.signals.publish(world.signal(CLOSE + STEP))
    await _run_until_decided(world, bot.id, count=2)
    assert [row.status for row in await world.decisions()] == ["decided", "decided"]
    assert len(world.host.jobs) == 2


async def _run_until_decided(world: World, bot_id: int, *, count: int) -> None:
    running = asyncio.create_task(world.engine().run())
    await _until_decided(world, bot_id, count=count)
    await _until_cursor(world, f"{count}-0")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def _until_cursor(world: World, wanted: str) -> None:
    await until(lambda: world.database.run(lambda: leases.load_cursor() == wanted))


async def _until_decided(world: World, bot_id: int, *, count: int = 1) -> None:
    done = BotDecision.objects.filter(bot_id=bot_id, status="decided")
    await until(lambda: world.database.run(lambda: done.all().count() >= count))


async def _asked(world: World, count: int) -> None:
    async def enough() -> bool:
        return len(world.host.jobs) >= count

    await until(enough)


async def _too_slow(world: World, engine: TradingEngine, number: int) -> None:
    world.host.loops["code"] = asyncio.Event()
    await engine.receive(world.signal(CLOSE + number * STEP))
    await _asked(world, number + 1)
    world.clock.advance(31)
    world.host.loops["code"].set()
    await engine.idle()


async def test_three_closes_in_a_row_too_slow_pause_the_bot_with_an_alert(
    world: World, bot: ActiveStrategy
) -> None:
    engine = world.engine()
    for number in range(3):
        assert not (await world.database.run(ActiveStrategy.objects.get)).pause_reason
        await _too_slow(world, engine, number)
    paused = await world.database.run(ActiveStrategy.objects.get)
    assert paused.pause_reason.startswith("3 signaux manqués de suite")
    alert = await world.database.run(Alert.objects.get)
    assert (alert.kind, alert.code, alert.subject) == ("bot_paused", "signals_missed", f"bot:{bot.id}")
    assert world.publisher.events[-1][2]["state"] == "paused_error"


async def test_closes_missed_because_an_engine_died_do_not_pause(world: World, bot: ActiveStrategy) -> None:
    for number in range(3):
        signal = world.signal(CLOSE + number * STEP)
        await world.database.run(
            leases.claim_signal, signal, engine="dead", now=world.clock.now(), lease=world.limits.lease
        )
    world.clock.advance(31)
    await world.engine().sweep_once()
    assert [row.status for row in await world.decisions()] == ["missed"] * 3
    assert not (await world.database.run(ActiveStrategy.objects.get)).pause_reason


async def test_a_sale_of_what_is_protected_cancels_the_protection_first(world: World, bot: ActiveStrategy) -> None:
    world.host.answers["code"] = SELL
    position = await world.database.run(lambda: hold(bot, stop_loss=Decimal(98)))
    await world.database.run(lambda: _protection(bot, position))
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


def _protection(bot: ActiveStrategy, position: Position) -> None:
    now = datetime.now(UTC)
    Trade.objects.create(
        user=bot.user,
        broker=bot.broker,
        bot=bot,
        position=position,
        source="strategy",
        owner=position.owner,
        intent="protection",
        client_order_id="protection",
        symbol=SYMBOL,
        side="sell",
        type="stop_loss",
        quantity=position.quantity,
        stop_price=98,
        status="open",
        valid_until=now,
    )
