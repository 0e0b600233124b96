"""The REST protocol: checks in Binance's order, codes and texts, orders from end to end."""

import asyncio
import time
from collections.abc import AsyncIterator
from decimal import Decimal as D
from typing import Any

import pytest

from simex.tests.support import BOB, START_MS, Client, running, stepped


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with running(stepped(symbols=("BTCUSDT", "XRPETH"))) as made:
        yield made


async def price(client: Client, symbol: str = "BTCUSDT") -> D:
    return D((await client.call("GET", "/api/v3/ticker/price", symbol=symbol)).body["price"])


def test_order(**changes: Any) -> dict[str, Any]:
    return {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.001", **changes}


test_order.__test__ = False  # type: ignore[attr-defined]  # a maker of parameters

BAD = [
    ({"symbol": "NOPE"}, -1121, "Invalid symbol."),
    ({"side": "HOLD"}, -1117, "Invalid side."),
    ({"type": "FANCY"}, -1116, "Invalid orderType."),
    ({"price": "1"}, -1106, "Parameter 'price' sent when not required."),
    ({"colour": "red"}, -1104, "Not all sent parameters were read; read '5' parameter(s) but was"),
    ({"type": "LIMIT", "price": "50000"}, -1102, "Mandatory parameter 'timeInForce' was not sent"),
    ({"quantity": ""}, -1102, "Mandatory parameter 'quantity' was not sent"),
    ({"quantity": "1e3"}, -1100, "Illegal characters found in parameter 'quantity'"),
    ({"quantity": "0.123456789"}, -1111, "Parameter 'quantity' has too much precision."),
    ({"newClientOrderId": "é"}, -1100, "Illegal characters found in parameter 'newClientOrderId'"),
    ({"quantity": "0.000015"}, -1013, "Filter failure: LOT_SIZE"),
    ({"quantity": "0"}, -1013, "Filter failure: LOT_SIZE"),
    ({"quantity": "0.00001"}, -1013, "Filter failure: NOTIONAL"),
    ({"quantity": "1"}, -2010, "Account has insufficient balance for requested action."),
    ({"side": "SELL"}, -2010, "Account has insufficient balance for requested action."),
    ({"stopPrice": "50000"}, -1106, "Parameter 'stopPrice' sent when not required."),
    ({"type": "STOP_LOSS"}, -1102, "Param 'stopPrice' or 'trailingDelta' must be sent"),
    ({"type": "STOP_LOSS", "stopPrice": "50000.001"}, -1013, "Filter failure: PRICE_FILTER"),
    ({"type": "STOP_LOSS", "stopPrice": "50000", "price": "1"}, -1106, "Parameter 'price' sent when"),
    ({"type": "STOP_LOSS", "stopPrice": "50000", "timeInForce": "GTC"}, -1106, "Parameter 'timeInForce'"),
    ({"type": "STOP_LOSS_LIMIT", "stopPrice": "50000", "price": "50000"}, -1102, "Mandatory parameter 'timeI"),
    ({"type": "STOP_LOSS", "stopPrice": "20000"}, -2010, "Stop price would trigger immediately."),
    ({"type": "TAKE_PROFIT", "stopPrice": "200000"}, -2010, "Stop price would trigger immediately."),
    ({"type": "STOP_LOSS", "trailingDelta": "100", "stopPrice": "1"}, -2010, "Trailing stop orders are not"),
]


@pytest.mark.parametrize(("changes", "code", "text"), BAD)
async def test_bad_order_is_refused_with_binance_code_and_text(
    client: Client, changes: dict[str, str], code: int, text: str
) -> None:
    answer = await client.signed("POST", "/api/v3/order", **test_order(**changes))
    assert (answer.status, answer.body["code"]) == (400, code)
    assert answer.body["msg"].startswith(text)
    assert (await client.ask("state"))["orders"] == 0
    assert (await client.ask("log"))[-1]["verdict"] == f"rejected {code}"


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("50000.001", "PRICE_FILTER"),
        ("2000000", "PRICE_FILTER"),
        ("1000", "PERCENT_PRICE_BY_SIDE"),
        ("900000", "PERCENT_PRICE_BY_SIDE"),
    ],
)
async def test_limit_price_outside_the_filters_is_refused(client: Client, wanted: str, name: str) -> None:
    answer = await client.order("BUY", "LIMIT", price=wanted, quantity="0.01", timeInForce="GTC")
    assert answer.body == {"code": -1013, "msg": f"Filter failure: {name}"}


async def test_signature_comes_before_timestamp_and_timestamp_before_parameters(
    client: Client,
) -> None:
    now_ms = time.time_ns() // 1_000_000
    order = test_order(colour="red")
    wrong = client.other(client.key, "not the secret")
    assert (await wrong.signed("POST", "/api/v3/order", timestamp=1, **order)).body["code"] == -1022
    assert (await client.signed("POST", "/api/v3/order", timestamp=1, **order)).body["code"] == -1021
    assert (await client.signed("POST", "/api/v3/order", **order)).body["code"] == -1104
    ahead = await client.signed("GET", "/api/v3/account", timestamp=now_ms + 5000)
    assert ahead.body == {
        "code": -1021,
        "msg": "Timestamp for this request was 1000ms ahead of the server's time.",
    }
    late = await client.signed("GET", "/api/v3/account", timestamp=now_ms - 7000)
    assert late.body["msg"] == "Timestamp for this request is outside of the recvWindow."
    kept = await client.signed("GET", "/api/v3/account", timestamp=now_ms - 7000, recvWindow=9000)
    assert kept.status == 200


async def test_missing_or_unknown_key_is_refused(client: Client) -> None:
    nobody = client.other("unknown", client.secret)
    answer = await nobody.signed("GET", "/api/v3/account")
    assert (answer.status, answer.body["code"]) == (401, -2015)
    answer = await client.other("", "x").signed("GET", "/api/v3/account")
    assert (answer.status, answer.body["code"]) == (401, -2014)
    answer = await client.call("GET", "/api/v3/account", timestamp=1)
    assert answer.body["code"] == -1102


async def test_market_order_by_quote_amount_is_filled_and_accounted(client: Client) -> None:
    answer = await client.order("BUY", "MARKET", quoteOrderQty="1000", newClientOrderId="abc")
    order = answer.body
    assert (answer.status, order["status"], order["clientOrderId"]) == (200, "FILLED", "abc")
    spent = sum(D(f["price"]) * D(f["qty"]) for f in order["fills"])
    assert spent == D(order["cummulativeQuoteQty"]) <= 1000
    assert order["transactTime"] == START_MS  # the market clock stamps
    account = (await client.signed("GET", "/api/v3/account")).body
    held = {b["asset"]: D(b["free"]) for b in account["balances"]}
    commission = sum(D(f["commission"]) for f in order["fills"])
    assert held["BTC"] == D(order["executedQty"]) - commission
    assert held["USDT"] == 10_000 - spent
    assert commission == sum((D(f["qty"]) * D("0.001")).quantize(D("1e-8"), "ROUND_DOWN") for f in order["fills"])
    trades = (await client.signed("GET", "/api/v3/myTrades", symbol="BTCUSDT")).body
    assert [t["id"] for t in trades] == [f["tradeId"] for f in order["fills"]]
    assert (await client.ask("state"))["conserved"] is True


async def test_limit_order_rests_is_found_and_cancelled(client: Client) -> None:
    low = (await price(client) * D("0.9")).quantize(D("0.01"))
    order = {"price": str(low), "quantity": "0.01", "timeInForce": "GTC", "newClientOrderId": "L1"}
    placed = (await client.order("BUY", "LIMIT", **order)).body
    assert (placed["status"], placed["fills"]) == ("NEW", [])
    again = await client.order("BUY", "LIMIT", **order)
    assert again.body == {"code": -2010, "msg": "Duplicate order sent."}
    path, by_name = "/api/v3/order", {"symbol": "BTCUSDT", "origClientOrderId": "L1"}
    found = (await client.signed("GET", path, **by_name)).body
    assert (found["orderId"], found["time"]) == (placed["orderId"], START_MS)
    bob = client.other(BOB.api_key, BOB.api_secret)
    assert (await bob.signed("GET", path, **by_name)).body["code"] == -2013
    assert (await bob.signed("DELETE", path, **by_name)).body["code"] == -2011
    opened = (await client.signed("GET", "/api/v3/openOrders")).body
    assert [o["clientOrderId"] for o in opened] == ["L1"]
    gone = (await client.signed("DELETE", path, **by_name)).body
    assert (gone["status"], gone["origClientOrderId"]) == ("CANCELED", "L1")
    assert (await client.signed("DELETE", path, **by_name)).body == {
        "code": -2011,
        "msg": "Unknown order sent.",
    }
    balances = (await client.signed("GET", "/api/v3/account")).body["balances"]
    assert balances == [{"asset": "USDT", "free": "10000.00000000", "locked": "0.00000000"}]


async def test_client_id_of_a_filled_order_is_accepted_again(client: Client) -> None:
    """As on Binance: sending a market order twice can execute it twice."""
    order = {"quantity": "0.001", "newClientOrderId": "same"}
    first = (await client.order("BUY", "MARKET", **order)).body
    second = (await client.order("BUY", "MARKET", **order)).body
    assert first["status"] == second["status"] == "FILLED"
    assert first["orderId"] != second["orderId"]


async def test_limit_maker_that_would_take_is_refused(client: Client) -> None:
    high = (await price(client) * D("1.01")).quantize(D("0.01"))
    answer = await client.order("BUY", "LIMIT_MAKER", price=str(high), quantity="0.001")
    assert answer.body == {"code": -2010, "msg": "Order would immediately match and take."}


async def test_resting_order_fills_when_the_market_comes_to_it(client: Client) -> None:
    now = await price(client)
    near = (now * D("0.9999")).quantize(D("0.01"))
    order = {"price": str(near), "quantity": "0.005", "timeInForce": "GTC"}
    placed = (await client.order("BUY", "LIMIT", **order)).body
    await client.admin("price", symbol="BTCUSDT", price=str(near * D("0.99")))
    await client.admin("clock", advance_ms=600_000)
    found = (await client.signed("GET", "/api/v3/order", symbol="BTCUSDT", orderId=placed["orderId"])).body
    assert found["status"] == "FILLED"
    (fill,) = (await client.signed("GET", "/api/v3/myTrades", symbol="BTCUSDT")).body
    assert (D(fill["price"]), fill["isMaker"]) == (near, True)
    assert START_MS < fill["time"] <= START_MS + 600_000


async def test_public_routes_go_by_the_market_clock_and_time_by_the_wall(client: Client) -> None:
    told = (await client.call("GET", "/api/v3/time")).body["serverTime"]
    assert abs(told - time.time_ns() // 1_000_000) < 5_000
    await client.admin("clock", advance_ms=120_000)
    now_ms = START_MS + 120_000
    trades = (await client.call("GET", "/api/v3/aggTrades", symbol="BTCUSDT", limit=1000)).body
    assert trades[-1]["T"] <= now_ms
    hidden = await client.call("GET", "/api/v3/aggTrades", symbol="BTCUSDT", fromId=trades[-1]["a"] + 1)
    assert hidden.body == []
    far = await client.call("GET", "/api/v3/aggTrades", symbol="BTCUSDT", fromId=10**15)
    assert far.body == []
    rows = (await client.call("GET", "/api/v3/klines", symbol="BTCUSDT", interval="1m", limit=3)).body
    assert [row[0] for row in rows] == [START_MS, START_MS + 60_000, START_MS + 120_000]
    history = await client.call(
        "GET", "/api/v3/klines", symbol="BTCUSDT", interval="1h", limit=2,
        startTime=1_516_000_000_000,
    )  # fmt: skip
    assert [row[0] for row in history.body] == [1_516_003_200_000, 1_516_006_800_000]
    assert (await client.call("GET", "/api/v3/klines", symbol="BTCUSDT", interval="10m")).body["code"] == -1120
    raw = (await client.call("GET", "/api/v3/trades", symbol="BTCUSDT", limit=50)).body
    assert [t["id"] for t in raw] == list(range(raw[0]["id"], raw[0]["id"] + 50))
    old = await client.call("GET", "/api/v3/historicalTrades", symbol="BTCUSDT", fromId=raw[0]["id"], limit=50)
    assert old.body == raw
    book = (await client.call("GET", "/api/v3/depth", symbol="BTCUSDT", limit=5)).body
    assert D(book["bids"][0][0]) < D(book["asks"][0][0])
    assert len(book["bids"]) == len(book["asks"]) == 5


async def test_unknown_path_is_404_logged_and_every_answer_names_the_run(client: Client) -> None:
    answer = await client.call("GET", "/api/v3/unknown")
    run = (await client.ask("run"))["run"]
    assert (answer.status, answer.headers["X-Simex-Run"]) == (404, run)
    assert (await client.ask("log", path="unknown"))[0]["verdict"] == "rejected -1099"


async def test_accounts_are_opened_funded_and_separate(client: Client) -> None:
    made = await client.admin("accounts")
    assert set(made) == {"account_id", "api_key", "api_secret"}
    other = client.other(made["api_key"], made["api_secret"])
    await client.admin("deposit", account_id=made["account_id"], asset="XRP", amount="50")
    balances = (await other.signed("GET", "/api/v3/account")).body["balances"]
    assert [(b["asset"], D(b["free"])) for b in balances] == [("USDT", D(10_000)), ("XRP", D(50))]
    second = await client.admin("accounts", deposits={"ETH": "2"})
    assert second["api_key"] != made["api_key"]
    refused = await client.admin("deposit", account_id="nobody", asset="XRP", amount="50")
    assert "unknown account" in refused["error"]
    refused = await client.admin("deposit", account_id="alice", asset="XRP", amount="-5")
    assert "not a positive amount" in refused["error"]


async def test_admin_refuses_web_pages(client: Client) -> None:
    address = f"{client.url}/__sim/accounts"
    async with client.session.post(address, headers={"Origin": "https://example.org"}) as got:
        assert got.status == 403
    assert set((await client.ask("state"))["balances"]) == {"alice", "bob", "house"}


async def test_same_script_gives_the_same_log_but_for_wall_fields() -> None:
    async def script() -> list[dict[str, Any]]:
        async with running(stepped(symbols=("BTCUSDT",))) as one:
            await one.order("BUY", "MARKET", quantity="0.01")
            await one.admin("clock", advance_ms=60_000)
            await one.order("SELL", "MARKET", quantity="0.005")
            await one.signed("GET", "/api/v3/myTrades", symbol="BTCUSDT")
            log: list[dict[str, Any]] = await one.ask("log")
            return [{k: v for k, v in entry.items() if k != "wall_ms"} for entry in log]

    first, second = await asyncio.gather(script(), script())
    assert first == second
    assert len(first) == 3
