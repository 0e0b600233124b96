"""Planned troubles do what they say, and the log tells the truth about them."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from simex.faults import FaultError, Faults
from simex.tests.support import Client, messages, running, stepped


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with running(stepped(symbols=("BTCUSDT",))) as made:
        yield made


async def buy(client: Client, name: str) -> Any:
    return await client.order("BUY", "MARKET", quantity="0.001", newClientOrderId=name)


async def verdicts(client: Client) -> list[str]:
    return [e["verdict"] for e in await client.ask("log", method="POST", path="/api/v3/order")]


async def order_ids(client: Client) -> list[str]:
    found = (await client.signed("GET", "/api/v3/allOrders", symbol="BTCUSDT")).body
    return [order["clientOrderId"] for order in found]


async def test_drop_before_leaves_no_order_and_drop_after_leaves_one(client: Client) -> None:
    await client.admin("faults", kind="drop_before", method="POST", path="/api/v3/order")
    with pytest.raises(aiohttp.ClientError):
        await buy(client, "before")
    await client.admin("faults", kind="drop_after", method="POST", path="/api/v3/order")
    with pytest.raises(aiohttp.ClientError):
        await buy(client, "after")
    assert (await buy(client, "plain")).status == 200
    assert await order_ids(client) == ["after", "plain"]
    assert await verdicts(client) == ["dropped before", "accepted dropped after", "accepted"]


async def test_nth_request_of_one_account_is_the_one_disturbed(client: Client) -> None:
    fault = {"kind": "http_error", "account": "alice", "path": "/order", "nth": 2}
    await client.admin("faults", **fault, params={"status": 503})
    answers = [(await buy(client, f"n{i}")).status for i in range(3)]
    assert answers == [200, 503, 200]
    assert await order_ids(client) == ["n0", "n2"]
    assert await verdicts(client) == ["accepted", "fault 503", "accepted"]


async def test_server_error_may_hide_an_executed_order(client: Client) -> None:
    await client.admin("faults", kind="http_error", path="/order", params={"executed": True})
    answer = await buy(client, "hidden")
    assert (answer.status, "html" in answer.body) == (500, True)
    assert await order_ids(client) == ["hidden"]
    assert await verdicts(client) == ["accepted fault 500"]


async def test_rate_limit_and_binance_errors_have_their_shape(client: Client) -> None:
    await client.admin("faults", kind="rate_limit", times=1, params={"retry_after": 7})
    answer = await client.call("GET", "/api/v3/ping")
    assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
    await client.admin("faults", kind="binance_error", params={"code": -1001, "status": 500})
    answer = await client.call("GET", "/api/v3/ping")
    assert (answer.status, answer.body["code"]) == (500, -1001)
    assert (await client.call("GET", "/api/v3/ping")).status == 200


async def test_clock_offset_makes_timestamps_wrong_until_cleared(client: Client) -> None:
    await client.admin("faults", clock_offset_ms=20_000)
    assert (await client.signed("GET", "/api/v3/account")).body["code"] == -1021
    async with client.session.delete(f"{client.url}/__sim/faults") as got:
        assert got.status == 200
    assert (await client.signed("GET", "/api/v3/account")).status == 200


async def ids_with(client: Client, count: int, **fault: Any) -> list[int]:
    async with client.session.ws_connect(f"{client.url}/ws/btcusdt@aggTrade") as socket:
        if fault:
            await client.admin("faults", **fault)
        await client.admin("clock", advance_ms=600_000)
        return [m["a"] for m in await messages(socket, count)]


async def test_stream_messages_are_dropped_doubled_or_swapped_as_planned(client: Client) -> None:
    ids = await ids_with(client, 5)
    assert ids == list(range(ids[0], ids[0] + 5))
    ids = await ids_with(client, 5, kind="drop", nth=2)
    assert ids == [ids[0], *range(ids[0] + 2, ids[0] + 6)]
    ids = await ids_with(client, 5, kind="duplicate", nth=2)
    assert ids == [ids[0], ids[0] + 1, *range(ids[0] + 1, ids[0] + 4)]
    ids = await ids_with(client, 5, kind="reorder", nth=2)
    assert ids == [ids[0], ids[0] + 2, ids[0] + 1, ids[0] + 3, ids[0] + 4]
    ids = await ids_with(client, 5, kind="stall", nth=2, params={"messages": 3})
    assert ids == [ids[0], *range(ids[0] + 5, ids[0] + 9)]


async def test_disconnect_cuts_the_stream_and_refuse_the_next_handshake(client: Client) -> None:
    async with client.session.ws_connect(f"{client.url}/ws/btcusdt@aggTrade") as socket:
        await client.admin("faults", kind="disconnect", nth=3)
        await client.admin("faults", kind="refuse")
        await client.admin("clock", advance_ms=600_000)
        kinds = [(await socket.receive(timeout=10)).type]
        while kinds[-1] == aiohttp.WSMsgType.TEXT:
            kinds.append((await socket.receive(timeout=10)).type)
        assert len(kinds) <= 3
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await client.session.ws_connect(f"{client.url}/ws/btcusdt@aggTrade")
    assert refused.value.status == 503
    async with client.session.ws_connect(f"{client.url}/ws/btcusdt@aggTrade") as socket:
        await client.admin("clock", advance_ms=600_000)
        assert await messages(socket, 1)


async def test_malformed_message_is_no_json(client: Client) -> None:
    async with client.session.ws_connect(f"{client.url}/ws/btcusdt@aggTrade") as socket:
        await client.admin("faults", kind="malformed")
        await client.admin("clock", advance_ms=600_000)
        text = await socket.receive_str(timeout=10)
    assert text.startswith('{"e":"aggTrade"')
    assert not text.endswith("}")


async def test_unknown_fault_is_refused_with_the_known_ones(client: Client) -> None:
    refused = await client.admin("faults", kind="earthquake")
    assert "unknown fault kind 'earthquake'; known: drop_before" in refused["error"]
    refused = await client.admin("faults", kind="drop", colour="red")
    assert refused == {"error": "unknown fault field colour"}


def test_probability_is_drawn_from_the_seed() -> None:
    def draw(seed: int) -> list[bool]:
        faults = Faults(seed)
        faults.add({"kind": "drop", "probability": 0.3, "times": 0})
        return [faults.for_message("btcusdt@aggTrade") is not None for _ in range(200)]

    assert draw(1) == draw(1) != draw(2)
    assert 30 < sum(draw(1)) < 90
    with pytest.raises(FaultError):
        Faults(1).add({"kind": "nothing"})
