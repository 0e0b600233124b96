"""One cancels the other: one lock for two orders, and only one of them is ever executed."""

from collections.abc import AsyncIterator
from decimal import Decimal as D
from typing import Any

import pytest

from simex.engine.exchange import Exchange
from simex.engine.filters import OrderRequest
from simex.engine.lists import OcoRequest, OrderList
from simex.engine.orders import Order
from simex.tests.support import Client, running, stepped
from simex.tests.test_stops import exchange as exchange  # the same market, as a fixture
from simex.tests.test_stops import held, stop, trade

PATH = "/api/v3/orderList/oco"


def maker(side: str, price: str, quantity: str) -> OrderRequest:
    return OrderRequest("BTCUSDT", side, "LIMIT_MAKER", "GTC", D(price), D(quantity), D(0), None, "FULL")


def sale(exchange: Exchange, quantity: str = "0.1") -> tuple[OrderList, Order, Order]:
    """Sell at 51000, or at market when the price falls to 49000."""
    legs = maker("SELL", "51000", quantity), stop("SELL", "STOP_LOSS", "49000", quantity)
    made = exchange.place_oco("alice", OcoRequest(*legs, "pair"))
    above, below = (exchange.orders[one] for one in made.order_ids)
    return made, above, below


def test_both_legs_lock_the_quantity_once(exchange: Exchange) -> None:
    made, above, below = sale(exchange, "0.8")
    assert held(exchange, "BTC") == (D("0.2"), D("0.8"))
    assert (above.working, below.working, made.done) == (True, False, False)
    exchange.cancel("alice", below)
    assert (above.status, below.status, made.done) == ("CANCELED", "CANCELED", True)
    assert held(exchange, "BTC") == (D(1), D(0))


def test_part_of_a_fill_ends_the_stop_and_the_rest_keeps_its_lock(exchange: Exchange) -> None:
    made, above, below = sale(exchange)
    exchange.on_trade("BTCUSDT", trade("51000", "0.03", 2))
    assert (above.status, above.executed) == ("PARTIALLY_FILLED", D("0.03"))
    assert (below.status, made.done) == ("EXPIRED", False)
    assert held(exchange, "BTC") == (D("0.9"), D("0.07"))
    exchange.on_trade("BTCUSDT", trade("48000", "1", 3))  # the stop is gone: nothing
    assert below.executed == D(0)
    exchange.on_trade("BTCUSDT", trade("51000.01", "1", 4))
    assert (above.status, made.done) == ("FILLED", True)
    assert held(exchange, "BTC") == (D("0.9"), D(0))


def test_woken_stop_ends_the_limit_and_sells_once(exchange: Exchange) -> None:
    made, above, below = sale(exchange)
    fills = exchange.on_trade("BTCUSDT", trade("49000", "1", 2))
    assert {fill.order_id for fill in fills} == {below.order_id}
    assert (above.status, below.status, made.done) == ("EXPIRED", "FILLED", True)
    assert held(exchange, "BTC") == (D("0.9"), D(0))
    assert exchange.on_trade("BTCUSDT", trade("52000", "9", 3)) == []
    exchange.ledger.check()


def test_purchase_locks_for_its_dearer_leg(exchange: Exchange) -> None:
    # buy at 49000, or when it rises to 51000 at 51500 at most: 0.1 x 51500 = 5150
    legs = stop("BUY", "STOP_LOSS_LIMIT", "51000", "0.1", "51500"), maker("BUY", "49000", "0.1")
    exchange.place_oco("alice", OcoRequest(*legs, None))
    assert held(exchange, "USDT") == (D(4850), D(5150))
    exchange.on_trade("BTCUSDT", trade("48999", "1", 2))  # the cheap leg is filled: 4900
    assert held(exchange, "USDT") == (D(5100), D(0))
    exchange.ledger.check()


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with running(stepped(symbols=("BTCUSDT",))) as made:
        await made.order("BUY", "MARKET", quantity="0.1")
        yield made


async def params(client: Client, **changes: str) -> dict[str, str]:
    last = D((await client.call("GET", "/api/v3/ticker/price", symbol="BTCUSDT")).body["price"])
    up, down = (str((last * D(ratio)).quantize(D("0.01"))) for ratio in ("1.02", "0.98"))
    wanted = {
        "symbol": "BTCUSDT", "side": "SELL", "quantity": "0.05", "listClientOrderId": "pair",
        "aboveType": "LIMIT_MAKER", "abovePrice": up, "aboveClientOrderId": "up",
        "belowType": "STOP_LOSS_LIMIT", "belowStopPrice": down, "belowPrice": down,
        "belowTimeInForce": "GTC", "belowClientOrderId": "down", **changes,
    }  # fmt: skip
    return {name: value for name, value in wanted.items() if value}


async def test_list_is_placed_shown_and_cancelled_whole(client: Client) -> None:
    placed = (await client.signed("POST", PATH, **await params(client))).body
    names = ("contingencyType", "listStatusType", "listOrderStatus", "listClientOrderId")
    assert [placed[name] for name in names] == ["OCO", "EXEC_STARTED", "EXECUTING", "pair"]
    assert [order["clientOrderId"] for order in placed["orders"]] == ["up", "down"]
    reports = {one["clientOrderId"]: one for one in placed["orderReports"]}
    assert (reports["up"]["type"], reports["down"]["type"]) == ("LIMIT_MAKER", "STOP_LOSS_LIMIT")
    assert reports["down"]["workingTime"] == -1
    number = {"orderListId": placed["orderListId"]}
    shown = (await client.signed("GET", "/api/v3/orderList", **number)).body
    assert shown == {name: value for name, value in placed.items() if name != "orderReports"}
    assert (await client.signed("GET", "/api/v3/openOrderList")).body == [shown]
    opened = (await client.signed("GET", "/api/v3/openOrders", symbol="BTCUSDT")).body
    assert [one["orderListId"] for one in opened] == [placed["orderListId"]] * 2
    gone = (await client.signed("DELETE", "/api/v3/orderList", symbol="BTCUSDT", **number)).body
    assert [one["status"] for one in gone["orderReports"]] == ["CANCELED", "CANCELED"]
    assert gone["listOrderStatus"] == "ALL_DONE"
    again = await client.signed("DELETE", "/api/v3/orderList", symbol="BTCUSDT", **number)
    assert again.body["code"] == -2011
    assert (await client.signed("GET", "/api/v3/orderList", orderListId=99)).body["code"] == -2018
    state = await client.ask("state")
    assert (state["open_orders"], state["conserved"]) == ([], True)


async def test_cancelling_all_the_orders_of_a_symbol_tells_of_the_list_once(client: Client) -> None:
    await client.signed("POST", PATH, **await params(client))
    answer = (await client.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSDT")).body
    assert [one["listClientOrderId"] for one in answer] == ["pair"]


UNFIT = {"belowType": "MARKET", "belowPrice": "", "belowStopPrice": "", "belowTimeInForce": ""}


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"abovePrice": "20000"}, -2010, "The relationship of the prices for the orders is not correct."),
        ({"belowStopPrice": "200000"}, -2010, "The relationship of the prices for the orders is not correct."),
        ({"side": "BUY"}, -2010, "The relationship of the prices for the orders is not correct."),
        ({"quantity": "0.5"}, -2010, "Account has insufficient balance for requested action."),
        ({"aboveClientOrderId": "down"}, -2010, "Duplicate order sent."),
        ({"belowStopPrice": ""}, -1102, "Param 'belowStopPrice' or 'belowTrailingDelta' must be sent"),
        ({"belowTimeInForce": ""}, -1102, "Mandatory parameter 'belowTimeInForce' was not sent"),
        ({"aboveTimeInForce": "GTC"}, -1106, "Parameter 'aboveTimeInForce' sent when not required."),
        (UNFIT, -2010, "A parameter for one of the orders is incorrect."),
    ],
)
async def test_bad_list_is_refused_whole(client: Client, changes: dict[str, str], code: int, text: str) -> None:
    before: Any = await client.ask("state")
    answer = await client.signed("POST", PATH, **await params(client, **changes))
    assert (answer.status, answer.body["code"]) == (400, code)
    assert answer.body["msg"].startswith(text)
    assert await client.ask("state") == before


async def test_same_list_again_is_a_duplicate_while_it_is_open(client: Client) -> None:
    wanted = await params(client, aboveClientOrderId="", belowClientOrderId="", quantity="0.01")
    assert (await client.signed("POST", PATH, **wanted)).status == 200
    assert (await client.signed("POST", PATH, **wanted)).body["msg"] == "Duplicate order sent."
