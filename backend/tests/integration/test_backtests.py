"""Runs from their row to their result, by terminal 3's supervisor and its sandboxed workers."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from apps.accounts.models import User
from apps.core.adapters.strategy_host.backtest_host import BacktestHost
from domain.ports import TradingFee
from tests.backtest_world import Exchange, World, make_trader

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def host_loop() -> Any:
    return None


@pytest.fixture
async def world() -> AsyncIterator[World]:
    host = BacktestHost(niceness=0)
    made = World(exchange=Exchange(count=400), host=host)
    yield made
    await host.close()
    made.queries.close()


@pytest.fixture
async def lea(world: World) -> User:
    return await world.queries.run(make_trader)


async def test_run_is_loaded_played_and_written_once(world: World, lea: User) -> None:
    world.exchange.fee = TradingFee(Decimal("0.0002"), Decimal("0.0004"))
    run = await world.ask(lea)
    async with world.terminal_3():
        done = await world.browsers.status(run, "done", "failed")
    assert done["error"] == ""
    row = await world.row(run)
    assert row.total_trades == len(row.trades_detail) > 100
