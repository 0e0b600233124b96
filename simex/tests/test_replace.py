"""cancelReplace: each combination of outcomes, in both modes."""

from collections.abc import AsyncIterator
from decimal import Decimal as D
from typing import Any

import pytest

from simex.tests.support import Answer, Client, running, stepped

PATH = "/api/v3/order/cancelReplace"
TOO_DEAR = {"quantity": "90"}  # within the filters, beyond the 10,000 USDT of the account


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with running(stepped(symbols=("BTCUSDT",))) as made:
        yield made


async def low(client: Client) -> str:
    last = (await client.call("GET", "/api/v3/ticker/price", symbol="BTCUSDT")).body["price"]
    return str((D(last) * D("0.9")).quantize(D("0.01")))


async def resting(client: Client, **changes: str) -> Any:
    order = {"price": await low(client), "quantity": "0.01", "timeInForce": "GTC", **changes}
    return (await client.order("BUY", "LIMIT", **order)).body


async def replace(client: Client, order_id: int, mode: str = "STOP_ON_FAILURE", **changes: str) -> Answer:
    change = {
        "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.02",
        "price": await low(client), "cancelReplaceMode": mode, "cancelOrderId": order_id, **changes,
    }  # fmt: skip
    return await client.signed("POST", PATH, **change)


async def opened(client: Client) -> list[str]:
    found = (await client.signed("GET", "/api/v3/openOrders", symbol="BTCUSDT")).body
    return [order["origQty"] for order in found]


# is the old order there?, mode, change -> status, code, cancelled?, placed?, quantities then open
TABLE = [
    (True, "STOP_ON_FAILURE", {}, 200, None, "SUCCESS", "SUCCESS", ["0.02000000"]),
    (True, "STOP_ON_FAILURE", TOO_DEAR, 409, -2021, "SUCCESS", "FAILURE", []),
    (True, "ALLOW_FAILURE", TOO_DEAR, 409, -2021, "SUCCESS", "FAILURE", []),
    (False, "STOP_ON_FAILURE", {}, 400, -2022, "FAILURE", "NOT_ATTEMPTED", []),
    (False, "ALLOW_FAILURE", {}, 409, -2021, "FAILURE", "SUCCESS", ["0.02000000"]),
    (False, "ALLOW_FAILURE", TOO_DEAR, 400, -2022, "FAILURE", "FAILURE", []),
]


@pytest.mark.parametrize(("there", "mode", "change", "status", "code", "cancelled", "placed", "left"), TABLE)
async def test_outcomes_of_both_halves_are_told(
    client: Client,
    there: bool,
    mode: str,
    change: dict[str, str],
    status: int,
    code: int | None,
    cancelled: str,
    placed: str,
    left: list[str],
) -> None:
    order_id = (await resting(client))["orderId"] if there else 99
    answer = await replace(client, order_id, mode, **change)
    assert (answer.status, answer.body.get("code")) == (status, code)
    detail = answer.body if status == 200 else answer.body["data"]
    assert (detail["cancelResult"], detail["newOrderResult"]) == (cancelled, placed)
    if placed == "FAILURE":
        assert detail["newOrderResponse"]["code"] == -2010
    if cancelled == "FAILURE":
        assert detail["cancelResponse"] == {"code": -2011, "msg": "Unknown order sent."}
    assert await opened(client) == left
    assert (await client.ask("state"))["conserved"]


@pytest.mark.parametrize(
    ("change", "code"),
    [({"quantity": "0.000001"}, -1013), ({"cancelReplaceMode": "MAYBE"}, -1102), ({"price": ""}, -1102)],
)
async def test_what_is_known_to_be_wrong_cancels_nothing(client: Client, change: dict[str, str], code: int) -> None:
    order = await resting(client)
    answer = await replace(client, order["orderId"], "ALLOW_FAILURE", **change)
    assert (answer.status, answer.body["code"]) == (400, code)
    assert await opened(client) == ["0.01000000"]


async def test_order_keeps_its_client_id_and_the_cancellation_has_its_own(client: Client) -> None:
    order = await resting(client, newClientOrderId="kept")
    answer = await replace(client, order["orderId"], newClientOrderId="kept", cancelNewClientOrderId="gone")
    assert answer.body["newOrderResponse"]["clientOrderId"] == "kept"
    assert answer.body["cancelResponse"]["clientOrderId"] == "gone"
    assert answer.body["cancelResponse"]["origClientOrderId"] == "kept"


async def test_restriction_keeps_an_order_that_is_not_as_wanted(client: Client) -> None:
    order = await resting(client)
    answer = await replace(client, order["orderId"], cancelRestrictions="ONLY_PARTIALLY_FILLED")
    text = "Order was not canceled due to cancel restrictions."
    assert answer.body["data"]["cancelResponse"] == {"code": -2011, "msg": text}
    query = {"symbol": "BTCUSDT", "orderId": order["orderId"]}
    refused = await client.signed("DELETE", "/api/v3/order", **query, cancelRestrictions="ONLY_PARTIALLY_FILLED")
    assert refused.body == {"code": -2011, "msg": text}
    assert (await client.signed("DELETE", "/api/v3/order", **query, cancelRestrictions="ONLY_NEW")).status == 200


async def test_fifth_stop_can_be_moved(client: Client) -> None:
    await client.order("BUY", "MARKET", quantity="0.1")
    stops = [
        (await client.order("SELL", "STOP_LOSS", stopPrice=await low(client), quantity="0.01")).body["orderId"]
        for _ in range(5)
    ]
    change = {"side": "SELL", "type": "STOP_LOSS", "stopPrice": await low(client), "symbol": "BTCUSDT"}
    answer = await client.signed(
        "POST", PATH, **change, quantity="0.02", cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=stops[4]
    )
    assert (answer.status, answer.body["newOrderResult"]) == (200, "SUCCESS")
    state = await client.ask("state")
    assert [one["locked"] for one in state["balances"]["alice"] if one["asset"] == "BTC"] == ["0.06000000"]
