"""The unmodified ccxt `binance` class works against simex by base address alone."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from simex.tests.support import ALICE, START_MS, Client, running, stepped

ccxt = pytest.importorskip("ccxt.async_support")
BTC = "BTC/USDT"


def moved(urls: Any, base: str) -> Any:
    """Return ccxt's addresses with simex's in place of the host."""
    if isinstance(urls, dict):
        return {name: moved(one, base) for name, one in urls.items()}
    return re.sub(r"^https://[^/]+", base, urls)


@asynccontextmanager
async def binance(client: Client, **options: Any) -> AsyncIterator[Any]:
    """Return a ccxt exchange that talks to simex with Alice's keys."""
    exchange = ccxt.binance(
        {
            "apiKey": ALICE.api_key,
            "secret": ALICE.api_secret,
            "timeout": 15_000,
            "enableRateLimit": False,
            "options": options,
        }
    )
    for name in ("api", "test"):
        exchange.urls[name] = moved(exchange.urls[name], client.url)
    try:
        yield exchange
    finally:
        await exchange.close()


SPOT = {
    "defaultType": "spot",
    "fetchMarkets": {"types": ["spot"]},
    "fetchCurrencies": False,
    "fetchMargins": False,
}


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with running(stepped(symbols=("BTCUSDT", "ETHUSDT", "XRPETH"))) as made:
        yield made


async def test_market_data_calls(client: Client) -> None:
    async with binance(client, **SPOT) as exchange:
        markets = await exchange.load_markets()
        assert set(markets) == {BTC, "ETH/USDT", "XRP/ETH"}
        assert markets["XRP/ETH"]["precision"] == {
            **markets["XRP/ETH"]["precision"], "amount": 0.1, "price": 1e-7,
        }  # fmt: skip
        assert markets[BTC]["limits"]["cost"]["min"] == 5.0
        log = await client.ask("log")
        assert [entry["path"] for entry in log] == ["/api/v3/exchangeInfo"]
        ticker = await exchange.fetch_ticker(BTC)
        assert ticker["bid"] < ticker["ask"]
        assert len(await exchange.fetch_tickers()) == 3
        candles = await exchange.fetch_ohlcv(BTC, "1m", limit=5)
        assert [row[0] for row in candles][-1] == START_MS
        trades = await exchange.fetch_trades(BTC, limit=10)
        assert len(trades) == 10
        book = await exchange.fetch_order_book(BTC, 5)
        assert book["bids"][0][0] == ticker["bid"]
        assert await exchange.fetch_time() > START_MS
        assert (await exchange.fetch_trading_fee(BTC))["taker"] == 0.001
        with pytest.raises(ccxt.BadRequest):
            await exchange.fetch_ohlcv(BTC, "10m")


async def test_load_markets_with_ccxt_defaults_and_a_key(client: Client) -> None:
    async with binance(client) as exchange:
        assert BTC in await exchange.load_markets()
        paths = {entry["path"] for entry in await client.ask("log")}
        assert {"/api/v3/exchangeInfo", "/sapi/v1/capital/config/getall"} <= paths
        assert [e for e in await client.ask("log") if e["status"] != 200] == []


async def test_orders_from_creation_to_their_trades(client: Client) -> None:
    async with binance(client, **SPOT) as exchange:
        await exchange.load_markets()
        last = (await exchange.fetch_ticker(BTC))["last"]
        name = "0" * 31 + "1"
        bought = await exchange.create_order(BTC, "market", "buy", None, None, {"cost": 500, "clientOrderId": name})
        assert (bought["status"], bought["clientOrderId"]) == ("closed", name)
        assert bought["cost"] <= 500
        sold = await exchange.create_order(BTC, "market", "sell", bought["filled"] / 2)
        assert sold["status"] == "closed"
        low = float(exchange.price_to_precision(BTC, last * 0.9))
        rest = await exchange.create_order(BTC, "limit", "buy", 0.01, low)
        assert rest["status"] == "open"
        assert [o["id"] for o in await exchange.fetch_open_orders(BTC)] == [rest["id"]]
        maker = await exchange.create_order(BTC, "limit", "buy", 0.01, low, {"postOnly": True})
        assert maker["type"] in ("limit", "limit_maker")
        found = await exchange.fetch_order(rest["id"], BTC)
        assert found["timestamp"] == START_MS
        again = await exchange.fetch_order(None, BTC, {"origClientOrderId": name})
        assert again["id"] == bought["id"]
        edited = await exchange.edit_order(rest["id"], BTC, "limit", "buy", 0.02, low)
        assert (edited["status"], edited["amount"]) == ("open", 0.02)
        assert (await exchange.cancel_order(edited["id"], BTC))["status"] == "canceled"
        assert len(await exchange.cancel_all_orders(BTC)) == 1
        closed = await exchange.fetch_closed_orders(BTC)
        assert {o["id"] for o in closed} == {bought["id"], sold["id"]}
        trades = await exchange.fetch_my_trades(BTC)
        assert {t["order"] for t in trades} == {bought["id"], sold["id"]}
        balance = await exchange.fetch_balance()
        held = sum(
            (Decimal(str(t["amount"])) if t["side"] == "buy" else -Decimal(str(t["amount"])))
            - (Decimal(str(t["fee"]["cost"])) if t["fee"]["currency"] == "BTC" else 0)
            for t in trades
        )
        assert Decimal(str(balance["BTC"]["total"])) == held
        assert balance["USDT"]["used"] == 0


async def test_refusals_become_the_expected_ccxt_errors(client: Client) -> None:
    async with binance(client, **SPOT) as exchange:
        await exchange.load_markets()
        last = (await exchange.fetch_ticker(BTC))["last"]
        with pytest.raises(ccxt.InsufficientFunds):
            await exchange.create_order(BTC, "market", "sell", 1)
        with pytest.raises(ccxt.BadRequest, match="NOTIONAL"):
            await exchange.create_order(BTC, "market", "buy", 0.00001)
        with pytest.raises(ccxt.OrderNotFound):
            await exchange.fetch_order("99", BTC)
        with pytest.raises(ccxt.OrderNotFound):
            await exchange.cancel_order("99", BTC)
        with pytest.raises(ccxt.InvalidOrder):
            await exchange.create_order(BTC, "limit", "buy", 0.01, last * 1.1, {"postOnly": True})
        with pytest.raises(ccxt.InvalidOrder, match="trigger immediately"):
            await exchange.create_order(BTC, "market", "sell", 0.01, None, {"stopLossPrice": last * 1.1})
        with pytest.raises(ccxt.BadRequest, match="aboveType"):
            await exchange.private_post_orderlist_oco({"symbol": "BTCUSDT", "side": "SELL", "quantity": "1"})
        await client.admin("faults", kind="rate_limit", params={"retry_after": 1})
        with pytest.raises(ccxt.DDoSProtection):
            await exchange.fetch_ticker(BTC)
        await client.admin("faults", kind="drop_after", method="POST")
        with pytest.raises(ccxt.NetworkError):
            await exchange.create_order(BTC, "market", "buy", 0.001)
        exchange.secret = "wrong"
        with pytest.raises((ccxt.AuthenticationError, ccxt.DDoSProtection)):
            await exchange.fetch_balance()


async def test_stop_orders_by_their_unified_parameters(client: Client) -> None:
    async with binance(client, **SPOT) as exchange:
        await exchange.load_markets()
        last = (await exchange.fetch_ticker(BTC))["last"]
        await exchange.create_order(BTC, "market", "buy", 0.05)
        low = float(exchange.price_to_precision(BTC, last * 0.98))
        high = float(exchange.price_to_precision(BTC, last * 1.02))
        loss = await exchange.create_order(BTC, "market", "sell", 0.01, None, {"stopLossPrice": low})
        gain = await exchange.create_order(BTC, "limit", "sell", 0.01, high, {"takeProfitPrice": high})
        entry = await exchange.create_order(BTC, "limit", "buy", 0.001, high, {"triggerPrice": high})
        found = [await exchange.fetch_order(o["id"], BTC) for o in (loss, gain, entry)]
        assert [o["info"]["type"] for o in found] == ["STOP_LOSS", "TAKE_PROFIT_LIMIT", "STOP_LOSS_LIMIT"]
        assert [(o["status"], o["triggerPrice"]) for o in found] == [("open", p) for p in (low, high, high)]
        balance = await exchange.fetch_balance()
        assert (balance["BTC"]["used"], balance["USDT"]["used"]) == (0.02, round(0.001 * high, 8))
        moved = await exchange.edit_order(loss["id"], BTC, "market", "sell", 0.02, None, {"stopPrice": low})
        assert (await exchange.fetch_order(loss["id"], BTC))["status"] == "canceled"
        await client.admin("price", symbol="BTCUSDT", price=str(last * 0.97))
        await client.admin("clock", advance_ms=600_000)
        sold = await exchange.fetch_order(moved["id"], BTC)
        assert (sold["status"], sold["filled"]) == ("closed", 0.02)
        assert (await exchange.fetch_order(gain["id"], BTC))["status"] == "open"
        assert (await exchange.cancel_order(gain["id"], BTC))["status"] == "canceled"
        assert (await client.ask("state"))["conserved"]


async def test_one_cancels_the_other_by_the_raw_call(client: Client) -> None:
    async with binance(client, **SPOT) as exchange:
        await exchange.load_markets()
        last = (await exchange.fetch_ticker(BTC))["last"]
        await exchange.create_order(BTC, "market", "buy", 0.05)
        up, down = (exchange.price_to_precision(BTC, last * ratio) for ratio in (1.02, 0.98))
        legs = {"aboveType": "LIMIT_MAKER", "abovePrice": up, "belowType": "STOP_LOSS", "belowStopPrice": down}
        made = await exchange.private_post_orderlist_oco(
            {"symbol": "BTCUSDT", "side": "SELL", "quantity": "0.02", "listClientOrderId": "pair", **legs}
        )
        assert (await exchange.fetch_balance())["BTC"]["used"] == 0.02
        opened = await exchange.fetch_open_orders(BTC)
        assert [one["info"]["type"] for one in opened] == ["LIMIT_MAKER", "STOP_LOSS"]
        found = await exchange.private_get_orderlist({"orderListId": made["orderListId"]})
        assert found["listOrderStatus"] == "EXECUTING"
        await client.admin("price", symbol="BTCUSDT", price=str(last * 0.97))
        await client.admin("clock", advance_ms=600_000)
        orders = [await exchange.fetch_order(one["orderId"], BTC) for one in made["orders"]]
        assert [one["status"] for one in orders] == ["expired", "closed"]
        found = await exchange.private_get_orderlist({"origClientOrderId": "pair"})
        assert found["listOrderStatus"] == "ALL_DONE"


async def test_own_orders_are_watched_over_the_websocket_api(client: Client) -> None:
    pro = pytest.importorskip("ccxt.pro")
    exchange = pro.binance({"apiKey": ALICE.api_key, "secret": ALICE.api_secret, "options": SPOT})
    for name in ("api", "test"):
        exchange.urls[name] = moved(exchange.urls[name], client.url)
    exchange.urls["api"]["ws"]["ws-api"]["spot"] = client.url.replace("http", "ws", 1) + "/ws-api/v3"
    try:
        await exchange.load_markets()
        await exchange.authenticate({"type": "spot"})
        watching = asyncio.create_task(exchange.watch_orders(BTC))
        async with asyncio.timeout(20):
            order = await exchange.create_order(BTC, "limit", "buy", 0.01, 40_000)
            (seen,) = await watching
        assert (seen["id"], seen["status"], seen["price"]) == (order["id"], "open", 40_000)
        watching = asyncio.create_task(exchange.watch_orders(BTC))
        await exchange.cancel_order(order["id"], BTC)
        async with asyncio.timeout(20):
            (seen,) = await watching
        assert (seen["id"], seen["status"]) == (order["id"], "canceled")
        assert seen["clientOrderId"] == order["clientOrderId"]
    finally:
        await exchange.close()
