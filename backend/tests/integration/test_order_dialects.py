"""Our orders at Bitget, Kraken and OKX: the unmodified ccxt classes against servers that answer as they do.

The servers check every signature themselves, so whatever passes here was signed with the account's own keys.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from apps.core.adapters.ccxt_exchange import CcxtSession
from apps.core.adapters.clock import SystemClock
from apps.core.adapters.order_dialects import dialect_for
from apps.core.adapters.rate_budget import RateBudget
from domain.errors import (
    AuthenticationFailed,
    InvalidInput,
    OrderNotFound,
    OrderOutcomeUnknown,
    OrderRejected,
)
from domain.markets import Market
from domain.order_abilities import PairMode
from domain.orders import OrderHandle, OrderReport, OrderStatus, OrderTicket, OrderType, PairTicket, Side
from domain.ports import BrokerAccess
from domain.timeframes import from_ms
from tests.fakes.canned.bitget import BitgetServer
from tests.fakes.canned.kraken import KrakenServer
from tests.fakes.canned.okx import OkxServer
from tests.fakes.canned.server import CREDENTIALS, Asked, CannedServer

pytestmark = pytest.mark.asyncio(loop_scope="module")
CLOCK = SystemClock()
BTC = "BTC/USDT"
SERVERS: dict[str, type[Any]] = {"bitget": BitgetServer, "kraken": KrakenServer, "okx": OkxServer}
SPOT = "/api/v2/spot/trade"
PLACE = {"bitget": f"{SPOT}/place-order", "kraken": "/0/private/AddOrder", "okx": "/api/v5/trade/order"}
PLACE_WAITING = {
    "bitget": f"{SPOT}/place-plan-order",
    "kraken": "/0/private/AddOrder",
    "okx": "/api/v5/trade/order-algo",
}
OUR_ID = {"bitget": "clientOid", "kraken": "cl_ord_id", "okx": "clOrdId"}
OUR_WAITING_ID = {"bitget": "clientOid", "kraken": "cl_ord_id", "okx": "algoClOrdId"}


@dataclass
class World:
    name: str
    server: CannedServer
    session: CcxtSession
    market: Market

    async def send(self, order_type: OrderType, **changes: Any) -> tuple[OrderTicket, OrderReport]:
        ticket = self.ticket(order_type, **changes)
        return ticket, await self.session.create_order(ticket, valid_until=soon())

    def ticket(self, order_type: OrderType, **changes: Any) -> OrderTicket:
        facts = {
            "client_order_id": uuid4().hex,
            "symbol": BTC,
            "side": Side.SELL,
            "order_type": order_type,
            "quantity": Decimal("0.02"),
        }
        return OrderTicket(**{**facts, **changes})

    async def found(self, ticket: OrderTicket, **changes: Any) -> OrderReport:
        """Look up by our id alone, as after a restart."""
        handle = OrderHandle(BTC, ticket.client_order_id, order_type=ticket.order_type, **changes)
        return await self.session.find_order(handle)

    def forget(self) -> None:
        """Know as little of the past as a process that just started."""
        self.session._dialect = dialect_for(self.session._client, name=self.session.exchange_name)

    def handle(self, ticket: OrderTicket, report: OrderReport) -> OrderHandle:
        return OrderHandle(BTC, ticket.client_order_id, report.exchange_order_id, ticket.order_type)


def soon() -> datetime:
    return CLOCK.now() + timedelta(seconds=10)


def connect(name: str, server: CannedServer, **changes: str) -> CcxtSession:
    access = BrokerAccess(1, 1, name, False, {**CREDENTIALS, **changes})
    session = CcxtSession(access, budget=RateBudget(clock=CLOCK, rate_per_s=1e4, capacity=1e4), clock=CLOCK)
    session._client.urls["api"] = _redirected(session._client.urls["api"], server.url)
    return session


def _redirected(urls: Any, url: str) -> Any:
    if isinstance(urls, dict):
        return {name: _redirected(value, url) for name, value in urls.items()}
    return re.sub(r"^https?://[^/]+", url, urls)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=sorted(SERVERS))
async def connected(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """One client per exchange for all tests: making one takes a good part of a second."""
    async with SERVERS[request.param]().running() as server:
        session = connect(request.param, server)
        try:
            markets = await session.load_markets()
            yield World(request.param, server, session, markets[BTC])
        finally:
            await session.close()


@pytest.fixture
def world(connected: World) -> World:
    connected.server.reset()
    connected.forget()
    return connected


async def test_balance_is_exact(world: World) -> None:
    world.server.book.free["BTC"] = Decimal("0.123456789012345678")
    balance = await world.session.fetch_balance()
    assert balance.free == {"BTC": Decimal("0.123456789012345678"), "USDT": Decimal("100000")}


PRICES = {
    OrderType.LIMIT: {"price": Decimal("60000")},
    OrderType.STOP_LOSS: {"stop_price": Decimal("40000")},
    OrderType.TAKE_PROFIT: {"stop_price": Decimal("60000")},
    OrderType.STOP_LIMIT: {"stop_price": Decimal("40000"), "price": Decimal("39000")},
}


async def test_what_is_said_to_be_refused_late_bears_the_end_of_its_validity(world: World) -> None:
    kinds = world.session.abilities.refused_late - {OrderType.OCO}
    assert kinds >= {OrderType.MARKET, OrderType.LIMIT}
    for kind in kinds:
        await world.send(kind, **PRICES.get(kind, {}))
        posted = [each for each in world.server.asked if each.method == "POST" and OUR_ID[world.name] in each.body]
        assert CLOCK.now() < _end_of(posted[-1]) <= soon()


def _end_of(asked: Asked) -> datetime:
    """Return after when the exchange refuses a request, as it is worded there."""
    wanted = asked.params
    if "deadline" in wanted:
        return datetime.fromisoformat(wanted["deadline"])
    if "receiveWindow" in wanted:
        return from_ms(int(wanted["requestTime"]) + int(wanted["receiveWindow"]))
    return from_ms(int(asked.headers["expTime"]))


async def test_limit_order_is_sent_with_our_id_found_listed_and_cancelled(world: World) -> None:
    ticket, sent = await world.send(OrderType.LIMIT, price=Decimal("60000.1"))
    ((request),) = world.server.sent(PLACE[world.name])
    assert request[OUR_ID[world.name]] == ticket.client_order_id
    assert (sent.status, sent.client_order_id) == (OrderStatus.OPEN, ticket.client_order_id)
    found = await world.found(ticket)
    assert (found.exchange_order_id, found.client_order_id) == (sent.exchange_order_id, ticket.client_order_id)
    assert (found.price, found.quantity) == (Decimal("60000.1"), Decimal("0.02"))
    assert (found.order_type, found.status) == (OrderType.LIMIT, OrderStatus.OPEN)
    for symbol in (BTC, None):
        (listed,) = await world.session.fetch_open_orders(symbol)
        assert (listed.client_order_id, listed.status) == (ticket.client_order_id, OrderStatus.OPEN)
    await world.session.cancel_order(OrderHandle(BTC, ticket.client_order_id))
    assert (await world.found(ticket)).status is OrderStatus.CANCELLED
    assert list(await world.session.fetch_open_orders(BTC)) == []
    with pytest.raises(OrderNotFound):
        await world.session.cancel_order(world.handle(ticket, sent))


async def test_limit_order_filled_in_parts_tells_each_execution(world: World) -> None:
    ticket, sent = await world.send(OrderType.LIMIT, price=Decimal("60000.1"))
    order = world.server.book.orders[sent.exchange_order_id]
    world.server.book.fill_part(order, Decimal("0.005"))
    part = await world.found(ticket)
    assert (part.status, part.filled_quantity) == (OrderStatus.PARTIALLY_FILLED, Decimal("0.005"))
    world.server.book.move("60001")
    whole = await world.found(ticket)
    assert whole.status is OrderStatus.FILLED
    # 0.005 and 0.015 at 60000.1: 0.1 % of 300.0005 and of 900.0015 USDT
    assert sorted((each.quantity, each.fee, each.fee_currency) for each in whole.fills) == [
        (Decimal("0.005"), Decimal("0.3000005"), "USDT"),
        (Decimal("0.015"), Decimal("0.9000015"), "USDT"),
    ]
    assert all(each.is_maker and each.price == Decimal("60000.1") for each in whole.fills)
    trades = await world.session.fetch_my_trades(BTC)
    assert {each.exchange_order_id for each in trades} == {sent.exchange_order_id}


async def test_market_sell_says_at_once_what_it_fetched(world: World) -> None:
    _, report = await world.send(OrderType.MARKET)
    assert (report.status, report.filled_quantity) == (OrderStatus.FILLED, Decimal("0.02"))
    assert report.average_price == Decimal("50000")
    assert sum(each.quantity for each in report.fills) == Decimal("0.02")


async def test_market_buy_is_sized_as_the_exchange_wants(world: World) -> None:
    spend = Decimal("1000.00") if world.session.abilities.market_buy_in_quote else None
    _, report = await world.send(OrderType.MARKET, side=Side.BUY, quote_amount=spend)
    (request,) = world.server.sent(PLACE[world.name])
    assert world.session.abilities.market_buy_in_quote is (world.name == "bitget")
    expected = {
        "bitget": {"size": "1000"},
        "kraken": {"volume": "0.02", "ordertype": "market", "oflags": "fciq"},
        "okx": {"sz": "0.02", "tgtCcy": "base_ccy", "tdMode": "cash"},
    }
    assert {name: request[name] for name in expected[world.name]} == expected[world.name]
    # 1000 USDT at 50000 are 0.02 BTC either way.
    assert (report.status, report.filled_quantity) == (OrderStatus.FILLED, Decimal("0.02"))
    fee_currency = "USDT" if world.name == "kraken" else "BTC"
    assert {each.fee_currency for each in report.fills} == {fee_currency}
    assert world.session.abilities.buy_fee_in_base is (fee_currency == "BTC")


async def test_market_buy_in_quote_without_its_amount_is_not_sent(world: World) -> None:
    if not world.session.abilities.market_buy_in_quote:
        pytest.skip("a market buy is sized in base there")
    with pytest.raises(OrderRejected, match="montant à dépenser"):
        await world.send(OrderType.MARKET, side=Side.BUY)
    assert world.server.sent(PLACE[world.name]) == []


WAITING = [
    (OrderType.STOP_LOSS, "45000", None, "44000"),
    (OrderType.TAKE_PROFIT, "55000", None, "56000"),
    (OrderType.STOP_LIMIT, "45000", "44000", "44500"),
]
WORDED = {
    "bitget": {
        OrderType.STOP_LOSS: {"triggerPrice": "45000", "orderType": "market", "planType": "amount", "size": "0.02"},
        OrderType.TAKE_PROFIT: {"triggerPrice": "55000", "orderType": "market", "triggerType": "fill_price"},
        OrderType.STOP_LIMIT: {"triggerPrice": "45000", "orderType": "limit", "executePrice": "44000"},
    },
    "kraken": {
        OrderType.STOP_LOSS: {"ordertype": "stop-loss", "price": "45000", "volume": "0.02"},
        OrderType.TAKE_PROFIT: {"ordertype": "take-profit", "price": "55000"},
        OrderType.STOP_LIMIT: {"ordertype": "stop-loss-limit", "price": "45000", "price2": "44000"},
    },
    "okx": {
        OrderType.STOP_LOSS: {"ordType": "conditional", "slTriggerPx": "45000", "slOrdPx": "-1", "tdMode": "cash"},
        OrderType.TAKE_PROFIT: {"ordType": "conditional", "tpTriggerPx": "55000", "tpOrdPx": "-1"},
        OrderType.STOP_LIMIT: {"ordType": "conditional", "slTriggerPx": "45000", "slOrdPx": "44000"},
    },
}


@pytest.mark.parametrize(("order_type", "trigger", "limit", "reached"), WAITING, ids=lambda v: str(v))
async def test_order_with_a_trigger_is_followed_through_it_under_its_own_ids(
    world: World, order_type: OrderType, trigger: str, limit: str | None, reached: str
) -> None:
    price = None if limit is None else Decimal(limit)
    ticket, sent = await world.send(order_type, stop_price=Decimal(trigger), price=price)
    (request,) = world.server.sent(PLACE_WAITING[world.name])
    assert request[OUR_WAITING_ID[world.name]] == ticket.client_order_id
    worded = WORDED[world.name][order_type]
    assert {name: request[name] for name in worded} == worded
    resting = await world.found(ticket)
    assert (resting.status, resting.order_type, resting.stop_price, resting.price) == (
        OrderStatus.OPEN,
        order_type,
        Decimal(trigger),
        price,
    )
    for symbol in (BTC, None):
        (listed,) = await world.session.fetch_open_orders(symbol)
        assert (listed.exchange_order_id, listed.client_order_id) == (
            sent.exchange_order_id,
            ticket.client_order_id,
        )

    world.server.book.move(reached)
    if limit is not None:
        world.server.book.move("44001")  # the limit order was placed above the market: it fills
    sold = await world.found(ticket)
    assert (sold.exchange_order_id, sold.client_order_id) == (sent.exchange_order_id, ticket.client_order_id)
    assert (sold.status, sold.filled_quantity, sold.quantity) == (
        OrderStatus.FILLED,
        Decimal("0.02"),
        Decimal("0.02"),
    )
    assert {each.exchange_order_id for each in sold.fills} == {sent.exchange_order_id}
    assert sum(each.quantity for each in sold.fills) == Decimal("0.02")
    # A process that knows nothing of it tells the executions under the same number.
    world.forget()
    trades = await world.session.fetch_my_trades(BTC)
    assert {each.exchange_order_id for each in trades} == {sent.exchange_order_id}


@pytest.mark.parametrize("by", ["our id", "its number"])
async def test_order_with_a_trigger_is_cancelled_before_it(world: World, by: str) -> None:
    ticket, sent = await world.send(OrderType.STOP_LOSS, stop_price=Decimal("45000"))
    handle = world.handle(ticket, sent)
    named = handle if by == "its number" else OrderHandle(BTC, ticket.client_order_id, None, OrderType.STOP_LOSS)
    await world.session.cancel_order(named)
    assert (await world.found(ticket)).status is OrderStatus.CANCELLED
    assert list(await world.session.fetch_open_orders(BTC)) == []
    with pytest.raises(OrderNotFound):
        await world.session.cancel_order(named)


async def test_order_placed_by_a_trigger_rests_and_is_cancelled_as_the_one_it_came_from(world: World) -> None:
    # A sale at 48000 at least, once the price has fallen to 45000: it rests there.
    ticket, sent = await world.send(OrderType.STOP_LIMIT, stop_price=Decimal("45000"), price=Decimal("48000"))
    world.server.book.move("44000")
    resting = await world.found(ticket)
    assert (resting.status, resting.exchange_order_id) == (OrderStatus.OPEN, sent.exchange_order_id)
    world.forget()
    (listed,) = await world.session.fetch_open_orders(BTC)
    assert (listed.exchange_order_id, listed.client_order_id) == (sent.exchange_order_id, ticket.client_order_id)
    await world.session.cancel_order(world.handle(ticket, sent))
    assert (await world.found(ticket)).status is OrderStatus.CANCELLED


async def test_order_that_its_trigger_could_not_place_has_ended(world: World) -> None:
    if world.name != "bitget":
        pytest.skip("this exchange sets the quantity aside at once")
    ticket, _ = await world.send(OrderType.STOP_LOSS, stop_price=Decimal("45000"))
    world.server.book.free["BTC"] = Decimal(0)
    world.server.book.move("44000")
    ended = await world.found(ticket)
    assert (ended.status, ended.filled_quantity) == (OrderStatus.EXPIRED, Decimal(0))


def pair_of(world: World) -> PairTicket:
    return PairTicket(
        uuid4().hex,
        world.ticket(OrderType.STOP_LOSS, stop_price=Decimal("45000")),
        world.ticket(OrderType.TAKE_PROFIT, stop_price=Decimal("55000")),
    )


@pytest.mark.parametrize(("reached", "executed"), [("44000", "stop_loss"), ("56000", "take_profit")])
async def test_pair_is_held_as_the_exchange_can(world: World, reached: str, executed: str) -> None:
    modes = {"bitget": PairMode.LINKED, "kraken": PairMode.NONE, "okx": PairMode.OCO}
    assert world.session.abilities.pair is modes[world.name]
    pair = pair_of(world)
    if world.session.abilities.pair is not PairMode.OCO:
        with pytest.raises(OrderRejected, match="ne tient pas de paire"):
            await world.session.create_pair(pair, valid_until=soon())
        return
    sent = await world.session.create_pair(pair, valid_until=soon())
    (request,) = world.server.sent(PLACE_WAITING[world.name])
    assert request["algoClOrdId"] == pair.link_id
    assert sent[0].exchange_order_id != sent[1].exchange_order_id
    opened = await world.session.fetch_open_orders(BTC)
    assert [each.client_order_id for each in opened] == [
        pair.stop_loss.client_order_id,
        pair.take_profit.client_order_id,
    ]
    assert (await world.session.fetch_balance()).locked == {"BTC": Decimal("0.02")}
    world.server.book.move(reached)
    reports = {
        name: await world.found(getattr(pair, name), link_id=pair.link_id) for name in ("stop_loss", "take_profit")
    }
    winner = reports.pop(executed)
    (loser,) = reports.values()
    assert (winner.status, winner.filled_quantity) == (OrderStatus.FILLED, Decimal("0.02"))
    assert winner.exchange_order_id == sent[0 if executed == "stop_loss" else 1].exchange_order_id
    assert {each.exchange_order_id for each in winner.fills} == {winner.exchange_order_id}
    assert (loser.status, loser.filled_quantity) == (OrderStatus.CANCELLED, Decimal(0))


async def test_two_plan_orders_may_hold_the_same_quantity(world: World) -> None:
    if world.session.abilities.pair is not PairMode.LINKED:
        pytest.skip("pairs are not two linked orders there")
    world.server.book.free["BTC"] = Decimal("0.02")
    pair = pair_of(world)
    await world.session.create_order(pair.stop_loss, valid_until=soon())
    await world.session.create_order(pair.take_profit, valid_until=soon())
    world.server.book.move("56000")
    assert (await world.found(pair.take_profit)).status is OrderStatus.FILLED
    assert (await world.found(pair.stop_loss)).status is OrderStatus.OPEN


@pytest.mark.parametrize("order_type", [OrderType.LIMIT, OrderType.STOP_LOSS])
async def test_answer_lost_is_unknown_and_found_by_our_id(world: World, order_type: OrderType) -> None:
    waiting = order_type is OrderType.STOP_LOSS
    path = (PLACE_WAITING if waiting else PLACE)[world.name]
    prices = {"stop_price": Decimal("45000")} if waiting else {"price": Decimal("60000")}
    ticket = world.ticket(order_type, **prices)
    world.server.disturb(path, after=True, cut=True)
    with pytest.raises(OrderOutcomeUnknown):
        await world.session.create_order(ticket, valid_until=soon())
    assert len(world.server.sent(path)) == 1
    found = await world.found(ticket)
    assert (found.client_order_id, found.status) == (ticket.client_order_id, OrderStatus.OPEN)


@pytest.mark.parametrize("order_type", [OrderType.LIMIT, OrderType.STOP_LOSS])
async def test_order_that_never_was_is_not_found(world: World, order_type: OrderType) -> None:
    with pytest.raises(OrderNotFound):
        await world.found(world.ticket(order_type))


async def test_replacement_in_one_request_is_refused(world: World) -> None:
    ticket, sent = await world.send(OrderType.LIMIT, price=Decimal("60000"))
    other = world.ticket(OrderType.LIMIT, price=Decimal("61000"))
    with pytest.raises(OrderRejected, match="ne remplace pas"):
        await world.session.replace_order(world.handle(ticket, sent), other, valid_until=soon())


async def test_exchange_without_a_test_network_says_so() -> None:
    with pytest.raises(InvalidInput, match=r"n'a pas d'environnement de test"):
        CcxtSession(
            BrokerAccess(1, 1, "kraken", True, CREDENTIALS),
            budget=RateBudget(clock=CLOCK, rate_per_s=1e4, capacity=1e4),
            clock=CLOCK,
        )


async def test_unified_account_is_told_that_it_cannot_trade_here(world: World) -> None:
    if world.name != "bitget":
        pytest.skip("a kind of account of Bitget's")
    client = world.session._client
    client.options["uta"] = True
    try:
        with pytest.raises(OrderRejected, match="compte unifié"):
            await world.send(OrderType.MARKET)
    finally:
        client.options["uta"] = False
    assert world.server.sent(PLACE[world.name]) == []


@pytest.mark.parametrize("wrong", ["apiKey", "secret", "password"])
async def test_wrong_credentials_are_refused_by_the_exchange(world: World, wrong: str) -> None:
    if wrong == "password" and world.name == "kraken":
        pytest.skip("Kraken has no passphrase")
    session = connect(world.name, world.server, **{wrong: "d3Jvbmc="})
    try:
        await session.load_markets()
        with pytest.raises(AuthenticationFailed, match="clés refusées"):
            await session.fetch_balance()
        ticket = world.ticket(OrderType.LIMIT, price=Decimal("60000"))
        with pytest.raises(OrderRejected):
            await session.create_order(ticket, valid_until=soon())
    finally:
        await session.close()
    assert world.server.book.orders == {}
