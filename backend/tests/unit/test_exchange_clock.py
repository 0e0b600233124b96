"""A machine whose clock is off: the difference is learned, shared, and learned again when it moves."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import ccxt
import pytest

from apps.core.adapters.ccxt_exchange import CcxtSession
from apps.core.adapters.clock import SystemClock
from apps.core.adapters.rate_budget import RateBudget
from domain.errors import ExchangeUnavailable, OrderNotExecuted
from domain.orders import OrderStatus, OrderTicket, OrderType, Side
from domain.ports import BrokerAccess
from tests.fakes.recordings import data_file

REFUSAL = 'binance {"code":-1021,"msg":"Timestamp for this request is outside of the recvWindow."}'
ACCOUNT = {"balances": [{"asset": "USDT", "free": "12.30", "locked": "0"}]}
FILLED = {
    "symbol": "BTCUSDT",
    "orderId": 28,
    "clientOrderId": "a" * 32,
    "transactTime": 1507725176595,
    "price": "0",
    "origQty": "0.01",
    "executedQty": "0.01",
    "cummulativeQuoteQty": "500",
    "status": "FILLED",
    "type": "MARKET",
    "side": "BUY",
    "fills": [],
}


@dataclass
class Exchange:
    """Binance's window around a clock that is `offset_ms` away from ours."""

    offset_ms: int = 0
    tells_time: bool = True
    sent: list[str] = field(default_factory=list)

    @property
    def now_ms(self) -> int:
        return int(time.time() * 1000) + self.offset_ms

    async def fetch(self, url: str, method: str = "GET", headers: Any = None, body: str | None = None) -> Any:
        path, _, query = url.split("/api/v3/")[-1].partition("?")
        self.sent.append(path)
        if path == "exchangeInfo":
            return json.loads(data_file("binance_exchangeInfo_2025-08-07_25sym.json").read_text())
        if path == "time":
            if not self.tells_time:
                raise ccxt.ExchangeNotAvailable("binance 503")
            return {"serverTime": self.now_ms}
        self._check(dict(parse_qsl(body or query)))
        return FILLED if path == "order" else ACCOUNT

    def _check(self, params: dict[str, str]) -> None:
        timestamp, window = int(params["timestamp"]), int(params.get("recvWindow", 5000))
        if timestamp >= self.now_ms + 1000 or self.now_ms - timestamp > window:
            raise ccxt.InvalidNonce(REFUSAL)


def session_at(exchange: Exchange) -> CcxtSession:
    clock = SystemClock()
    access = BrokerAccess(1, 1, "binance", False, {"apiKey": "k", "secret": "s"})
    session = CcxtSession(access, budget=RateBudget(clock=clock, rate_per_s=1e4, capacity=1e4), clock=clock)
    session._client.fetch = exchange.fetch
    return session


@pytest.fixture
async def world() -> AsyncIterator[tuple[Exchange, CcxtSession]]:
    exchange = Exchange()
    session = session_at(exchange)
    yield exchange, session
    await session.close()


async def send(session: CcxtSession) -> OrderStatus:
    ticket = OrderTicket("a" * 32, "BTC/USDT", Side.BUY, OrderType.MARKET, Decimal("0.01"))
    report = await session.create_order(ticket, valid_until=datetime.now(UTC) + timedelta(seconds=20))
    return report.status


@pytest.mark.parametrize("offset_ms", [-90_000, -3_000, 3_000, 90_000])
async def test_clock_off_from_the_start_trades_at_once(world: tuple[Exchange, CcxtSession], offset_ms: int) -> None:
    exchange, session = world
    exchange.offset_ms = offset_ms
    await session.load_markets()
    exchange.sent.clear()
    assert await send(session) is OrderStatus.FILLED
    assert (await session.fetch_balance()).free == {"USDT": Decimal("12.30")}
    assert exchange.sent == ["order", "account"]  # nothing was refused on the way


async def test_read_after_the_clock_moved_is_made_again(world: tuple[Exchange, CcxtSession]) -> None:
    exchange, session = world
    await session.load_markets()
    exchange.offset_ms = 30_000
    exchange.sent.clear()
    assert (await session.fetch_balance()).free == {"USDT": Decimal("12.30")}
    assert exchange.sent == ["account", "time", "account"]


async def test_order_after_the_clock_moved_is_not_executed_then_sent_once(
    world: tuple[Exchange, CcxtSession],
) -> None:
    exchange, session = world
    await session.load_markets()
    exchange.offset_ms = 30_000
    exchange.sent.clear()
    with pytest.raises(OrderNotExecuted, match="outside of the recvWindow"):
        await send(session)
    assert exchange.sent == ["order", "time"]  # the adapter itself never sends an order twice
    assert await send(session) is OrderStatus.FILLED


async def test_many_refused_reads_ask_for_the_time_once(world: tuple[Exchange, CcxtSession]) -> None:
    exchange, session = world
    await session.load_markets()
    exchange.offset_ms = 30_000
    exchange.sent.clear()
    await asyncio.gather(*(session.fetch_balance() for _ in range(10)))
    assert exchange.sent.count("time") == 1


async def test_neighbours_take_the_difference_with_the_markets(world: tuple[Exchange, CcxtSession]) -> None:
    exchange, session = world
    exchange.offset_ms = -60_000
    await session.load_markets()
    neighbour = session_at(exchange)
    neighbour.share_markets_of(session)
    exchange.sent.clear()
    await neighbour.fetch_balance()
    assert exchange.sent == ["account"]
    await neighbour.close()


async def test_exchange_that_does_not_tell_its_time_is_read_all_the_same(
    world: tuple[Exchange, CcxtSession],
) -> None:
    exchange, session = world
    exchange.tells_time = False
    await session.load_markets()
    assert (await session.fetch_balance()).free == {"USDT": Decimal("12.30")}
    exchange.offset_ms = 30_000
    with pytest.raises(ExchangeUnavailable, match="outside of the recvWindow"):
        await session.fetch_balance()


async def test_kraken_signs_with_a_counter_that_is_never_set_back() -> None:
    clock = SystemClock()
    access = BrokerAccess(1, 1, "kraken", False, {"apiKey": "k", "secret": "cw=="})
    session = CcxtSession(access, budget=RateBudget(clock=clock, rate_per_s=1e4, capacity=1e4), clock=clock)
    assert not session._exchange_clock.is_out_of_time(ccxt.InvalidNonce("kraken EAPI:Invalid nonce"))
    await session._exchange_clock.set()
    assert session._exchange_clock.difference_ms == 0
    await session.close()
