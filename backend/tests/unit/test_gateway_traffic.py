"""Many accounts on one exchange, in virtual time: one budget under the exchange's limit, cancellations first.

The pool, the sessions and ccxt are the real ones; under them stands simex's own table of weights and its
counter of a minute, moved by a clock of the test's.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import ccxt
import pytest

from apps.core.adapters.ccxt_client_class import make_client
from apps.core.adapters.ccxt_exchange import CcxtSession
from domain.orders import OrderHandle
from domain.timeframes import Timeframe
from simex.api.dispatch import ROUTES
from simex.api.weights import WEIGHT_LIMIT, LimitError, Limits
from tests.fakes.clock import FakeClock
from tests.fakes.gateway_world import GatewayWorld, make_gateway
from tests.fakes.recordings import data_file

BTC = "BTC/USDT"
BOTS = 20
TERMINAL = BOTS + 1
ANSWERS: dict[str, Any] = {
    "account": {"balances": [{"asset": "USDT", "free": "1", "locked": "0"}]},
    "klines": [],
    "openOrders": [],
    "myTrades": [],
    "ticker/24hr": {"symbol": "BTCUSDT", "lastPrice": "50000.00"},
    "order": {"symbol": "BTCUSDT", "orderId": 1, "status": "CANCELED"},
}


@dataclass
class Venue:
    """Counts weights as simex does, at the test's time."""

    clock: FakeClock
    limits: Limits = field(default_factory=lambda: Limits(Decimal(1)))
    sent: list[tuple[str, str]] = field(default_factory=list)
    refused: int = 0
    used: dict[int, int] = field(default_factory=dict)

    async def fetch(self, url: str, method: str = "GET", headers: Any = None, body: str | None = None) -> Any:
        path = urlsplit(url).path
        route = path.removeprefix("/api/v3/")
        now_ms = int(self.clock.now().timestamp() * 1000)
        weight = ROUTES[method, path].cost(dict(parse_qsl(urlsplit(url).query)))
        self.sent.append((method, route))
        try:
            self.used[now_ms // 60_000] = self.limits.use("127.0.0.1", weight, now_ms)
        except LimitError as exc:
            self.refused += 1
            raise ccxt.RateLimitExceeded(f'binance {{"code":-1003,"msg":"{exc.message}"}}') from exc
        if route == "exchangeInfo":
            return json.loads(data_file("binance_exchangeInfo_2025-08-07_25sym.json").read_text())
        return {"serverTime": now_ms} if route == "time" else ANSWERS[route]


@dataclass
class Market:
    world: GatewayWorld
    venue: Venue
    clock: FakeClock

    async def session(self, broker_id: int) -> CcxtSession:
        return await self.world.manager.session(broker_id)

    async def pass_time(self, seconds: float, *, step: float = 0.25) -> None:
        """Move the clock in steps, letting what is due run."""
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
            await settle()


async def settle() -> None:
    for _ in range(25):
        await asyncio.sleep(0)


@pytest.fixture
async def market(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Market]:
    clock = FakeClock()
    venue = Venue(clock)

    def without_network(*args: Any, **kwargs: Any) -> Any:
        client = make_client(*args, **kwargs)
        client.fetch = venue.fetch
        return client

    monkeypatch.setattr("apps.core.adapters.ccxt_exchange.make_client", without_network)
    world = make_gateway(clock)
    for number in range(1, TERMINAL + 1):
        world.directory.add(number, number % 5 + 1, "binance", {"apiKey": f"k{number}", "secret": "s"})
    await world.manager.preload()
    yield Market(world, venue, clock)
    await world.manager.close()


async def test_many_brokers_of_one_exchange_load_its_markets_once(market: Market) -> None:
    assert market.world.manager.open_sessions == TERMINAL
    assert [route for _, route in market.venue.sent] == ["time", "exchangeInfo"]
    assert market.world.catalogue.loads == ["binance"]


async def test_bots_and_a_terminal_that_never_stop_asking_stay_under_the_limit(market: Market) -> None:
    # The worst moment: the bucket is full and the exchange's minute begins.
    await market.pass_time(120, step=10)
    asking = [asyncio.create_task(_ask_for_ever(await market.session(n))) for n in range(1, TERMINAL + 1)]
    await market.pass_time(210)
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    assert market.venue.refused == 0
    whole_minutes = sorted(market.venue.used.items())[1:-1]
    assert len(whole_minutes) >= 2
    # Never over, and not throttled to nothing either: half of the limit is served in every minute.
    assert all(WEIGHT_LIMIT * 0.45 <= used <= WEIGHT_LIMIT for _, used in whole_minutes)


async def _ask_for_ever(session: CcxtSession) -> None:
    now = session._clock.now
    asks: list[Callable[[], Awaitable[Any]]] = [
        lambda: session.fetch_candles(BTC, Timeframe.M5, since=now() - timedelta(hours=1), until=now()),
        session.fetch_balance,
        lambda: session.fetch_price(BTC),
        lambda: session.fetch_open_orders(BTC),
        lambda: session.fetch_my_trades(BTC),
    ]
    while True:
        for ask in asks:
            await ask()


@pytest.mark.parametrize("spent", ["by reads", "to the last unit"])
async def test_cancel_behind_fifty_reads_leaves_within_two_slots(market: Market, spent: str) -> None:
    canceller = await market.session(TERMINAL)
    budget = canceller._rim._budget
    if spent == "to the last unit":
        budget._tokens = 0.0
    reads = [asyncio.create_task((await market.session(n % BOTS + 1)).fetch_balance()) for n in range(200)]
    await settle()
    assert budget.waiting >= 50
    before = len(market.venue.sent)
    cancel = asyncio.create_task(
        canceller.cancel_order(OrderHandle(BTC, client_order_id="a" * 32, exchange_order_id="1"))
    )
    await settle()
    slot_s = 4.0 / budget._rate  # a balance costs 4 of ccxt's units
    await market.pass_time(2 * slot_s, step=0.05)
    assert cancel.done()
    assert ("DELETE", "order") in market.venue.sent[before : before + 2]
    assert budget.waiting >= 40  # the reads still wait their turn
    for task in reads:
        task.cancel()
    await asyncio.gather(*reads, cancel, return_exceptions=True)


async def test_brokers_of_an_exchange_out_of_reach_at_the_start_are_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    venue = Venue(FakeClock())
    is_down = True

    async def fetch(*args: Any, **kwargs: Any) -> Any:
        if is_down:
            raise ccxt.ExchangeNotAvailable("binance 503")
        return await venue.fetch(*args, **kwargs)

    def without_network(*args: Any, **kwargs: Any) -> Any:
        client = make_client(*args, **kwargs)
        client.fetch = fetch
        return client

    monkeypatch.setattr("apps.core.adapters.ccxt_exchange.make_client", without_network)
    world = make_gateway(venue.clock)
    for number in (1, 2):
        world.directory.add(number, number, "binance", {"apiKey": f"k{number}", "secret": "s"})
    await world.manager.preload()
    assert world.manager.open_sessions == 0
    await world.manager.follow_directory()
    assert world.manager.open_sessions == 0
    is_down = False
    await world.manager.follow_directory()
    assert world.manager.open_sessions == 2
    await world.manager.close()
