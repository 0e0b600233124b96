"""An exchange, a key or a broker that goes away in the middle: said in French, in the exchange's words."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pytest_django.fixtures import SettingsWrapper

from apps.core.adapters.clock import SystemClock
from domain.errors import (
    AuthenticationFailed,
    ExchangeUnavailable,
    NotFound,
    OrderNotExecuted,
    OrderOutcomeUnknown,
    OrderRejected,
)
from domain.orders import OrderHandle, OrderTicket, OrderType, Side
from tests.fakes.gateway_world import GatewayWorld, make_gateway
from tests.fakes.simex_process import SimexProcess, running_simex

CLOCK = SystemClock()
BTC = "BTC/USDT"


@pytest.fixture(scope="module")
def simex() -> Iterator[SimexProcess]:
    with running_simex("--seed", "19", "--symbols", "BTCUSDT") as process:
        yield process


@pytest.fixture
async def world(simex: SimexProcess, settings: SettingsWrapper) -> AsyncIterator[GatewayWorld]:
    settings.SIMEX_URL = simex.url
    world = make_gateway(CLOCK, speed=1e4)
    world.directory.add(1, 1, "simex", simex.new_account())
    await world.manager.session(1)
    yield world
    simex.admin("DELETE", "faults")
    await world.manager.close()


def http_fault(body: str, content_type: str) -> dict[str, Any]:
    return {"kind": "http_error", "params": {"status": 503, "body": body, "content_type": content_type}}


def ticket(name: str) -> OrderTicket:
    return OrderTicket(name * 32, BTC, Side.BUY, OrderType.MARKET, Decimal("0.01"))


def valid_until() -> datetime:
    return CLOCK.now() + timedelta(seconds=10)


async def asked(simex: SimexProcess) -> None:
    """Wait until the exchange has a request whose answer is held back."""
    async with asyncio.timeout(5):
        while not simex.admin("GET", "faults")[0]["fired"]:  # noqa: ASYNC110 — the exchange sets no event
            await asyncio.sleep(0.02)


async def delete_broker(world: GatewayWorld) -> None:
    world.directory.accesses.clear()
    await world.manager.follow_directory()


async def test_broker_deleted_while_it_is_read_ends_the_read_at_once(
    world: GatewayWorld, simex: SimexProcess
) -> None:
    session = await world.manager.session(1)
    simex.admin("POST", "faults", {"kind": "delay_before", "path": "/account", "params": {"ms": 8000}})
    reading = asyncio.create_task(session.fetch_balance())
    await asked(simex)
    await delete_broker(world)
    with pytest.raises(ExchangeUnavailable, match="le broker a été supprimé, désactivé ou modifié"):
        await asyncio.wait_for(reading, 3)
    with pytest.raises(NotFound, match="Broker 1 introuvable ou inactif"):
        await world.manager.session(1)


async def test_broker_deleted_while_its_order_is_on_its_way_leaves_it_unknown(
    world: GatewayWorld, simex: SimexProcess
) -> None:
    session = await world.manager.session(1)
    held = {"kind": "delay_after", "method": "POST", "path": "/order", "params": {"ms": 8000}}
    simex.admin("POST", "faults", held)
    sending = asyncio.create_task(session.create_order(ticket("1"), valid_until=valid_until()))
    await asked(simex)
    await delete_broker(world)
    with pytest.raises(OrderOutcomeUnknown, match="recherché par son identifiant"):
        await asyncio.wait_for(sending, 3)


@pytest.mark.parametrize(
    ("fault", "words", "order_error"),
    [
        (
            http_fault("<html>Service Unavailable</html>", "text/html"),
            "503 Service Unavailable",
            OrderOutcomeUnknown,
        ),
        (
            {"kind": "binance_error", "params": {"code": -1, "msg": "System is under maintenance.", "status": 503}},
            "System is under maintenance.",
            OrderOutcomeUnknown,
        ),
        ({"kind": "binance_error", "params": {"code": -1008}}, "Server is currently overloaded", OrderNotExecuted),
    ],
)
async def test_exchange_in_maintenance_is_quoted(
    world: GatewayWorld, simex: SimexProcess, fault: dict[str, Any], words: str, order_error: type[Exception]
) -> None:
    session = await world.manager.session(1)
    simex.admin("POST", "faults", {**fault, "times": 2})
    with pytest.raises(ExchangeUnavailable, match=f"^Lecture du solde impossible chez Simulateur : .*{words}"):
        await session.fetch_balance()
    with pytest.raises(order_error, match=rf"^Ordre .* Simulateur \(BTC/USDT\).*{words}"):
        await session.create_order(ticket("2"), valid_until=valid_until())


@pytest.mark.parametrize(("code", "words"), [(-2014, "API-key format invalid."), (-2015, "Invalid API-key, IP")])
async def test_expired_key_is_said_with_the_exchange_s_words(
    world: GatewayWorld, simex: SimexProcess, code: int, words: str
) -> None:
    session = await world.manager.session(1)
    await session.fetch_balance()  # ccxt words a refusal differently once a key has worked
    simex.admin("POST", "faults", {"kind": "binance_error", "params": {"code": code}, "times": 3})
    with pytest.raises(AuthenticationFailed, match=f"^Lecture du solde .* : clés refusées .*{words}"):
        await session.fetch_balance()
    with pytest.raises(OrderRejected, match=f"^Ordre refusé par Simulateur .*{words}"):
        await session.create_order(ticket("3"), valid_until=valid_until())
    with pytest.raises(AuthenticationFailed, match=f"^Annulation .* : clés refusées .*{words}"):
        await session.cancel_order(OrderHandle(BTC, client_order_id="3" * 32))
