"""Terminal 5 whole against a simulated exchange: from the bus to the balance."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
import redis
from django.conf import settings
from django.test import Client
from pytest_django.fixtures import SettingsWrapper

from apps.accounts.models import User
from apps.brokers.models import Broker, Exchange
from apps.brokers.services.accounts import create_broker, create_simulateur
from apps.brokers.services.credentials import stored
from apps.core.adapters import secrets
from apps.core.adapters.ccxt_exchange import CcxtSession
from apps.core.adapters.clock import SystemClock
from apps.core.adapters.database import close_database, in_database
from apps.core.adapters.presence import presence_key
from apps.core.adapters.rate_budget import RateBudget
from apps.core.metrics import REGISTRY
from apps.core.services.ccxt_client import CcxtClient
from apps.core.services.gateway_access import short_lived_gateway
from apps.market_data import selectors
from apps.market_data.models import ExchangeSymbol
from apps.market_data.services.window import ensure_window
from apps.orders import desk
from apps.orders.models import Trade
from aristobot.wiring.ccxt_service import CcxtService
from domain.errors import AuthenticationFailed, NotFound
from domain.orders import OrderTicket, OrderType, Side
from domain.ports import BrokerAccess
from domain.timeframes import Timeframe, from_ms
from tests.fakes.simex_process import SimexProcess, running_simex

pytestmark = pytest.mark.django_db(transaction=True)

BTC = "BTC/USDT"
START_S = 45.0


@pytest.fixture(scope="module")
def simex() -> Iterator[SimexProcess]:
    with running_simex("--seed", "5", "--symbols", "BTCUSDT,ETHUSDT") as process:
        yield process


@pytest.fixture
def user(simex: SimexProcess, settings: SettingsWrapper) -> User:
    settings.SIMEX_URL = simex.url
    made: User = User.objects.create_user(username="lea", password="une-phrase-longue-42")
    return made


@pytest.fixture
async def terminal_5(user: User) -> AsyncIterator[None]:
    """The whole service in this process's loop; `user` has the simulated exchange's address set."""
    service = asyncio.create_task(CcxtService().run())
    yield
    service.cancel()
    await asyncio.wait([service], timeout=10)
    assert service.cancelled()
    # One that was overtaken starts anew in its process: it must not show its figures twice.
    assert not [metric.name for metric in REGISTRY.collect() if metric.name.startswith("aristobot_gateway")]
    await close_database()


async def until(condition: Callable[[], Awaitable[Any]], *, timeout_s: float = START_S) -> Any:
    """Ask until the condition, on rows or through the bus, gives something."""
    async with asyncio.timeout(timeout_s):
        while not (found := await condition()):  # noqa: ASYNC110 — rows set no event
            await asyncio.sleep(0.1)
        return found


async def loaded_broker(user: User) -> Broker:
    """Wait for the Simulateur that terminal 5 makes for a user without one, with its markets."""

    def find() -> Broker | None:
        ready = Exchange.objects.filter(pk="simex", load_state=Exchange.LoadState.LOADED).exists()
        return Broker.objects.filter(user=user, exchange="simex").first() if ready else None

    broker: Broker = await until(lambda: in_database(find))
    return broker


@pytest.mark.usefixtures("terminal_5")
async def test_terminal_5_serves_a_new_user_from_markets_to_candles(user: User, simex: SimexProcess) -> None:
    broker = await loaded_broker(user)
    assert (broker.name, broker.is_default) == ("Simulateur", True)
    assert broker.api_secret.startswith("v1:")

    market = await in_database(selectors.market_for, "simex", BTC)
    assert market.quote == "USDT"
    assert market.min_notional

    async with asyncio.timeout(START_S), short_lived_gateway() as gateway:
        balance = await gateway.balance(broker.pk, user_id=user.pk)
        assert balance.free == {"USDT": Decimal(10_000)}
        assert await gateway.price(broker.pk, user_id=user.pk, symbol=BTC) > 0
        with pytest.raises(NotFound):
            await gateway.balance(broker.pk, user_id=user.pk + 1)
        with pytest.raises(NotFound):
            await gateway.balance(broker.pk + 1000, user_id=user.pk)
        await check_window(gateway, broker, simex)
        await check_hot_added_broker(gateway, user, simex)
        assert await gateway.load_markets(broker.pk, user_id=user.pk) == 2
        with pytest.raises(AuthenticationFailed):
            await gateway.test_credentials(
                user_id=user.pk, exchange="simex", credentials={"apiKey": "x", "secret": "y"}, is_testnet=False
            )


@pytest.mark.usefixtures("terminal_5")
async def test_order_placed_elsewhere_is_heard_and_cancelled_from_here(user: User, simex: SimexProcess) -> None:
    broker = await loaded_broker(user)
    async with other_program(broker) as session:
        await until(partial(in_database, streams_up))  # what is told before is asked for within a minute
        price = (await session.fetch_price(BTC) * Decimal("0.9")).quantize(Decimal("0.01"))
        ticket = OrderTicket("their-own-name", BTC, Side.BUY, OrderType.LIMIT, Decimal("0.01"), price)
        await session.create_order(ticket, valid_until=SystemClock().now() + timedelta(seconds=10))
        row = await until(partial(in_database, lambda: Trade.objects.filter(broker=broker).first()))
        assert (row.source, row.owner, row.status, row.price) == ("external", "external", "open", price)
        await in_database(lambda: desk.cancel(trade_id=row.pk, user_id=user.pk, now=SystemClock().now()))
        async with short_lived_gateway() as gateway:
            await gateway.wake_orders()
        await until(partial(in_database, lambda: Trade.objects.filter(pk=row.pk, status="cancelled").exists()))
        assert await session.fetch_open_orders() == []


def streams_up() -> bool:
    """Tell whether terminal 5 says on its presence that it hears the Simulateur."""
    key = redis.from_url(settings.REDIS_URL).get(presence_key("ccxt_service"))
    return key is not None and json.loads(key)["details"]["streams"].get("simex") == {"up": 1}


@asynccontextmanager
async def other_program(broker: Broker) -> AsyncIterator[CcxtSession]:
    """Another program that trades on the same account."""
    access = BrokerAccess(1, 1, "simex", False, stored(broker))
    clock = SystemClock()
    session = CcxtSession(access, budget=RateBudget(clock=clock, rate_per_s=1e4, capacity=1e4), clock=clock)
    await session.load_markets()
    try:
        yield session
    finally:
        await session.close()


async def check_window(gateway: CcxtClient, broker: Broker, simex: SimexProcess) -> None:
    clock = SystemClock()
    until = Timeframe.M1.open_time(from_ms(simex.admin("GET", "run")["market_time"]))
    source = await in_database(selectors.candle_source_of, "simex")
    candles = await ensure_window(
        gateway,
        broker_id=broker.pk,
        user_id=broker.user_id,
        source=source,
        symbol=BTC,
        timeframe=Timeframe.M1,
        until=until,
        count=200,
        deadline=clock.now() + timedelta(seconds=15),
    )
    assert len(candles) == 200
    assert candles[-1].close_time == until


async def check_hot_added_broker(gateway: CcxtClient, user: User, simex: SimexProcess) -> None:
    credentials = simex.new_account()
    added = await in_database(create_broker, user, name="Deux", exchange="simex", credentials=credentials)
    assert (await gateway.balance(added.pk, user_id=user.pk)).free["USDT"] == 10_000
    await in_database(lambda: Broker.objects.filter(pk=added.pk).update(api_secret=secrets.encrypt("faux")))

    async def refused() -> bool:
        try:
            await gateway.balance(added.pk, user_id=user.pk)
        except AuthenticationFailed:
            return True
        return False

    await until(refused, timeout_s=10.0)


def test_registration_makes_one_simulateur_only(user: User) -> None:
    first, second = create_simulateur(user), create_simulateur(user)
    assert first is not None
    assert second is not None
    assert first.pk == second.pk
    assert first.is_default
    assert "api_secret" not in repr(first)


def test_registration_without_simex_goes_on(user: User, settings: SettingsWrapper) -> None:
    settings.SIMEX_URL = "http://127.0.0.1:9"
    assert create_simulateur(user) is None


def test_brokers_page_shows_own_brokers_without_their_keys(user: User) -> None:
    broker = create_simulateur(user)
    assert broker is not None
    other: User = User.objects.create_user(username="max", password="une-phrase-longue-42")
    foreign = create_simulateur(other)
    assert foreign is not None
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    body = client.get("/api/brokers/").json()
    (row,) = body["results"]
    assert row["name"] == "Simulateur"
    assert row["mode"] == "simulation"
    assert row["api_key_hint"] == secrets.decrypt(broker.api_key)[-4:]
    assert secrets.decrypt(broker.api_key) not in str(body)
    assert row["markets"] == {"state": "not_loaded", "progress": 0, "count": 0, "error": "", "loaded_at": None}
    assert client.get(f"/api/brokers/{foreign.pk}/").status_code == 404
    assert client.get(f"/api/brokers/{foreign.pk}/balance/").status_code == 404
    assert client.get(f"/api/symbols/?broker={foreign.pk}").status_code == 404


def test_symbols_are_filtered_and_paged(user: User) -> None:
    broker = create_simulateur(user)
    assert broker is not None
    for base, quote in (("BTC", "USDT"), ("ETH", "USDT"), ("ETH", "BTC")):
        ExchangeSymbol.objects.create(
            exchange="simex",
            symbol=f"{base}/{quote}",
            exchange_symbol=base + quote,
            base=base,
            quote=quote,
            price_precision=Decimal("0.01"),
            amount_precision=Decimal("0.00001"),
        )
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    rows = client.get(f"/api/symbols/?broker={broker.pk}&quote=usdt&search=et").json()["results"]
    assert [row["symbol"] for row in rows] == ["ETH/USDT"]
    assert (rows[0]["tick_size"], rows[0]["step_size"]) == ("0.01", "0.00001")
    assert client.get("/api/symbols/").status_code == 400
    assert len(client.get(f"/api/symbols/?broker={broker.pk}&limit=2").json()["results"]) == 2


def test_candles_of_an_unknown_timeframe_are_refused_in_french(user: User) -> None:
    broker = create_simulateur(user)
    assert broker is not None
    Exchange.objects.create(id="simex", name="Simulateur", candle_source="simex:x")
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    answer = client.get(f"/api/candles/?broker={broker.pk}&symbol=BTC/USDT&timeframe=7m")
    assert answer.status_code == 400
    assert "7m" in answer.json()["message"]
    good = client.get(f"/api/candles/?broker={broker.pk}&symbol=BTC/USDT&timeframe=1m")
    assert good.json() == {"next": None, "previous": None, "results": []}
