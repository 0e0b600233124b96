"""A day at the terminal: its socket, terminal 5 and the simulated exchange together.

The judge is the exchange's own list of orders: what the page shows equals it to the last decimal.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator
from django.conf import settings as django_settings
from pytest_django.fixtures import SettingsWrapper

from apps.accounts.models import User
from apps.brokers.models import Broker, Exchange
from apps.brokers.services.accounts import create_broker
from apps.core.adapters.ccxt_catalogue import catalogue_version
from apps.core.adapters.clock import SystemClock
from apps.core.adapters.database import close_database, in_database
from apps.core.adapters.presence import RedisPresenceReader
from apps.core.adapters.redis_connection import connect
from apps.core.adapters.redis_requests import RedisRequestBus
from apps.core.services.ccxt_client import CcxtClient
from apps.orders.models import Trade
from apps.trading_manual.consumers import TerminalConsumer
from apps.trading_manual.services.liveness import ServiceWatch
from apps.trading_manual.services.terminal import Terminal
from aristobot.wiring.ccxt_service import CcxtService
from tests.fakes.simex_process import SimexProcess, running_simex
from tests.terminal_world import Page, session_of

pytestmark = pytest.mark.django_db(transaction=True)

BTC = "BTC/USDT"
CLOCK = SystemClock()
START_S = 45.0


@pytest.fixture(scope="module")
def simex() -> Iterator[SimexProcess]:
    # A market that stands still but for what the tests let pass: nothing is waited for.
    start = (CLOCK.now() - timedelta(minutes=3)).isoformat(timespec="seconds")
    options = ("--seed", "21", "--symbols", "BTCUSDT,ETHUSDT", "--speed", "step", "--start", start)
    with running_simex(*options) as process:
        yield process


@pytest.fixture
async def broker(db: None, simex: SimexProcess, settings: SettingsWrapper) -> Broker:
    settings.SIMEX_URL = simex.url

    def make() -> Broker:
        # Terminal 5 finds the catalogue of exchanges written and does not write all of ccxt's.
        Exchange.objects.create(id="simex", name="Simulateur", catalogue_version=catalogue_version())
        user = User.objects.create(username="lea")
        return create_broker(user, name="Simulateur", exchange="simex", credentials=simex.new_account())

    return await in_database(make)


@asynccontextmanager
async def terminal_5() -> AsyncIterator[CcxtService]:
    service = CcxtService()
    running = asyncio.create_task(service.run())
    try:
        yield service
    finally:
        running.cancel()
        await asyncio.wait([running], timeout=10)


@asynccontextmanager
async def opened(broker: Broker, terminals: AsyncExitStack) -> AsyncIterator[Page]:
    """A page whose broker's markets are loaded, by a terminal 5 that runs until `terminals` is closed."""
    await terminals.enter_async_context(terminal_5())
    redis = connect(django_settings.REDIS_URL)
    gateway = CcxtClient(RedisRequestBus(redis, clock=CLOCK), clock=CLOCK)
    watch = ServiceWatch(RedisPresenceReader(django_settings.REDIS_URL), clock=CLOCK)
    terminal = Terminal(gateway, clock=CLOCK, watch=watch)
    socket = WebsocketCommunicator(TerminalConsumer.as_asgi(terminal=lambda: terminal), "/ws/trading/")
    user = await User.objects.aget(pk=broker.user_id)
    socket.scope |= {"user": user, "session": await in_database(session_of, user)}
    assert (await socket.connect())[0]
    page = Page(socket)
    async with asyncio.timeout(START_S):
        while (await page.data("symbols", broker=broker.pk))["total"] < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    await page.data("select", broker=broker.pk, symbol=BTC, timeframe="1m")
    try:
        yield page
    finally:
        await socket.disconnect()
        await gateway.close()
        await redis.aclose()
        await close_database()


class Trader:
    """Places orders as the page does, and waits for what becomes of them."""

    def __init__(self, page: Page, broker: Broker) -> None:
        self.page = page
        self.broker = broker

    async def place(self, **ticket: str) -> dict[str, Any]:
        wanted = {"broker": self.broker.pk, "symbol": BTC, **ticket}
        validated = await self.page.data("validate", **wanted)
        done = await self.page.data("submit", broker=self.broker.pk, validation_id=validated["validation_id"])
        made: dict[str, Any] = done["trade"]
        return made

    async def becomes(self, trade_id: int, status: str) -> dict[str, Any]:
        """Wait for the event that says so."""
        async with asyncio.timeout(20):
            while True:
                event = await self.page.event("trade")
                if event["data"]["id"] == trade_id and event["data"]["status"] == status:
                    return dict(event["data"])


def as_the_exchange_tells(order: dict[str, Any]) -> tuple[Any, ...]:
    filled, quote = Decimal(order["executedQty"]), Decimal(order["cummulativeQuoteQty"])
    status = {"NEW": "open", "CANCELED": "cancelled", "FILLED": "filled"}[order["status"]]
    price = Decimal(order["price"]) or None
    return order["clientOrderId"], status, Decimal(order["origQty"]), price, filled, quote


def as_the_page_shows(trade: dict[str, Any]) -> tuple[Any, ...]:
    filled = Decimal(trade["filled_quantity"])
    quote = filled * Decimal(trade["average_price"] or 0)
    price = None if trade["price"] is None else Decimal(trade["price"])
    shown = Decimal(trade["quantity"])
    return trade["client_order_id"], trade["status"], shown, price, filled, quote.quantize(Decimal("1e-8"))


async def test_a_day_at_the_terminal_equals_the_exchanges_record(broker: Broker, simex: SimexProcess) -> None:
    async with AsyncExitStack() as terminals, opened(broker, terminals) as page:
        trader = Trader(page, broker)
        assert (await page.data("portfolio", broker=broker.pk))["total"] == "10000"
        chart = await page.data("candles", broker=broker.pk, symbol=BTC, timeframe="1m", limit=100)
        opens = [candle[0] for candle in chart["candles"]]
        assert opens == list(range(opens[0], opens[-1] + 1, 60_000))
        assert (len(opens) > 90, chart["last_is_open"]) == (True, True)  # this market is minutes behind the wall
        book = await page.data("book", broker=broker.pk, symbol=BTC, depth=5)
        best = Decimal(book["bids"][0][0])
        below = f"{(best * Decimal('0.9')).quantize(Decimal('0.01'))}"

        left = await trader.place(side="buy", order_type="limit", quantity="0.01", price=below)
        await trader.becomes(left["id"], "open")
        assert [each["id"] for each in (await page.data("orders", broker=broker.pk))["results"]] == [left["id"]]
        await page.data("cancel", broker=broker.pk, trade=left["id"])
        await trader.becomes(left["id"], "cancelled")
        assert (await page.event("command"))["data"]["status"] == "done"

        met = await trader.place(side="buy", order_type="limit", quote_amount="50", price=below)
        await trader.becomes(met["id"], "open")
        raised = f"{(best * Decimal('0.91')).quantize(Decimal('0.01'))}"
        await page.data("amend", broker=broker.pk, trade=met["id"], price=raised)
        await trader.becomes(met["id"], "cancelled")
        (met,) = (await page.data("orders", broker=broker.pk))["results"]
        assert (met["price"], met["status"]) == (f"{Decimal(raised).normalize():f}", "open")
        lower = f"{(best * Decimal('0.85')).quantize(Decimal('0.01'))}"
        simex.move_price("BTCUSDT", lower)
        bought = await trader.becomes(met["id"], "filled")
        (position,) = (await page.data("positions", broker=broker.pk))["results"]
        assert Decimal(position["quantity"]) == Decimal(bought["filled_quantity"]) - Decimal(bought["fee"])

        sold = await trader.place(side="sell", order_type="market", balance_ratio="0.5")
        sold = await trader.becomes(sold["id"], "filled")
        history = (await page.data("history", broker=broker.pk))["results"]
        record = [as_the_exchange_tells(each) for each in simex.admin("GET", "orders")]
        assert [as_the_page_shows(each) for each in history] == record[::-1]
        assert {each["source"] for each in history} == {"manual"}
        assert await Trade.objects.acount() == 4


def plan(simex: SimexProcess, kind: str, method: str, path: str, **params: Any) -> None:
    simex.admin("POST", "faults", {"kind": kind, "method": method, "path": path, "times": 1, "params": params})


async def test_troubles_leave_one_order_each_and_hold_up_nothing_else(broker: Broker, simex: SimexProcess) -> None:
    ticket = {"broker": broker.pk, "symbol": BTC, "side": "buy", "order_type": "market", "quantity": "0.001"}
    known = {order["clientOrderId"] for order in simex.admin("GET", "orders")}
    async with AsyncExitStack() as first, opened(broker, first) as page:
        trader = Trader(page, broker)
        # The exchange takes the order and its answer is lost; the page asks again under the same id.
        plan(simex, "drop_after", "POST", "/api/v3/order")
        lost = await page.ask("submit", request_id="lost", **ticket)
        assert await page.ask("submit", request_id="lost", **ticket) == lost
        await trader.becomes(lost["data"]["trade"]["id"], "unknown")
        await trader.becomes(lost["data"]["trade"]["id"], "filled")
        # The exchange is slow: what does not need it answers meanwhile.
        plan(simex, "delay_before", "GET", "/api/v3/account", ms=3_000)
        slow = await page.send("portfolio", broker=broker.pk)
        await page.data("orders", broker=broker.pk)
        assert not [event for event in page.events if event.get("request_id") == slow]
        assert (await page.reply(slow))["ok"]
        # The exchange fails: said in French with its own words.
        plan(simex, "http_error", "GET", "/api/v3/account", status=503, body="down")
        error = await page.error("portfolio", broker=broker.pk)
        assert error["code"] == "exchange_unavailable"
        assert "Simulateur" in error["message"]
        token = (await page.data("validate", **ticket))["validation_id"]
        # Terminal 5 dies before *Exécuter*, and comes back while the order is still valid.
        await first.aclose()
        waiting = await page.data("submit", broker=broker.pk, validation_id=token)
        assert waiting["trade"]["status"] == "pending"
        async with terminal_5():
            await trader.becomes(waiting["trade"]["id"], "filled")
            made = [order["clientOrderId"] for order in simex.admin("GET", "orders")]
            mine = [name for name in made if name not in known]
            rows = {trade["client_order_id"] for trade in (lost["data"]["trade"], waiting["trade"])}
            assert (len(mine), set(mine)) == (2, rows)
