"""The engine's world and the bot that most of its tests watch."""

from collections.abc import Iterator

import pytest

from apps.trading_engine.database import Database
from apps.trading_engine.models import ActiveStrategy
from tests.engine_world import World, make_bot, make_broker, make_user
from tests.fakes.strategy_host import buy


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
