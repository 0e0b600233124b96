"""Several users on one exchange: nobody's key signs another's request, the markets are loaded once, no 429."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from pytest_django.fixtures import SettingsWrapper

from apps.core.adapters.ccxt_exchange import CcxtSession
from apps.core.adapters.clock import SystemClock
from domain.orders import OrderStatus, OrderTicket, OrderType, Side
from domain.timeframes import Timeframe, from_ms
from tests.fakes.gateway_world import GatewayWorld, make_gateway
from tests.fakes.simex_process import SimexProcess, running_simex

CLOCK = SystemClock()
BTC = "BTC/USDT"
CALLS = 1_000
AT_ONCE = 40
WIDE_LIMITS = 10_000.0  # of a market moved by hand


@pytest.fixture(scope="module")
def still_market() -> Iterator[SimexProcess]:
    with running_simex("--seed", "17", "--symbols", "BTCUSDT", "--speed", "step") as process:
        yield process


@pytest.fixture
async def gateway(still_market: SimexProcess, settings: SettingsWrapper) -> AsyncIterator[GatewayWorld]:
    settings.SIMEX_URL = still_market.url
    world = make_gateway(CLOCK, speed=WIDE_LIMITS)
    yield world
    await world.manager.close()


@dataclass(frozen=True)
class Trader:
    """A user's account, marked by an amount of ETH that nobody else has."""

    user_id: int
    broker_id: int
    account_id: str
    mark: Decimal

    def order_id(self, number: int) -> str:
        return f"{self.user_id:02d}{number:030x}"


def add_trader(world: GatewayWorld, simex: SimexProcess, user_id: int, broker_id: int) -> Trader:
    mark = Decimal(broker_id) + Decimal("0.5")
    made = simex.admin("POST", "accounts", {"deposits": {"USDT": "10000", "ETH": str(mark)}})
    world.directory.add(broker_id, user_id, "simex", {"apiKey": made["api_key"], "secret": made["api_secret"]})
    return Trader(user_id, broker_id, made["account_id"], mark)


def last_number(simex: SimexProcess) -> int:
    entries = simex.admin("GET", "log?limit=1")
    return int(entries[-1]["n"]) if entries else 0


async def test_thousand_interleaved_calls_of_two_users_are_each_signed_by_their_own_key(
    gateway: GatewayWorld, still_market: SimexProcess
) -> None:
    traders = [add_trader(gateway, still_market, number, number) for number in (1, 2)]
    await gateway.manager.preload()
    before = last_number(still_market)
    slots = asyncio.Semaphore(AT_ONCE)

    async def call(number: int) -> None:
        trader = traders[number % 2]
        async with slots:
            session = await gateway.manager.owned_session(trader.broker_id, user_id=trader.user_id)
            if number // 2 % 2:
                await _buy(session, trader.order_id(number))
            else:
                assert (await session.fetch_balance()).free["ETH"] == trader.mark

    await asyncio.gather(*(call(number) for number in range(CALLS)))

    log = [e for e in still_market.admin("GET", f"log?since={before}") if e["path"].startswith("/api/v3/")]
    assert {entry["verdict"] for entry in log} == {"accepted"}
    seen = Counter((entry["method"], entry["path"], entry["account"]) for entry in log)
    a, b = (trader.account_id for trader in traders)
    quarter = CALLS // 4
    assert seen == {
        (method, path, account): quarter
        for method, path in (("POST", "/api/v3/order"), ("GET", "/api/v3/account"))
        for account in (a, b)
    }
    owners = {f"{trader.user_id:02d}": trader.account_id for trader in traders}
    orders = [entry for entry in log if entry["method"] == "POST"]
    assert all(owners[entry["client_order_id"][:2]] == entry["account"] for entry in orders)
    assert len({entry["client_order_id"] for entry in orders}) == CALLS // 2


async def _buy(session: CcxtSession, client_order_id: str) -> None:
    ticket = OrderTicket(client_order_id, BTC, Side.BUY, OrderType.MARKET, Decimal("0.0003"))
    report = await session.create_order(ticket, valid_until=CLOCK.now() + timedelta(seconds=60))
    assert report.status is OrderStatus.FILLED
    assert report.client_order_id == client_order_id


async def test_ten_brokers_of_five_users_load_the_markets_once(
    gateway: GatewayWorld, still_market: SimexProcess
) -> None:
    for number in range(10):
        add_trader(gateway, still_market, number % 5 + 1, 100 + number)
    before = last_number(still_market)
    await gateway.manager.preload()
    assert gateway.manager.open_sessions == 10
    log = still_market.admin("GET", f"log?since={before}&path=/api/v3/exchangeInfo")
    assert len(log) == 1
    assert gateway.catalogue.loads == ["simex"]
    assert [each.symbol for each in gateway.store.markets["simex"]] == [BTC]


async def test_twenty_bots_and_a_terminal_asking_at_once_are_never_refused(settings: SettingsWrapper) -> None:
    with running_simex("--seed", "19", "--symbols", "BTCUSDT") as simex:  # Binance's own limits
        settings.SIMEX_URL = simex.url
        world = make_gateway(CLOCK)
        traders = [add_trader(world, simex, number % 5 + 1, number) for number in range(1, 22)]
        await world.manager.preload()
        until = from_ms(simex.admin("GET", "run")["market_time"])
        sessions = [await world.manager.session(trader.broker_id) for trader in traders]
        async with asyncio.timeout(60):
            await asyncio.gather(*(ask() for session in sessions for ask in _reads(session, until)))
        log = simex.admin("GET", "log")
        await world.manager.close()
    asked = [entry for entry in log if entry["path"] == "/api/v3/account"]
    assert len(asked) == 2 * len(traders)  # each once at its opening, once here
    assert {entry["status"] for entry in log} == {200}


def _reads(session: CcxtSession, until: Any) -> list[Callable[[], Awaitable[Any]]]:
    """What a bot and a terminal ask: the window of candles, the money, the price, the orders, the fills."""
    since = until - timedelta(hours=1)
    return [
        lambda: session.fetch_candles(BTC, Timeframe.M5, since=since, until=until),
        session.fetch_balance,
        lambda: session.fetch_price(BTC),
        lambda: session.fetch_open_orders(BTC),
        lambda: session.fetch_my_trades(BTC),
    ]
