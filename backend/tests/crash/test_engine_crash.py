"""The engine killed at each of its awaits: its successor decides what was left, once, and loses no order."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import pytest

from apps.orders.models import Trade
from apps.trading_engine.database import Database
from apps.trading_engine.models import BotDecision
from domain.ports import Balance
from domain.strategies.contract import Evaluation, EvaluationJob
from tests.engine_world import World, make_bot, make_broker, make_user
from tests.fakes.strategy_host import buy

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.crash]
P = ParamSpec("P")
R = TypeVar("R")
BOTS = 2


class Killed(BaseException):
    """Like `kill -9`: no boundary catches it and nothing of the engine runs afterwards."""


@dataclass
class Fate:
    """Counts the steps of an engine and ends it at the fatal one."""

    fatal: int
    steps: int = 0

    def step(self) -> None:
        self.steps += 1
        if self.steps >= self.fatal:
            raise Killed


class MortalDatabase(Database):
    """A kill before a transaction, or after its commit and before the engine learns of it."""

    def __init__(self, database: Database, fate: Fate) -> None:
        self._alive = database
        self._fate = fate

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        self._fate.step()
        result = await self._alive.run(function, *args, **kwargs)
        self._fate.step()
        return result


class Mortal:
    """The rest of what the engine awaits."""

    def __init__(self, world: World, fate: Fate) -> None:
        self._world = world
        self._fate = fate

    async def __call__(self, **kwargs: Any) -> Sequence[Any]:
        self._fate.step()
        return await self._world.reader(**kwargs)

    async def balance(self, broker_id: int, **kwargs: Any) -> Balance:
        self._fate.step()
        return await self._world.gateway.balance(broker_id, **kwargs)

    async def evaluate(self, job: EvaluationJob, *, timeout_s: float = 5.0) -> Evaluation:
        self._fate.step()
        return await self._world.host.evaluate(job)

    async def publish(self, *args: Any, **kwargs: Any) -> None:
        self._fate.step()


@pytest.fixture
def world(transactional_db: None) -> Iterator[World]:
    database = Database()
    yield World(database)
    database.close()


async def test_killed_at_each_step_every_bot_decides_once(world: World) -> None:
    await world.database.run(lambda: _bots(world))
    steps = await _life(world, fatal=10**6)  # a whole life, to know how many deaths there are
    assert steps > 6 * BOTS
    for fatal in range(1, steps + 1):
        await world.database.run(_forget)
        await _life(world, fatal=fatal)
        await _successor(world)
        rows = await world.decisions()
        trades = await world.database.run(lambda: list(Trade.objects.order_by("bot_id")))
        told = f"killed at step {fatal} of {steps}"
        assert [row.status for row in rows] == ["decided"] * BOTS, told
        assert [row.trade_id for row in rows] == [trade.id for trade in trades], told


def _bots(world: World) -> None:
    world.host.answers["code"] = buy(50.0)
    user = make_user()
    broker = make_broker(user)
    world.fund(broker.id, 1000)
    for _ in range(BOTS):
        make_bot(user, broker)


def _forget() -> None:
    BotDecision.objects.all().delete()
    Trade.objects.all().delete()


async def _life(world: World, *, fatal: int) -> int:
    """Let an engine receive the signal until its fate; return how many steps it made."""
    fate = Fate(fatal)
    mortal = Mortal(world, fate)
    engine = world.engine(
        database=MortalDatabase(world.database, fate), gateway=mortal, host=mortal, candles=mortal, publisher=mortal
    )
    try:
        await engine.receive(world.signal())
    except Killed:
        return fate.steps
    finally:
        await engine.idle()
    return fate.steps


async def _successor(world: World) -> None:
    """A new engine: the stream gives it the signal again, and it looks for leases that ran out."""
    engine = world.engine()
    signal = world.signal()
    await engine.receive(signal)
    world.clock.advance(world.limits.lease.total_seconds() + 1)
    await engine.sweep_once()
    await engine.idle()
