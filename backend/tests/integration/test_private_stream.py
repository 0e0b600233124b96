"""The account's own stream: ccxt's unmodified class against the simulated exchange's WebSocket API."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

import pytest
from pytest_django.fixtures import SettingsWrapper

from apps.core.adapters.ccxt_exchange import CcxtSession
from apps.core.adapters.clock import SystemClock
from apps.core.adapters.private_stream import StreamLost
from apps.core.adapters.rate_budget import RateBudget
from domain.errors import AuthenticationFailed, ExchangeError
from domain.orders import OrderHandle, OrderReport, OrderStatus, OrderTicket, OrderType, Side
from domain.ports import Balance, BrokerAccess, PrivateEvent
from tests.fakes.orders_room import until
from tests.fakes.simex_process import SimexProcess, running_simex

CLOCK = SystemClock()
BTC = "BTC/USDT"


@pytest.fixture(scope="module")
def simex() -> Iterator[SimexProcess]:
    with running_simex("--seed", "11", "--symbols", "BTCUSDT") as process:
        yield process


@pytest.fixture
async def session(simex: SimexProcess, settings: SettingsWrapper) -> AsyncIterator[CcxtSession]:
    settings.SIMEX_URL = simex.url
    session = new_session(simex.new_account())
    await session.load_markets()
    yield session
    simex.admin("DELETE", "faults")
    await session.close()


def new_session(keys: dict[str, str]) -> CcxtSession:
    budget = RateBudget(clock=CLOCK, rate_per_s=1e4, capacity=1e4)
    return CcxtSession(BrokerAccess(1, 1, "simex", False, keys), budget=budget, clock=CLOCK, timeout_s=5)


@dataclass
class Heard:
    """What a stream told, in order."""

    opened: asyncio.Event = field(default_factory=asyncio.Event)
    orders: list[OrderReport] = field(default_factory=list)
    balances: list[Balance] = field(default_factory=list)

    def receive(self, event: PrivateEvent) -> None:
        if isinstance(event, Balance):
            self.balances.append(event)
        else:
            self.orders.append(event)

    async def until_told(self, client_order_id: str, status: OrderStatus) -> OrderReport:
        def found() -> list[OrderReport]:
            return [one for one in self.orders if (one.client_order_id, one.status) == (client_order_id, status)]

        async with asyncio.timeout(10):
            while not found():  # noqa: ASYNC110 — a list has no event of its own
                await asyncio.sleep(0.01)
        return found()[0]


@asynccontextmanager
async def listening(session: CcxtSession) -> AsyncIterator[Heard]:
    heard, stream = Heard(), session.private_stream()
    if stream is None:
        raise RuntimeError("no stream")
    task = asyncio.create_task(stream.listen(receive=heard.receive, opened=heard.opened.set))
    try:
        async with asyncio.timeout(10):
            await heard.opened.wait()
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def send(session: CcxtSession, name: str, price: str | None = None, quantity: str = "0.02") -> OrderReport:
    kind = OrderType.MARKET if price is None else OrderType.LIMIT
    ticket = OrderTicket(
        name * 32, BTC, Side.BUY, kind, Decimal(quantity), None if price is None else Decimal(price)
    )
    return await session.create_order(ticket, valid_until=CLOCK.now() + timedelta(seconds=10))


async def test_market_order_is_told_with_its_exact_fills_and_the_new_balance(session: CcxtSession) -> None:
    async with listening(session) as heard:
        await until(lambda: bool(heard.balances))
        sent = await send(session, "1")
        told = await heard.until_told("1" * 32, OrderStatus.FILLED)
        await until(lambda: any("BTC" in one.free for one in heard.balances))
        balance = await session.fetch_balance()
    assert told.fills == sent.fills
    assert (told.exchange_order_id, told.filled_quantity) == (sent.exchange_order_id, Decimal("0.02"))
    assert told.average_price == sent.average_price
    assert (heard.balances[0].free, heard.balances[0].locked) == ({"USDT": Decimal(10000)}, {})
    assert heard.balances[-1] == balance


async def test_cancelled_order_is_told_under_its_own_client_id(session: CcxtSession) -> None:
    price = ((await session.fetch_price(BTC)) * Decimal("0.9")).quantize(Decimal(1))
    async with listening(session) as heard:
        await until(lambda: bool(heard.balances))
        await send(session, "2", price=str(price))
        await heard.until_told("2" * 32, OrderStatus.OPEN)
        await until(lambda: heard.balances[-1].locked == {"USDT": price * Decimal("0.02")})
        await session.cancel_order(OrderHandle(BTC, client_order_id="2" * 32))
        told = await heard.until_told("2" * 32, OrderStatus.CANCELLED)
    assert (told.order_type, told.price, told.quantity) == (OrderType.LIMIT, price, Decimal("0.02"))


async def test_another_account_s_events_are_not_heard(session: CcxtSession, simex: SimexProcess) -> None:
    other = new_session(simex.new_account())
    try:
        async with listening(session) as mine, listening(other) as theirs:
            await send(session, "3")
            await mine.until_told("3" * 32, OrderStatus.FILLED)
            await send(other, "4")
            await theirs.until_told("4" * 32, OrderStatus.FILLED)
        assert {one.client_order_id for one in mine.orders} == {"3" * 32}
        assert {one.client_order_id for one in theirs.orders} == {"4" * 32}
    finally:
        await other.close()


async def test_wrong_keys_are_refused_with_the_exchange_s_words(
    simex: SimexProcess, settings: SettingsWrapper
) -> None:
    settings.SIMEX_URL = simex.url
    session = new_session({"apiKey": "k" * 64, "secret": "s" * 64})
    await session.load_markets()
    stream = session.private_stream()
    assert stream is not None
    try:
        with pytest.raises(AuthenticationFailed, match=r"clés refusées .*Invalid API-key"):
            await asyncio.wait_for(stream.listen(receive=lambda _: None, opened=lambda: None), 10)
    finally:
        await session.close()


async def test_session_closed_under_the_stream_ends_it_and_is_not_opened_again(session: CcxtSession) -> None:
    heard, stream = Heard(), session.private_stream()
    assert stream is not None
    task = asyncio.create_task(stream.listen(receive=heard.receive, opened=heard.opened.set))
    await asyncio.wait_for(heard.opened.wait(), 10)
    await session.close()
    with pytest.raises(StreamLost):
        await asyncio.wait_for(task, 5)
    with pytest.raises(StreamLost, match="fermé"):
        await stream.listen(receive=heard.receive, opened=heard.opened.set)
    assert session._client.session is None


async def test_cut_connection_ends_the_listening_and_the_next_one_hears_again(
    session: CcxtSession, simex: SimexProcess
) -> None:
    heard, stream = Heard(), session.private_stream()
    assert stream is not None
    task = asyncio.create_task(stream.listen(receive=heard.receive, opened=heard.opened.set))
    await asyncio.wait_for(heard.opened.wait(), 10)
    simex.admin("POST", "streams", {"action": "disconnect"})
    with pytest.raises(ExchangeError):
        await asyncio.wait_for(task, 10)
    async with listening(session) as again:
        await send(session, "5")
        await again.until_told("5" * 32, OrderStatus.FILLED)


async def test_exchange_that_is_away_ends_the_listening_and_leaves_no_unheard_failure(
    session: CcxtSession, simex: SimexProcess, caplog: pytest.LogCaptureFixture
) -> None:
    stream = session.private_stream()
    assert stream is not None
    session._client.urls["api"]["ws"]["ws-api"]["spot"] = "ws://127.0.0.1:9/ws-api/v3"
    with pytest.raises(ExchangeError, match="Cannot connect"):
        await asyncio.wait_for(stream.listen(receive=lambda _: None, opened=lambda: None), 10)
    gc.collect()  # asyncio reports a failure that nobody asked for when its future goes
    await asyncio.sleep(0)
    assert "never retrieved" not in caplog.text


async def test_silent_connection_is_given_up(session: CcxtSession, monkeypatch: pytest.MonkeyPatch) -> None:
    heard, stream = Heard(), session.private_stream()
    assert stream is not None
    task = asyncio.create_task(stream.listen(receive=heard.receive, opened=heard.opened.set))
    await asyncio.wait_for(heard.opened.wait(), 10)
    now_ms = session._client.milliseconds()
    monkeypatch.setattr(session._client, "milliseconds", lambda: now_ms + 60_000)
    with pytest.raises(StreamLost, match="muet depuis 6"):
        await asyncio.wait_for(task, 5)
