"""Two heartbeats: the first copy of a signal is acted on once; who carries the trading is told once per change."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async

from apps.alerts.models import Alert
from apps.alerts.services.heartbeat_watch import HeartbeatWatch
from apps.core.adapters.database import close_database
from apps.core.adapters.presence import PresenceReport
from apps.orders.models import Trade
from apps.trading_engine.database import Database
from tests.engine_world import World, make_bot, make_broker, make_user
from tests.fakes.clock import FakeClock
from tests.fakes.strategy_host import buy

pytestmark = pytest.mark.django_db(transaction=True)
NOON = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


@pytest.fixture
def world(transactional_db: None) -> Iterator[World]:
    database = Database()
    yield World(database)
    database.close()


async def test_secondary_that_comes_first_is_acted_on_and_the_primary_s_copy_is_not(world: World) -> None:
    await sync_to_async(_bot)(world)
    engine = world.engine()
    for source in ("secondary", "primary", "secondary"):
        await engine.receive(world.signal(source=source))
    await engine.idle()
    assert [row.status for row in await world.decisions()] == ["decided"]
    assert await world.database.run(Trade.objects.count) == 1
    heard = {source: (each.signals, each.first) for source, each in engine.copies.heard.items()}
    assert heard == {"secondary": (2, 1), "primary": (1, 0)}


async def test_both_copies_at_two_engines_at_once_are_decided_once(world: World) -> None:
    await sync_to_async(_bot)(world)
    engines = {source: world.engine() for source in ("primary", "secondary")}
    await asyncio.gather(*(engine.receive(world.signal(source=s)) for s, engine in engines.items()))
    await asyncio.gather(*(engine.idle() for engine in engines.values()))
    assert [row.status for row in await world.decisions()] == ["decided"]
    assert await world.database.run(Trade.objects.count) == 1


async def test_bot_switched_on_between_two_copies_leaves_the_later_one(world: World) -> None:
    engine = world.engine()
    await engine.receive(world.signal())
    await sync_to_async(_bot)(world)
    await engine.receive(world.signal(source="secondary"))
    await engine.idle()
    assert await world.decisions() == []


async def test_late_copy_of_what_was_acted_on_records_nothing(world: World) -> None:
    await sync_to_async(_bot)(world)
    await world.engine().receive(world.signal(source="secondary"))
    restarted = world.engine()  # remembers nothing: the claim in PostgreSQL decides
    await restarted.receive(world.signal(source="primary", late=True))
    assert len(await world.decisions()) == 1
    assert (await world.decisions())[0].status != "missed"


def _bot(world: World) -> None:
    user = make_user()
    broker = make_broker(user)
    world.fund(broker.id, 1000)
    world.host.answers["code"] = buy(50.0)
    make_bot(user, broker)


@pytest_asyncio.fixture
async def nothing_left() -> AsyncIterator[None]:
    """Leave no connection in the database thread that later tests share."""
    yield
    await close_database()


class Presences:
    """What both heartbeats last said; `answer` None: Redis is silent."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.reports: dict[str, PresenceReport] | None = {}

    async def read(self, names: Sequence[str]) -> Any:
        return None if self.reports is None else (self.reports, 0.1)

    def speak(self, *names: str, **details: object) -> None:
        if self.reports is not None:
            now = self._clock.now()
            self.reports |= {name: PresenceReport(since=now, sent_at=now, details=details) for name in names}


async def test_failover_recovery_and_the_end_of_both_are_each_told_once(nothing_left: None) -> None:
    await sync_to_async(make_user)()
    clock = FakeClock(NOON)
    presences = Presences(clock)
    watch = HeartbeatWatch(presences=presences, clock=clock)
    script: list[tuple[int, tuple[str, ...]]] = [
        (10, ("heartbeat", "heartbeat_secondary")),
        (40, ("heartbeat_secondary",)),  # the primary dies
        (10, ("heartbeat", "heartbeat_secondary")),  # and comes back
        (60, ()),  # both die
        (10, ("heartbeat", "heartbeat_secondary")),
    ]
    for seconds, alive in script:
        for _ in range(0, seconds, 2):
            clock.advance(2)
            presences.speak(*alive, is_connected=True)
            await watch.step()
    told = await sync_to_async(lambda: list(Alert.objects.order_by("pk").values_list("message", flat=True)))()
    starts = [
        "Basculement : le heartbeat primaire",
        "Le heartbeat primaire est de retour",
        "Heartbeats primaire et",
        "Le heartbeat est de",
    ]
    assert len(told) == len(starts)
    assert all(message.startswith(start) for message, start in zip(told, starts, strict=True))
    assert "TRADING ARRÊTÉ" in told[2]


async def test_primary_cut_from_its_market_fails_over_though_its_process_lives(nothing_left: None) -> None:
    await sync_to_async(make_user)()
    clock = FakeClock(NOON)
    presences = Presences(clock)
    watch = HeartbeatWatch(presences=presences, clock=clock)
    for _ in range(17):
        presences.speak("heartbeat", is_connected=False)
        presences.speak("heartbeat_secondary", is_connected=True)
        await watch.step()
        clock.advance(timedelta(seconds=2).total_seconds())
    assert await sync_to_async(lambda: [a.code for a in Alert.objects.all()])() == ["heartbeat_by_secondary"]
