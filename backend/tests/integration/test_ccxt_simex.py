"""What only the real adapter can show: ccxt against the simulated exchange, its faults and its rolled candles."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
from pytest_django.fixtures import SettingsWrapper

from apps.core.adapters.ccxt_exchange import CcxtSession
from apps.core.adapters.clock import SystemClock
from apps.core.adapters.rate_budget import RateBudget
from domain.errors import (
    AuthenticationFailed,
    ExchangeUnavailable,
    OrderNotExecuted,
    OrderNotFound,
    OrderOutcomeUnknown,
)
from domain.orders import OrderHandle, OrderStatus, OrderTicket, OrderType, Side
from domain.ports import BrokerAccess
from domain.rollup import roll_up
from domain.timeframes import Timeframe, from_ms
from tests.fakes.simex_process import SimexProcess, running_simex

CLOCK = SystemClock()
BTC = "BTC/USDT"


@pytest.fixture(scope="module")
def simex() -> Iterator[SimexProcess]:
    with running_simex("--seed", "11", "--symbols", "BTCUSDT") as process:
        yield process


def new_session(simex: SimexProcess) -> CcxtSession:
    access = BrokerAccess(1, 1, "simex", False, simex.new_account())
    budget = RateBudget(clock=CLOCK, rate_per_s=1e4, capacity=1e4)
    return CcxtSession(access, budget=budget, clock=CLOCK)


@pytest.fixture
async def session(simex: SimexProcess, settings: SettingsWrapper) -> AsyncIterator[CcxtSession]:
    settings.SIMEX_URL = simex.url
    session = new_session(simex)
    await session.load_markets()
    yield session
    simex.admin("DELETE", "faults")
    await session.close()


def ticket(client_order_id: str) -> OrderTicket:
    return OrderTicket(client_order_id, BTC, Side.BUY, OrderType.MARKET, Decimal("0.02"))


async def send(session: CcxtSession, client_order_id: str) -> None:
    await session.create_order(ticket(client_order_id), valid_until=CLOCK.now() + timedelta(seconds=10))


async def test_candle_source_names_the_run(session: CcxtSession, simex: SimexProcess) -> None:
    assert session.candle_source == f"simex:{simex.admin('GET', 'run')['run']}"


async def test_markets_take_one_request_beside_the_time(simex: SimexProcess, settings: SettingsWrapper) -> None:
    settings.SIMEX_URL = simex.url
    session = new_session(simex)
    sent: list[str] = []
    original = session._client.fetch

    async def counting(url: str, *rest: object) -> object:
        sent.append(url)
        return await original(url, *rest)

    session._client.fetch = counting
    await session.load_markets()
    await session.close()
    assert sorted(url.split("/api/v3/")[-1].split("?")[0] for url in sent) == ["exchangeInfo", "time"]


async def test_ten_minute_candles_equal_the_fives_they_come_from(session: CcxtSession, simex: SimexProcess) -> None:
    until = Timeframe.M10.open_time(from_ms(simex.admin("GET", "run")["market_start"]))
    since = until - timedelta(hours=20)
    tens = await session.fetch_candles(BTC, Timeframe.M10, since=since, until=until)
    fives = await session.fetch_candles(BTC, Timeframe.M5, since=since, until=until)
    assert len(tens) == 120
    assert list(tens) == roll_up(fives, Timeframe.M10)


async def test_long_range_is_paged_without_holes(session: CcxtSession, simex: SimexProcess) -> None:
    until = Timeframe.M1.open_time(from_ms(simex.admin("GET", "run")["market_start"]))
    since = until - timedelta(minutes=2500)
    candles = await session.fetch_candles(BTC, Timeframe.M1, since=since, until=until)
    assert [each.open_time for each in candles] == [since + timedelta(minutes=n) for n in range(2500)]


async def test_wrong_keys_are_refused_in_french(simex: SimexProcess, settings: SettingsWrapper) -> None:
    settings.SIMEX_URL = simex.url
    access = BrokerAccess(1, 1, "simex", False, {"apiKey": "k" * 64, "secret": "s" * 64})
    budget = RateBudget(clock=CLOCK, rate_per_s=1e4, capacity=1e4)
    session = CcxtSession(access, budget=budget, clock=CLOCK)
    with pytest.raises(AuthenticationFailed, match="clés refusées"):
        await session.fetch_balance()
    await session.close()


async def test_dead_exchange_never_got_the_order(settings: SettingsWrapper) -> None:
    with running_simex("--symbols", "BTCUSDT") as short_lived:
        settings.SIMEX_URL = short_lived.url
        session = new_session(short_lived)
        await session.load_markets()
    try:
        with pytest.raises(ExchangeUnavailable):
            await session.fetch_balance()  # also ends the kept connection: on that one, the order may have left
        with pytest.raises(OrderNotExecuted, match="connexion impossible"):
            await send(session, "9" * 32)
    finally:
        await session.close()


async def test_connection_cut_after_the_order_was_taken_is_unknown_then_found(
    session: CcxtSession, simex: SimexProcess
) -> None:
    simex.admin("POST", "faults", {"kind": "drop_after", "method": "POST", "path": "/api/v3/order", "times": 1})
    with pytest.raises(OrderOutcomeUnknown):
        await send(session, "1" * 32)
    found = await session.find_order(OrderHandle(BTC, client_order_id="1" * 32))
    assert found.status is OrderStatus.FILLED
    assert sum(fill.quantity for fill in found.fills) == Decimal("0.02")


async def test_connection_cut_before_the_order_was_taken_is_unknown_and_absent(
    session: CcxtSession, simex: SimexProcess
) -> None:
    simex.admin("POST", "faults", {"kind": "drop_before", "method": "POST", "path": "/api/v3/order", "times": 1})
    with pytest.raises(OrderOutcomeUnknown):
        await send(session, "2" * 32)
    with pytest.raises(OrderNotFound):
        await session.find_order(OrderHandle(BTC, client_order_id="2" * 32))


async def test_server_error_of_an_executed_order_is_unknown_then_found(
    session: CcxtSession, simex: SimexProcess
) -> None:
    simex.admin(
        "POST",
        "faults",
        {"kind": "http_error", "params": {"executed": True}, "method": "POST", "path": "/api/v3/order", "times": 1},
    )
    with pytest.raises(OrderOutcomeUnknown):
        await send(session, "3" * 32)
    assert (await session.find_order(OrderHandle(BTC, client_order_id="3" * 32))).status is OrderStatus.FILLED


async def test_too_many_requests_is_not_executed_and_says_when(session: CcxtSession, simex: SimexProcess) -> None:
    simex.admin(
        "POST",
        "faults",
        {"kind": "rate_limit", "params": {"retry_after": 1}, "method": "POST", "path": "/api/v3/order", "times": 1},
    )
    with pytest.raises(OrderNotExecuted) as caught:
        await send(session, "4" * 32)
    assert caught.value.retry_after_s == 1.0


@pytest.mark.parametrize("offset_ms", [-4_000, 4_000])
async def test_clock_that_is_seconds_off_still_trades(
    session: CcxtSession, simex: SimexProcess, offset_ms: int
) -> None:
    simex.admin("POST", "faults", {"clock_offset_ms": offset_ms - 10_000})
    assert (await session.fetch_balance()).free["USDT"] == 10_000
    simex.admin("POST", "faults", {"clock_offset_ms": offset_ms})
    client_order_id = f"{offset_ms % 7}" * 32
    with pytest.raises(OrderNotExecuted, match="-1021"):
        await send(session, client_order_id)
    with pytest.raises(OrderNotFound):
        await session.find_order(OrderHandle(BTC, client_order_id=client_order_id))
    await send(session, client_order_id)
    assert (
        await session.find_order(OrderHandle(BTC, client_order_id=client_order_id))
    ).status is OrderStatus.FILLED
