"""What fails around a decision: a strategy, the gateway, the database; which bots it pauses, with what words."""

import asyncio
from datetime import timedelta

import pytest

from apps.alerts.models import Alert
from apps.trading_engine import leases
from apps.trading_engine.engine import TradingEngine
from apps.trading_engine.models import ActiveStrategy
from domain.errors import StrategyError, StrategyTimeout, Unavailable
from tests.engine_world import CLOSE, World, make_bot

pytestmark = pytest.mark.django_db(transaction=True)
STEP = timedelta(minutes=5)


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
    await world.until_decided(bot.id)
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


async def _too_slow(world: World, engine: TradingEngine, number: int) -> None:
    world.host.loops["code"] = asyncio.Event()
    await engine.receive(world.signal(CLOSE + number * STEP))
    await world.asked(number + 1)
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
