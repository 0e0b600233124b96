"""The order book and last prices through terminal 5's requests, on the simulated exchange."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from pytest_django.fixtures import SettingsWrapper

from apps.core.adapters.clock import SystemClock
from apps.core.services import gateway_codec as codec
from apps.core.services.gateway_requests import GatewayRequests
from domain.live_market import OrderBook
from domain.messages import GatewayReply, GatewayRequest, Priority
from tests.fakes.gateway_world import GatewayWorld, make_gateway
from tests.fakes.simex_process import SimexProcess, running_simex

CLOCK = SystemClock()
BTC = "BTC/USDT"
ETH = "ETH/USDT"


@pytest.fixture(scope="module")
def simex() -> Iterator[SimexProcess]:
    with running_simex("--seed", "5", "--symbols", "BTCUSDT,ETHUSDT", "--speed", "step") as process:
        yield process


@pytest.fixture
async def world(simex: SimexProcess, settings: SettingsWrapper) -> AsyncIterator[GatewayWorld]:
    settings.SIMEX_URL = simex.url
    world = make_gateway(CLOCK, speed=10_000.0)
    world.directory.add(1, 1, "simex", simex.new_account())
    yield world
    await world.manager.close()


async def ask(world: GatewayWorld, method: str, *, user_id: int = 1, **params: Any) -> GatewayReply:
    requests = GatewayRequests(world.manager, clock=CLOCK, wake_orders=lambda: None)
    return await requests.handle(_request(method, user_id, params))


def _request(method: str, user_id: int, params: dict[str, Any]) -> GatewayRequest:
    now = CLOCK.now()
    deadline = now + timedelta(seconds=10)
    return GatewayRequest(uuid4().hex, user_id, 1, method, params, deadline, Priority.CANDLES, "", now)


def read_requests(simex: SimexProcess, path: str) -> int:
    return sum(1 for entry in simex.admin("GET", "log") if entry["path"] == path)


async def test_book_is_the_exchanges_best_levels_in_order(world: GatewayWorld, simex: SimexProcess) -> None:
    simex.admin("POST", "clock", {"advance_ms": 60_000})
    reply = await ask(world, "book", symbol=BTC, depth=20)
    assert reply.error is None
    assert reply.result is not None
    book = OrderBook.from_wire(reply.result)
    assert (len(book.bids), len(book.asks)) == (20, 20)
    bids, asks = [level[0] for level in book.bids], [level[0] for level in book.asks]
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    last = codec.prices_from_wire((await ask(world, "tickers", symbols=[BTC])).result or {})[BTC]
    assert bids[0] <= last <= asks[0]


async def test_tickers_give_known_markets_and_leave_out_the_others(world: GatewayWorld) -> None:
    reply = await ask(world, "tickers", symbols=[BTC, ETH, "NOTHING/USDT"])
    prices = codec.prices_from_wire(reply.result or {})
    assert set(prices) == {BTC, ETH}
    assert prices[BTC] == Decimal((await ask(world, "price", symbol=BTC)).result["price"])  # type: ignore[index]


async def test_tickers_of_unknown_markets_ask_nothing(world: GatewayWorld) -> None:
    assert (await ask(world, "tickers", symbols=["NOTHING/USDT"])).result == {}


async def test_identical_books_asked_together_are_one_request(world: GatewayWorld, simex: SimexProcess) -> None:
    requests = GatewayRequests(world.manager, clock=CLOCK, wake_orders=lambda: None)
    await world.manager.session(1)
    before = read_requests(simex, "/api/v3/depth")
    params = {"symbol": BTC, "depth": 5}
    replies = await asyncio.gather(*(requests.handle(_request("book", 1, params)) for _ in range(10)))
    assert all(reply.error is None for reply in replies)
    assert read_requests(simex, "/api/v3/depth") == before + 1


@pytest.mark.parametrize("depth", [0, 101, "20"])
async def test_book_of_a_depth_out_of_bounds_is_refused(world: GatewayWorld, depth: Any) -> None:
    reply = await ask(world, "book", symbol=BTC, depth=depth)
    assert reply.error is not None
    assert reply.error["code"] == "invalid_message"
    assert "de 1 à 100" in reply.error["message"]


async def test_book_of_an_unknown_market_is_refused_in_french(world: GatewayWorld) -> None:
    reply = await ask(world, "book", symbol="NOTHING/USDT", depth=20)
    assert reply.error is not None
    assert "carnet d'ordres NOTHING/USDT" in reply.error["message"]


async def test_anothers_broker_is_absent(world: GatewayWorld) -> None:
    for method, params in (("book", {"symbol": BTC, "depth": 5}), ("tickers", {"symbols": [BTC]})):
        reply = await ask(world, method, user_id=2, **params)
        assert reply.error is not None
        assert reply.error["code"] == "not_found"
