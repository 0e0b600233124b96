"""Order books as streams: Binance's rules for a local book hold, and ccxt's WebSocket class keeps one."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal as D
from typing import Any

import aiohttp
import pytest

from simex.options import Options
from simex.tests.support import WITHIN_S, Client, messages, running, stepped

BTC = "BTC/USDT"
Side = dict[D, D]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with running(stepped(symbols=("BTCUSDT",), depth_every_ms=20)) as made:
        yield made


@asynccontextmanager
async def listening(client: Client, stream: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with client.session.ws_connect(f"{client.url}/ws") as socket:
        await socket.send_json({"method": "SUBSCRIBE", "params": [stream], "id": 1})
        assert await socket.receive_json(timeout=5) == {"result": None, "id": 1}
        yield socket


async def snapshot(client: Client) -> dict[str, Any]:
    answer = await client.call("GET", "/api/v3/depth", symbol="BTCUSDT", limit=5000)
    return dict(answer.body)


def sides(rows: dict[str, Any]) -> tuple[Side, Side]:
    bids, asks = ({D(price): D(quantity) for price, quantity in rows[name]} for name in ("bids", "asks"))
    return bids, asks


def apply(book: tuple[Side, Side], message: dict[str, Any]) -> None:
    for side, rows in zip(book, (message["b"], message["a"]), strict=True):
        for price, quantity in rows:
            side[D(price)] = D(quantity)
            if D(quantity) == 0:
                del side[D(price)]


async def test_local_book_kept_by_binances_rules_equals_the_exchanges(client: Client) -> None:
    async with listening(client, "btcusdt@depth@100ms") as socket:
        first = await snapshot(client)
        book, update_id = sides(first), first["lastUpdateId"]
        for _ in range(10):
            await client.admin("clock", advance_ms=60_000)
            (message,) = await messages(socket, 1)
            assert (message["e"], message["s"], message["U"]) == ("depthUpdate", "BTCUSDT", update_id + 1)
            apply(book, message)
            update_id = message["u"]
        now = await snapshot(client)
    assert (update_id, book) == (now["lastUpdateId"], sides(now))


async def test_snapshot_taken_between_two_messages_meets_the_next_one(client: Client) -> None:
    async with listening(client, "btcusdt@depth@100ms") as socket:
        await client.admin("clock", advance_ms=60_000)
        between = await snapshot(client)
        book = sides(between)
        await client.admin("clock", advance_ms=60_000)
        final = await snapshot(client)
        found: list[dict[str, Any]] = []
        while not found or found[-1]["u"] < final["lastUpdateId"]:
            found += await messages(socket, 1)
    later = [message for message in found if message["u"] > between["lastUpdateId"]]
    assert later[0]["U"] <= between["lastUpdateId"] + 1
    for message in later:
        apply(book, message)
    assert book == sides(final)


async def test_users_order_is_one_changed_level(client: Client) -> None:
    async with listening(client, "btcusdt@depth@100ms") as socket:
        before = await snapshot(client)
        price = str(int(D(before["bids"][0][0]) * D("0.9")))
        await client.order("BUY", "LIMIT", quantity="0.01", price=price, timeInForce="GTC")
        (message,) = await messages(socket, 1)
    assert message["b"] == [[f"{price}.00000000", "0.01000000"]]
    assert (message["a"], message["U"], message["u"]) == ([], *[before["lastUpdateId"] + 1] * 2)


async def test_still_market_sends_nothing(client: Client) -> None:
    async with listening(client, "btcusdt@depth@100ms") as socket:
        with pytest.raises(asyncio.TimeoutError):
            await socket.receive(timeout=0.2)


async def test_partial_book_holds_the_best_levels(client: Client) -> None:
    async with listening(client, "btcusdt@depth5@100ms") as socket:
        await client.admin("clock", advance_ms=60_000)
        (message,) = await messages(socket, 1)
    now = await snapshot(client)
    assert message == {
        "lastUpdateId": now["lastUpdateId"],
        "bids": now["bids"][:5],
        "asks": now["asks"][:5],
    }


async def test_onlooker_does_not_set_a_waiting_market_going() -> None:
    options = Options(speed="100", wait_for_consumer=True, depth_every_ms=20)
    async with running(options) as client:
        begun = (await client.ask("run"))["market_time"]
        for stream in ("btcusdt@depth@100ms", "btcusdt@kline_1m", "btcusdt@ticker"):
            async with listening(client, stream):
                assert (await client.ask("run"))["market_time"] == begun
        async with listening(client, "btcusdt@aggTrade") as socket:
            await messages(socket, 1)


@asynccontextmanager
async def pro_binance(client: Client) -> AsyncIterator[Any]:
    """Return the unmodified `ccxt.pro.binance` on simex's addresses."""
    pro = pytest.importorskip("ccxt.pro")
    options = {
        "defaultType": "spot",
        "fetchMarkets": {"types": ["spot"]},
        "fetchCurrencies": False,
        "fetchMargins": False,
    }
    exchange = pro.binance({"enableRateLimit": False, "options": options})
    exchange.urls["api"] = _moved(exchange.urls["api"], client.url)
    try:
        yield exchange
    finally:
        await exchange.close()


def _moved(urls: Any, base: str) -> Any:
    if isinstance(urls, dict):
        return {name: _moved(one, base) for name, one in urls.items()}
    streams = re.sub(r"^wss?://[^/]+", re.sub(r"^http", "ws", base), urls)
    return re.sub(r"^https?://[^/]+", base, streams)


async def test_ccxt_pro_keeps_the_same_book() -> None:
    async with (
        running(stepped(symbols=("BTCUSDT",), depth_every_ms=20)) as client,
        pro_binance(client) as exchange,
        asyncio.timeout(WITHIN_S),
    ):
        book = await exchange.watch_order_book(BTC, 100)
        for _ in range(5):
            await client.admin("clock", advance_ms=60_000)
            now = await snapshot(client)
            while book["nonce"] < now["lastUpdateId"]:
                book = await exchange.watch_order_book(BTC, 100)
        bids, asks = sides(now)
        assert {D(str(price)): D(str(quantity)) for price, quantity in book["bids"]} == bids
        assert {D(str(price)): D(str(quantity)) for price, quantity in book["asks"]} == asks


async def test_ccxt_pro_watches_ticker_and_candles() -> None:
    async with (
        running(Options(symbols=("BTCUSDT",), speed="10")) as client,
        pro_binance(client) as exchange,
        asyncio.timeout(WITHIN_S),
    ):
        ticker = await exchange.watch_ticker(BTC)
        assert ticker["symbol"] == BTC
        assert ticker["last"] > 0
        candles = await exchange.watch_ohlcv(BTC, "5m")
        assert candles[-1][0] % 300_000 == 0


async def test_ticker_comes_by_the_wall_clock_however_fast_the_market() -> None:
    async with (
        running(Options(symbols=("BTCUSDT",), speed="3000")) as client,
        client.session.ws_connect(f"{client.url}/stream?streams=btcusdt@ticker/btcusdt@kline_1m") as socket,
        asyncio.timeout(WITHIN_S),
    ):
        await messages(socket, 1, "24hrTicker")
        first_ms, klines = (await client.ask("run"))["market_time"], 0
        async with asyncio.timeout(WITHIN_S):
            while True:
                (message,) = await messages(socket, 1)
                klines += message["e"] == "kline"
                if message["e"] == "24hrTicker":
                    break
        assert klines > 10
        assert message["E"] - first_ms > 100_000  # not at the next tick, two market seconds later
