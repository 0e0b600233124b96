"""The user-data stream over the WebSocket API: who hears what, in Binance's shapes."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal as D
from typing import Any

import aiohttp
import orjson
import pytest

from simex.api.signing import sign
from simex.tests.support import BOB, START_MS, Client, running, stepped

SUBSCRIBE = "userDataStream.subscribe.signature"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with running(stepped(symbols=("BTCUSDT",))) as made:
        yield made


def signed(client: Client, **changes: Any) -> dict[str, Any]:
    params = {"apiKey": client.key, "timestamp": time.time_ns() // 1_000_000, **changes}
    text = "&".join(f"{name}={params[name]}" for name in sorted(params))
    return {**params, "signature": sign(text, client.secret)}


async def ask(socket: aiohttp.ClientWebSocketResponse, method: str, params: Any = None) -> dict[str, Any]:
    await socket.send_json({"id": "7", "method": method, "params": params or {}})
    answer: dict[str, Any] = await socket.receive_json(timeout=10)
    assert answer.pop("id") == "7"
    return answer


@asynccontextmanager
async def following(client: Client) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with client.session.ws_connect(f"{client.url}/ws-api/v3") as socket:
        answer = await ask(socket, SUBSCRIBE, signed(client))
        assert answer == {"status": 200, "result": {"subscriptionId": 0}}
        yield socket


async def heard(socket: aiohttp.ClientWebSocketResponse, last: str) -> list[dict[str, Any]]:
    """Read events until one of kind `last`."""
    events: list[dict[str, Any]] = []
    while not events or events[-1]["e"] != last:
        message = orjson.loads(await socket.receive_str(timeout=10))
        assert message["subscriptionId"] == 0
        events.append(message["event"])
    return events


def told(events: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Return (type, execution, status) of the reports, (list, status) of the lists."""
    found = []
    for event in events:
        if event["e"] == "executionReport":
            found.append((event["o"], event["x"], event["X"]))
        elif event["e"] == "listStatus":
            found.append(("list", event["l"], event["L"]))
    return found


async def last_price(client: Client) -> D:
    return D((await client.call("GET", "/api/v3/ticker/price", symbol="BTCUSDT")).body["price"])


async def test_market_order_is_told_as_new_then_traded_then_the_balances(client: Client) -> None:
    async with following(client) as socket:
        placed = (await client.order("BUY", "MARKET", quantity="0.001", newClientOrderId="mine")).body
        new, traded, position = await heard(socket, "outboundAccountPosition")
    (fill,) = placed["fills"]
    assert (new["x"], new["X"], new["c"], new["C"], new["t"], new["N"]) == ("NEW", "NEW", "mine", "", -1, None)
    assert traded == {
        "e": "executionReport", "E": START_MS, "s": "BTCUSDT", "c": "mine", "S": "BUY", "o": "MARKET",
        "f": "GTC", "q": "0.00100000", "p": "0.00000000", "P": "0.00000000", "F": "0.00000000", "g": -1,
        "C": "", "x": "TRADE", "X": "FILLED", "r": "NONE", "i": placed["orderId"], "l": fill["qty"],
        "z": "0.00100000", "L": fill["price"], "n": fill["commission"], "N": "BTC", "T": START_MS,
        "t": fill["tradeId"], "I": fill["tradeId"], "w": False, "m": False, "M": False, "O": START_MS,
        "Z": placed["cummulativeQuoteQty"], "Y": placed["cummulativeQuoteQty"], "Q": "0.00000000",
        "V": "EXPIRE_MAKER", "W": START_MS,
    }  # fmt: skip
    assert (position["E"], position["u"]) == (START_MS, START_MS)
    account = (await client.signed("GET", "/api/v3/account")).body
    balances = [{"a": b["asset"], "f": b["free"], "l": b["locked"]} for b in account["balances"]]
    assert position["B"] == balances


async def test_stop_is_told_when_placed_woken_and_traded(client: Client) -> None:
    await client.order("BUY", "MARKET", quantity="0.1")
    low = str((await last_price(client) * D("0.99")).quantize(D("0.01")))
    async with following(client) as socket:
        await client.order("SELL", "STOP_LOSS", stopPrice=low, quantity="0.01")
        placed, _ = await heard(socket, "outboundAccountPosition")
        assert (placed["x"], placed["w"], placed["P"], "W" in placed) == ("NEW", False, f"{D(low):.8f}", False)
        await client.admin("price", symbol="BTCUSDT", price=str(D(low) * D("0.98")))
        await client.admin("clock", advance_ms=600_000)
        events = await heard(socket, "outboundAccountPosition")
    assert told(events)[0] == ("STOP_LOSS", "NEW", "NEW")
    assert events[0]["W"] == events[0]["T"] > START_MS
    assert told(events)[-1] == ("STOP_LOSS", "TRADE", "FILLED")


async def test_list_is_told_with_the_leg_that_ends(client: Client) -> None:
    await client.order("BUY", "MARKET", quantity="0.1")
    last = await last_price(client)
    up, down = (str((last * D(ratio)).quantize(D("0.01"))) for ratio in ("1.01", "0.99"))
    pair = {
        "symbol": "BTCUSDT", "side": "SELL", "quantity": "0.01", "listClientOrderId": "pair",
        "aboveType": "LIMIT_MAKER", "abovePrice": up, "belowType": "STOP_LOSS", "belowStopPrice": down,
    }  # fmt: skip
    async with following(client) as socket:
        await client.signed("POST", "/api/v3/orderList/oco", **pair)
        events = await heard(socket, "outboundAccountPosition")
        assert told(events) == [
            ("LIMIT_MAKER", "NEW", "NEW"), ("STOP_LOSS", "NEW", "NEW"), ("list", "EXEC_STARTED", "EXECUTING"),
        ]  # fmt: skip
        begun = events[2]
        assert (begun["c"], begun["C"], begun["r"], len(begun["O"])) == ("OCO", "pair", "NONE", 2)
        assert {event["g"] for event in events[:3]} == {1}
        await client.admin("price", symbol="BTCUSDT", price=str(last * D("0.97")))
        await client.admin("clock", advance_ms=600_000)
        events = await heard(socket, "outboundAccountPosition")
    assert told(events)[:2] == [("LIMIT_MAKER", "EXPIRED", "EXPIRED"), ("STOP_LOSS", "NEW", "NEW")]
    assert told(events)[-2:] == [("STOP_LOSS", "TRADE", "FILLED"), ("list", "ALL_DONE", "ALL_DONE")]


async def test_cancellation_names_the_order_it_ended(client: Client) -> None:
    order = {"price": "50000", "quantity": "0.01", "timeInForce": "GTC", "newClientOrderId": "mine"}
    await client.order("BUY", "LIMIT", **order)
    async with following(client) as socket:
        await client.signed("DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="mine")
        gone, _ = await heard(socket, "outboundAccountPosition")
    assert (gone["x"], gone["X"], gone["C"], gone["w"]) == ("CANCELED", "CANCELED", "mine", False)


async def test_another_account_hears_nothing(client: Client) -> None:
    bob = client.other(BOB.api_key, BOB.api_secret)
    async with following(bob) as socket:
        await client.order("BUY", "MARKET", quantity="0.001")
        assert await ask(socket, "ping") == {"status": 200, "result": {}}  # the next message is the answer
        await bob.order("BUY", "MARKET", quantity="0.002")
        events = await heard(socket, "outboundAccountPosition")
        assert {event["q"] for event in events[:-1]} == {"0.00200000"}
        assert await ask(socket, "userDataStream.unsubscribe") == {"status": 200, "result": {}}
        await bob.order("BUY", "MARKET", quantity="0.002")
        assert (await ask(socket, "time"))["status"] == 200


async def test_subscription_needs_a_known_key_a_signature_and_the_time(client: Client) -> None:
    nobody = client.other("unknown", "secret")
    wrong = client.other(client.key, "wrong")
    async with client.session.ws_connect(f"{client.url}/ws-api/v3") as socket:
        answers = [
            await ask(socket, SUBSCRIBE, signed(nobody)),
            await ask(socket, SUBSCRIBE, signed(wrong)),
            await ask(socket, SUBSCRIBE, signed(client, timestamp=1)),
            await ask(socket, "order.place"),
        ]
    assert [one["error"]["code"] for one in answers] == [-2015, -1022, -1021, -1020]
    log = await client.ask("log", method="WS")
    assert [one["verdict"] for one in log] == [f"rejected {code}" for code in (-2015, -1022, -1021, -1020)]


async def test_event_is_dropped_by_a_fault_on_its_kind(client: Client) -> None:
    async with following(client) as socket:
        await client.admin("faults", kind="drop", stream="alice@executionReport", nth=2)
        await client.order("BUY", "MARKET", quantity="0.001")
        assert told(await heard(socket, "outboundAccountPosition")) == [("MARKET", "NEW", "NEW")]
