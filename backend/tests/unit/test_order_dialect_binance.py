"""How our orders are worded for Binance, and what its cancelReplace says, over ccxt without a network."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import ccxt
import pytest

from apps.core.adapters.ccxt_exchange import CcxtSession
from apps.core.adapters.clock import SystemClock
from apps.core.adapters.rate_budget import RateBudget
from domain.errors import OrderNotExecuted, OrderOutcomeUnknown, OrderRejected
from domain.orders import OrderHandle, OrderTicket, OrderType, PairTicket, Side
from domain.ports import BrokerAccess
from tests.fakes.recordings import data_file

CLOCK = SystemClock()
BTC = "BTC/USDT"
PLACED = {
    "symbol": "BTCUSDT", "orderId": 7, "orderListId": -1, "clientOrderId": "a" * 32, "price": "0.00000000",
    "origQty": "0.10000000", "executedQty": "0.00000000", "cummulativeQuoteQty": "0.00000000", "status": "NEW",
    "timeInForce": "GTC", "type": "STOP_LOSS", "side": "SELL", "transactTime": 1760000000000, "fills": [],
    "stopPrice": "90000.10000000",
}  # fmt: skip


class Venue:
    """Answers ccxt: exchangeInfo as recorded (changed by the test), and one answer to everything that is sent."""

    def __init__(self) -> None:
        recorded = json.loads(data_file("binance_exchangeInfo_2025-08-07_25sym.json").read_text())
        self.markets: dict[str, Any] = {each["symbol"]: each for each in recorded["symbols"]}
        self.answer: Any = PLACED
        self.sent: list[tuple[str, dict[str, str]]] = []

    async def fetch(self, url: str, method: str = "GET", headers: Any = None, body: str | None = None) -> Any:
        path = url.split("/api/v3/")[-1].split("?")[0]
        if path == "time":
            return {"serverTime": int(CLOCK.now().timestamp() * 1000)}
        if path == "exchangeInfo":
            return {"symbols": list(self.markets.values())}
        self.sent.append((f"{method} {path}", dict(parse_qsl(body or ""))))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
async def venue() -> Venue:
    return Venue()


@pytest.fixture
async def session(venue: Venue) -> AsyncIterator[CcxtSession]:
    access = BrokerAccess(1, 1, "binance", False, {"apiKey": "k", "secret": "s"})
    made = CcxtSession(access, budget=RateBudget(clock=CLOCK, rate_per_s=1e4, capacity=1e4), clock=CLOCK)
    made._client.fetch = venue.fetch
    yield made
    await made.close()


def ticket(order_type: OrderType, **changes: Any) -> OrderTicket:
    facts = {
        "client_order_id": "a" * 32,
        "symbol": BTC,
        "side": Side.SELL,
        "order_type": order_type,
        "quantity": Decimal("0.10"),
    }
    return OrderTicket(**{**facts, **changes})


STOP = ticket(OrderType.STOP_LOSS, stop_price=Decimal("90000.10"))
GAIN = ticket(OrderType.TAKE_PROFIT, stop_price=Decimal("130000"), client_order_id="b" * 32)
LIMIT = ticket(OrderType.LIMIT, price=Decimal("130000"))
UNSIGNED = ("timestamp", "recvWindow", "signature", "newOrderRespType")


def soon() -> Any:
    return CLOCK.now() + timedelta(seconds=3)


def worded(request: dict[str, str]) -> dict[str, str]:
    """Return what a request says, having checked that it is signed and dies before its order does."""
    assert len(request["signature"]) == 64
    assert 0 < int(request["recvWindow"]) <= 3_000
    return {name: value for name, value in request.items() if name not in UNSIGNED}


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (STOP, {"type": "STOP_LOSS", "stopPrice": "90000.1"}),
        (GAIN, {"type": "TAKE_PROFIT", "stopPrice": "130000"}),
        (
            ticket(OrderType.STOP_LIMIT, stop_price=Decimal("90000.1"), price=Decimal("89000")),
            {"type": "STOP_LOSS_LIMIT", "stopPrice": "90000.1", "price": "89000", "timeInForce": "GTC"},
        ),
        (
            ticket(OrderType.LIMIT, price=Decimal("1E+5")),
            {"type": "LIMIT", "price": "100000", "timeInForce": "GTC"},
        ),
        (ticket(OrderType.MARKET), {"type": "MARKET"}),
    ],
    ids=lambda each: each.order_type.value if isinstance(each, OrderTicket) else "",
)
async def test_each_type_goes_by_its_own_name(
    session: CcxtSession, venue: Venue, order: OrderTicket, words: dict[str, str]
) -> None:
    await session.create_order(order, valid_until=soon())
    ((route, request),) = venue.sent
    assert route == "POST order"
    common = {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "quantity": "0.1",
        "newClientOrderId": order.client_order_id,
    }
    assert worded(request) == {**common, **words}


async def test_pair_is_one_request_with_both_ids(session: CcxtSession, venue: Venue) -> None:
    venue.answer = {
        "orderListId": 3,
        "orderReports": [
            {**PLACED, "orderId": 8, "clientOrderId": "b" * 32, "type": "LIMIT_MAKER", "price": "130000.00000000",
             "stopPrice": "0.00000000"},
            PLACED,
        ],
    }  # fmt: skip
    stop, gain = await session.create_pair(PairTicket("c" * 32, STOP, GAIN), valid_until=soon())
    ((route, request),) = venue.sent
    assert route == "POST orderList/oco"
    assert worded(request) == {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "quantity": "0.1",
        "listClientOrderId": "c" * 32,
        "aboveType": "LIMIT_MAKER",
        "abovePrice": "130000",
        "aboveClientOrderId": "b" * 32,
        "belowType": "STOP_LOSS",
        "belowStopPrice": "90000.1",
        "belowClientOrderId": "a" * 32,
    }
    assert (stop.exchange_order_id, stop.order_type, stop.stop_price) == (
        "7",
        OrderType.STOP_LOSS,
        Decimal("90000.1"),
    )
    assert (gain.exchange_order_id, gain.order_type, gain.price) == ("8", OrderType.LIMIT, Decimal("130000"))


async def test_pair_answer_without_one_of_the_legs_is_no_proof(session: CcxtSession, venue: Venue) -> None:
    venue.answer = {"orderListId": 3, "orderReports": [PLACED]}
    with pytest.raises(OrderOutcomeUnknown):
        await session.create_pair(PairTicket("c" * 32, STOP, GAIN), valid_until=soon())


@pytest.mark.parametrize(
    ("old", "name"),
    [
        (OrderHandle(BTC, "d" * 32), {"cancelOrigClientOrderId": "d" * 32}),
        (OrderHandle(BTC, "d" * 32, "12"), {"cancelOrderId": "12"}),
    ],
)
async def test_replacement_leaves_an_order_in_execution_alone(
    session: CcxtSession, venue: Venue, old: OrderHandle, name: dict[str, str]
) -> None:
    venue.answer = {"cancelResult": "SUCCESS", "newOrderResult": "SUCCESS", "newOrderResponse": PLACED}
    report = await session.replace_order(old, STOP, valid_until=soon())
    ((route, request),) = venue.sent
    assert route == "POST order/cancelReplace"
    assert worded(request) == {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "type": "STOP_LOSS",
        "quantity": "0.1",
        "stopPrice": "90000.1",
        "newClientOrderId": "a" * 32,
        "cancelReplaceMode": "STOP_ON_FAILURE",
        "cancelRestrictions": "ONLY_NEW",
        **name,
    }
    assert (report.exchange_order_id, report.client_order_id) == ("7", "a" * 32)


def halves(code: int, cancelled: Any, placed: Any) -> Exception:
    """What ccxt raises of a cancelReplace: each half is "SUCCESS", None (not attempted) or an error code."""

    def result(half: Any) -> str:
        return "NOT_ATTEMPTED" if half is None else "SUCCESS" if half == "SUCCESS" else "FAILURE"

    def response(half: Any) -> Any:
        return {"code": half, "msg": f"reason {half}"} if isinstance(half, int) else half and {"orderId": 1}

    data = {
        "cancelResult": result(cancelled),
        "newOrderResult": result(placed),
        "cancelResponse": response(cancelled),
        "newOrderResponse": response(placed),
    }
    return ccxt.BadResponse(
        "binance " + json.dumps({"code": code, "msg": "Order cancel-replace failed.", "data": data})
    )


REPLACEMENTS = [
    ("old one gone or in execution", halves(-2022, -2011, None), OrderRejected, "n'a pas été annulé"),
    ("new one refused", halves(-2021, "SUCCESS", -2010), OrderRejected, "l'ancien est annulé, mais le nouveau"),
    ("new one too early", halves(-2021, "SUCCESS", -1015), OrderRejected, "l'ancien est annulé, mais le nouveau"),
    ("new one without proof", halves(-2021, "SUCCESS", -1007), OrderOutcomeUnknown, "les deux sont recherchés"),
    ("cancellation without proof", halves(-2022, -1006, None), OrderOutcomeUnknown, "les deux sont recherchés"),
    ("what cannot be", halves(-2021, -2011, "SUCCESS"), OrderOutcomeUnknown, "les deux sont recherchés"),
    ("no halves told", ccxt.BadResponse('binance {"code":-2021,"msg":"x"}'), OrderOutcomeUnknown, "inconnu"),
    ("filter", ccxt.InvalidOrder('binance {"code":-1013,"msg":"LOT_SIZE"}'), OrderRejected, "LOT_SIZE"),
    ("too many requests", ccxt.DDoSProtection("binance 429 Too Many Requests"), OrderNotExecuted, "429"),
    ("no answer", ccxt.RequestTimeout("binance POST https://x/y"), OrderOutcomeUnknown, "inconnu"),
]


@pytest.mark.parametrize(
    ("error", "verdict", "words"), [r[1:] for r in REPLACEMENTS], ids=[r[0] for r in REPLACEMENTS]
)
async def test_halves_of_a_replacement_are_told_apart(
    session: CcxtSession, venue: Venue, error: Exception, verdict: type[Exception], words: str
) -> None:
    venue.answer = error
    with pytest.raises(verdict, match=words) as caught:
        await session.replace_order(OrderHandle(BTC, "d" * 32), STOP, valid_until=soon())
    assert type(caught.value) is verdict
    assert len(venue.sent) == 1


@pytest.mark.parametrize(
    ("lacking", "order"),
    [("STOP_LOSS", STOP), ("TAKE_PROFIT", GAIN), ("LIMIT", LIMIT)],
    ids=lambda each: str(each)[:12],
)
async def test_type_that_a_market_lacks_is_refused_before_sending(
    session: CcxtSession, venue: Venue, lacking: str, order: OrderTicket
) -> None:
    market = venue.markets["BTCUSDT"]
    market["orderTypes"] = [each for each in market["orderTypes"] if each != lacking]
    with pytest.raises(OrderRejected, match=f"ne prend pas d'ordre {lacking} sur BTC/USDT"):
        await session.create_order(order, valid_until=soon())
    with pytest.raises(OrderRejected, match=f"ne prend pas d'ordre {lacking} sur BTC/USDT"):
        await session.replace_order(OrderHandle(BTC, "d" * 32), order, valid_until=soon())
    assert venue.sent == []


@pytest.mark.parametrize("change", [{"ocoAllowed": False}, {"orderTypes": ["LIMIT", "MARKET", "LIMIT_MAKER"]}])
async def test_pair_is_refused_where_the_market_has_none(
    session: CcxtSession, venue: Venue, change: dict[str, Any]
) -> None:
    venue.markets["BTCUSDT"].update(change)
    with pytest.raises(OrderRejected, match="ne prend pas de paire OCO"):
        await session.create_pair(PairTicket("c" * 32, STOP, GAIN), valid_until=soon())
    assert venue.sent == []


async def test_nothing_leaves_past_its_validity(session: CcxtSession, venue: Venue) -> None:
    late = CLOCK.now() - timedelta(milliseconds=1)
    with pytest.raises(OrderNotExecuted, match="plus longtemps que sa validité"):
        await session.create_order(STOP, valid_until=late)
    with pytest.raises(OrderNotExecuted, match="plus longtemps que sa validité"):
        await session.create_pair(PairTicket("c" * 32, STOP, GAIN), valid_until=late)
    with pytest.raises(OrderNotExecuted, match="plus longtemps que sa validité"):
        await session.replace_order(OrderHandle(BTC, "d" * 32), STOP, valid_until=late)
    assert venue.sent == []
