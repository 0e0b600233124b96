"""The sessions under contract, by name."""

from collections.abc import AsyncIterator, Iterator
from decimal import Decimal

import pytest
from pytest_django.fixtures import SettingsWrapper

from apps.core.adapters.ccxt_exchange import CcxtSession
from apps.core.adapters.rate_budget import RateBudget
from domain.ports import BrokerAccess, ExchangeSession
from tests.contract.world import BTC, CLOCK, World
from tests.fakes.exchange import FakeExchange, FakeExchangeSession
from tests.fakes.simex_process import SimexProcess, running_simex


@pytest.fixture(scope="module")
def simex() -> Iterator[SimexProcess]:
    with running_simex("--seed", "7", "--symbols", "BTCUSDT,ETHUSDT", "--speed", "step") as process:
        process.admin("POST", "clock", {"advance_ms": 60_000})
        yield process


@pytest.fixture(params=["fake", "simex"])
async def world(request: pytest.FixtureRequest, settings: SettingsWrapper) -> AsyncIterator[World]:
    session: ExchangeSession
    if request.param == "fake":
        exchange = FakeExchange(CLOCK)
        exchange.deposit(1, "USDT", 10_000)
        exchange.prices[BTC] = Decimal("50000.5")
        session = FakeExchangeSession(exchange, 1)
        market = (await session.load_markets())[BTC]
        yield World(session, market, lambda price: exchange.move_price(BTC, price))
    else:
        simex: SimexProcess = request.getfixturevalue("simex")
        settings.SIMEX_URL = simex.url
        access = BrokerAccess(1, 1, "simex", False, simex.new_account())
        session = CcxtSession(access, budget=RateBudget(clock=CLOCK, rate_per_s=1e4, capacity=1e4), clock=CLOCK)
        market = (await session.load_markets())[BTC]
        yield World(session, market, lambda price: simex.move_price("BTCUSDT", str(price)))
    await session.close()
