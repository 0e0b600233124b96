"""The WebSocket protocol, and streams that agree with REST."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import aiohttp
import orjson
import pytest

from simex.api.ws import text_frame
from simex.options import Options
from simex.tests.support import START_MS, WITHIN_S, Client, messages, running, stepped


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with running(stepped(symbols=("BTCUSDT", "ETHUSDT"))) as made:
        yield made


async def test_closed_klines_of_the_stream_equal_the_rest_klines(client: Client) -> None:
    url = f"{client.url}/stream?streams=btcusdt@kline_1m/btcusdt@kline_5m/btcusdt@aggTrade"
    async with client.session.ws_connect(url) as socket:
        await client.admin("clock", advance_ms=900_000)
        closed: dict[str, list[list[object]]] = {"1m": [], "5m": []}
        while len(closed["1m"]) < 14 or len(closed["5m"]) < 2:
            (message,) = await messages(socket, 1, "kline")
            k = message["k"]
            if k["x"]:
                assert message["E"] >= k["T"]
                names = ("t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q", "B")
                closed[k["i"]].append([k[name] for name in names])
    for interval, found in closed.items():
        first = int(str(found[0][0]))
        rows = (
            await client.call("GET", "/api/v3/klines", symbol="BTCUSDT", interval=interval, startTime=first)
        ).body
        assert found == rows[: len(found)]


async def test_klines_come_every_two_market_seconds_with_or_without_trades(client: Client) -> None:
    async with client.session.ws_connect(f"{client.url}/ws/btcusdt@kline_1m") as socket:
        await client.admin("clock", advance_ms=120_000)
        times = [m["E"] for m in await messages(socket, 50)]
    first = times[0]
    assert first % 2_000 == 0
    assert times == list(range(first, first + 100_000, 2_000))


async def test_subscriptions_can_be_changed_and_listed(client: Client) -> None:
    async with client.session.ws_connect(f"{client.url}/ws") as socket:
        names = ["btcusdt@aggTrade", "ethusdt@trade"]
        await socket.send_json({"method": "SUBSCRIBE", "params": names, "id": 1})
        assert await socket.receive_json(timeout=5) == {"result": None, "id": 1}
        await socket.send_json({"method": "UNSUBSCRIBE", "params": names[:1], "id": 2})
        await socket.receive_json(timeout=5)
        await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 3})
        assert await socket.receive_json(timeout=5) == {"result": ["ethusdt@trade"], "id": 3}
        await client.admin("clock", advance_ms=600_000)
        found = await messages(socket, 20)
    assert {m["s"] for m in found} == {"ETHUSDT"}
    assert [m["t"] for m in found] == list(range(found[0]["t"], found[0]["t"] + 20))


async def test_other_streams_have_their_shapes(client: Client) -> None:
    kinds = {"bookTicker": "u", "miniTicker": "c", "ticker": "P"}
    for kind, field in kinds.items():
        async with client.session.ws_connect(f"{client.url}/ws/btcusdt@{kind}") as socket:
            await client.admin("clock", advance_ms=120_000)
            (message,) = await messages(socket, 1)
            assert message["s"] == "BTCUSDT"
            assert field in message
            if kind == "bookTicker":
                assert Decimal(message["b"]) < Decimal(message["a"])


async def test_too_many_incoming_messages_close_the_connection(client: Client) -> None:
    async with client.session.ws_connect(f"{client.url}/ws") as socket:
        for number in range(6):
            await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": number})
        last = await socket.receive(timeout=5)
        while last.type == aiohttp.WSMsgType.TEXT:
            last = await socket.receive(timeout=5)
        assert socket.close_code == aiohttp.WSCloseCode.POLICY_VIOLATION


async def test_nonsense_is_answered_not_fatal(client: Client) -> None:
    async with client.session.ws_connect(f"{client.url}/ws/btcusdt@aggTrade") as socket:
        for text in ("{", "[]", '{"method": "DANCE"}'):
            await socket.send_str(text)
            assert "error" in orjson.loads(await socket.receive_str(timeout=5))


async def test_recorded_order_of_two_markets_is_by_time(client: Client) -> None:
    url = f"{client.url}/stream?streams=btcusdt@aggTrade/ethusdt@aggTrade"
    async with client.session.ws_connect(url) as socket:
        await client.admin("clock", advance_ms=1_800_000)
        times = [m["T"] for m in await messages(socket, 80)]
    assert times == sorted(times)
    assert times[0] >= START_MS


async def standing_still(client: Client) -> int:
    """Wait until the market time no longer moves and return it."""
    async with asyncio.timeout(WITHIN_S):
        seen = [-1, -2]
        while seen[-1] != seen[-2]:
            for _ in range(40):
                await client.call("GET", "/api/v3/ping")
            seen.append((await client.ask("run"))["market_time"])
    return seen[-1]


async def test_market_at_max_waits_for_its_consumer_and_loses_nothing() -> None:
    options = Options(speed="max", start_ms=START_MS, wait_for_consumer=True, pause_without_consumer=True)
    async with running(options) as client:
        assert await standing_still(client) == START_MS
        async with client.session.ws_connect(f"{client.url}/ws/btcusdt@aggTrade") as socket:
            held_ms = await standing_still(client)  # the consumer does not read: it holds
            assert held_ms > START_MS
            found = await messages(socket, 30_000)
            assert [m["a"] for m in found] == list(range(found[0]["a"], found[0]["a"] + 30_000))
            assert found[0]["T"] - START_MS < 3_600_000
            assert (await client.ask("run"))["market_time"] > held_ms
        left_ms = await standing_still(client)  # nobody listens: it holds again
        assert left_ms < held_ms + 90 * 86_400_000


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_frame_lengths_are_encoded_as_the_standard_says(size: int) -> None:
    frame = text_frame(b"x" * size)
    assert frame[0] == 0x81
    header = 2 if size < 126 else 4 if size < 65_536 else 10
    assert len(frame) == header + size
    if header > 2:
        assert int.from_bytes(frame[2:header], "big") == size
