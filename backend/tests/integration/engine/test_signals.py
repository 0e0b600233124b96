"""Signals that come late, not at all or again: missed where they aged, decided once where they did not."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from apps.core.models import CandleHeartbeat, HeartbeatStatus
from apps.orders.models import Trade
from apps.trading_engine import leases
from apps.trading_engine.models import ActiveStrategy
from tests.engine_world import CLOSE, FEED, World, make_bot, until

pytestmark = pytest.mark.django_db(transaction=True)
STEP = timedelta(minutes=5)


async def test_a_stale_signal_is_missed_and_never_traded(world: World, bot: ActiveStrategy) -> None:
    signal = world.signal()
    world.clock.advance(45)
    engine = world.engine()
    await engine.receive(signal)
    await engine.idle()
    (row,) = await world.decisions()
    assert (row.status, row.action) == ("missed", "none")
    assert row.reason == "manqué : signal reçu 45 s après la clôture"
    assert await world.trades() == []
    await engine.receive(world.signal())  # the same close again, fresh this time
    await engine.idle()
    assert await world.trades() == []


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
    assert len(await world.trades()) == 1


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
    assert await world.trades() == []


async def test_an_answer_that_comes_after_its_signal_aged_is_missed(world: World, bot: ActiveStrategy) -> None:
    world.host.loops["code"] = asyncio.Event()
    engine = world.engine()
    await engine.receive(world.signal())
    await world.asked(1)
    world.clock.advance(31)
    world.host.loops["code"].set()
    await engine.idle()
    (row,) = await world.decisions()
    assert (row.status, row.action) == ("missed", "none")
    assert row.reason == "manqué : évaluation terminée 31 s après le signal"
    assert await world.trades() == []


async def test_an_order_must_leave_while_its_signal_is_fresh(world: World, bot: ActiveStrategy) -> None:
    world.host.loops["code"] = asyncio.Event()
    engine = world.engine()
    signal = world.signal()
    await engine.receive(signal)
    await world.asked(1)
    world.clock.advance(14)  # 16 of its 30 s remain: fewer than the 20 s an order may wait
    world.host.loops["code"].set()
    await engine.idle()
    (trade,) = await world.trades()
    assert trade.valid_until == signal.sent_at + world.limits.max_age


async def test_an_attempt_that_lost_its_lease_writes_nothing(world: World, bot: ActiveStrategy) -> None:
    world.host.loops["code"] = asyncio.Event()
    slow, other = world.engine(), world.engine()
    await slow.receive(world.signal())
    await world.asked(1)
    world.clock.advance(16)
    await other.sweep_once()
    await world.asked(2)
    world.host.loops["code"].set()
    await asyncio.gather(slow.idle(), other.idle())
    (row,) = await world.decisions()
    (trade,) = await world.trades()
    assert (row.status, row.action, row.trade_id) == ("decided", "buy", trade.id)


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
    await world.until_decided(bot_id, count=count)
    await _until_cursor(world, f"{count}-0")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def _until_cursor(world: World, wanted: str) -> None:
    await until(lambda: world.database.run(lambda: leases.load_cursor() == wanted))
