"""The rarer troubles: late messages, silent servers, lying candles, halts, orders unknown for a while."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from simex.market.symbols import plausible_rules
from simex.market.tradelog import TradeLog
from simex.market.walk import MINUTE_MS, Silence, Walk
from simex.simulation import Simulation
from simex.tests.support import START_MS, WITHIN_S, Client, messages, running, serving, stepped


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with running(stepped(symbols=("BTCUSDT",))) as made:
        yield made


async def test_delayed_message_comes_after_the_ones_it_was_sent_before(client: Client) -> None:
    async with client.session.ws_connect(f"{client.url}/ws/btcusdt@aggTrade") as socket:
        await client.admin("faults", kind="delay", nth=2, params={"ms": 300})
        await client.admin("clock", advance_ms=600_000)
        known = (await client.call("GET", "/api/v3/aggTrades", symbol="BTCUSDT", limit=1000)).body
        sent = [t["a"] for t in known if t["T"] > START_MS]
        ids = [m["a"] for m in await messages(socket, len(sent))]
    assert len(sent) > 5
    assert ids == [sent[0], *sent[2:], sent[1]]


async def test_server_without_pings_keeps_the_connection(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simex.api.ws.PING_EVERY_S", 0.02)
    await client.admin("faults", kind="no_pings", times=5)
    async with client.session.ws_connect(f"{client.url}/ws/btcusdt@aggTrade", autoping=False) as socket:
        assert (await socket.receive(timeout=WITHIN_S)).type == aiohttp.WSMsgType.PING
        (fault,) = await client.ask("faults")
        assert fault["fired"] == 5  # five were kept before the one that came


async def test_only_a_closed_candle_disagrees_with_its_trades(client: Client) -> None:
    async with client.session.ws_connect(f"{client.url}/ws/btcusdt@kline_1m") as socket:
        await client.admin("faults", kind="wrong_kline", params={"ratio": "1.5"})
        await client.admin("clock", advance_ms=240_000)
        candles: list[Any] = []
        while len(candles) < 2:
            candles += [m["k"] for m in await messages(socket, 1) if m["k"]["x"]]
    rows = (
        await client.call("GET", "/api/v3/klines", symbol="BTCUSDT", interval="1m", startTime=candles[0]["t"])
    ).body
    true_close = D(rows[0][4])
    assert D(candles[0]["c"]) == D(candles[0]["h"]) == (true_close * D("1.5")).quantize(D("1e-8"))
    assert [candles[1][name] for name in "ohlcv"] == rows[1][1:6]


async def test_halted_market_has_no_trade_no_kline_and_takes_no_order(client: Client) -> None:
    await client.admin("clock", advance_ms=30_000)
    url = f"{client.url}/stream?streams=btcusdt@aggTrade/btcusdt@kline_1m"
    async with client.session.ws_connect(url) as socket:
        halted = await client.admin("halt", symbol="BTCUSDT", ms=150_000)
        first, last = START_MS + 60_000, START_MS + 240_000  # whole minutes: three of them
        assert (halted["from"], halted["to"]) == (first, last)
        await client.admin("clock", to=first + 90_000)
        refused = await client.order("BUY", "MARKET", quantity="0.001")
        assert refused.body == {"code": -1013, "msg": "Market is closed."}
        await client.admin("clock", to=last + 600_000)
        assert (await client.order("BUY", "MARKET", quantity="0.001")).status == 200
        events: list[Any] = []
        while not events or events[-1].get("k", {}).get("t", 0) < last + 300_000:
            events += await messages(socket, 1)
    trades = [event for event in events if event["e"] == "aggTrade"]
    assert [t for t in trades if first <= t["T"] < last] == []
    assert [t["a"] for t in trades] == list(range(trades[0]["a"], trades[0]["a"] + len(trades)))
    candles = [event["k"] for event in events if event["e"] == "kline"]
    assert {k["t"] for k in candles if k["x"]} >= {START_MS, last, last + 60_000}
    assert [k for k in candles if first <= k["t"] < last] == []
    found = await client.call("GET", "/api/v3/aggTrades", symbol="BTCUSDT", startTime=first, endTime=last - 1)
    assert found.body == []


async def test_halt_survives_a_kill(tmp_path: Path) -> None:
    options = stepped(symbols=("BTCUSDT",), data_dir=tmp_path)
    query = {"symbol": "BTCUSDT", "limit": 50}
    async with running(options) as client:
        await client.admin("halt", symbol="BTCUSDT", ms=120_000)
        await client.admin("clock", advance_ms=90_000)
    async with serving(Simulation(options)) as client:
        refused = await client.order("BUY", "MARKET", quantity="0.001")
        assert refused.body["msg"] == "Market is closed."
        await client.admin("clock", advance_ms=600_000)
        after = (await client.call("GET", "/api/v3/aggTrades", **query)).body
    async with serving(Simulation(options)) as client:
        assert (await client.call("GET", "/api/v3/aggTrades", **query)).body == after


def test_silence_takes_trades_out_of_its_minutes_only_and_ids_close_up() -> None:
    shape = plausible_rules("BTCUSDT").walk_shape()
    plain, halted = (Walk(7, "BTCUSDT", shape) for _ in range(2))
    first, last = START_MS + 10 * MINUTE_MS, START_MS + 25 * MINUTE_MS
    before = TradeLog(halted).between(START_MS, first, 10_000)  # asked for before the halt is known
    halted.add_silence(Silence(first, last))
    end = START_MS + 3 * 86_400_000
    expected = TradeLog(plain).between(START_MS, end, 10**6)
    found = TradeLog(halted).between(START_MS, end, 10**6)
    assert found[: len(before)] == before == expected[: len(before)]
    ids = [trade.agg_id for trade in found]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert [t.time_ms for t in found] == [t.time_ms for t in expected if not first <= t.time_ms < last]
    halted.clear_silences()
    assert TradeLog(halted).between(START_MS, end, 10**6) == expected


async def test_new_order_is_unknown_for_a_while_then_found() -> None:
    now = [1_600_000_000_000]
    sim = Simulation(stepped(symbols=("BTCUSDT",)), wall=lambda: now[0])
    async with serving(sim) as client:
        await client.admin("faults", kind="hide_order", method="POST", path="/order", params={"ms": 2000})
        order = {"price": "50000", "quantity": "0.01", "timeInForce": "GTC", "newClientOrderId": "late"}
        placed = await client.signed(
            "POST", "/api/v3/order", timestamp=now[0], symbol="BTCUSDT", side="BUY", type="LIMIT", **order
        )
        assert placed.body["status"] == "NEW"
        by_name = {"symbol": "BTCUSDT", "origClientOrderId": "late"}
        asked = [("GET", "order", by_name, -2013), ("DELETE", "order", by_name, -2011)]
        lists = ("openOrders", "allOrders")
        for moment, hidden in ((now[0] + 1_999, True), (now[0] + 2_000, False)):
            now[0] = moment
            for name in lists:
                found = await client.signed("GET", f"/api/v3/{name}", timestamp=now[0], symbol="BTCUSDT")
                assert len(found.body) == (0 if hidden else 1)
            for method, name, params, code in asked:
                answer = await client.signed(method, f"/api/v3/{name}", timestamp=now[0], **params)
                assert answer.body.get("code") == (code if hidden else None)


async def test_replacement_refused_after_the_cancellation_is_409(client: Client) -> None:
    order = {"price": "50000", "quantity": "0.01", "timeInForce": "GTC"}
    placed = (await client.order("BUY", "LIMIT", **order)).body
    await client.admin("faults", kind="refuse_replacement", path="/order/cancelReplace")
    answer = await client.signed(
        "POST", "/api/v3/order/cancelReplace", symbol="BTCUSDT", side="BUY", type="LIMIT", **order,
        cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=placed["orderId"],
    )  # fmt: skip
    assert (answer.status, answer.body["code"]) == (409, -2021)
    assert answer.body["data"]["newOrderResponse"]["code"] == -2010
    assert (await client.signed("GET", "/api/v3/openOrders")).body == []
    assert (await client.ask("log"))[-2]["verdict"] == "rejected -2021"


async def test_key_loses_its_rights_as_binance_says_it(client: Client) -> None:
    await client.admin("faults", kind="binance_error", account="alice", times=0, params={"code": -2015})
    answers = await asyncio.gather(
        client.signed("GET", "/api/v3/account"), client.order("BUY", "MARKET", quantity="0.001")
    )
    text = "Invalid API-key, IP, or permissions for action."
    assert [(one.status, one.body) for one in answers] == [(401, {"code": -2015, "msg": text})] * 2
