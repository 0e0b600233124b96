"""*Clôturer*: one wish leaves a position, whatever protects it; told again, it does nothing twice."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from apps.orders.models import OrderCommand, Position, Trade
from domain.errors import Unavailable
from tests.engine_world import CLOSE, SYMBOL
from tests.terminal_world import TerminalWorld, terminal_world

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def world(db: None) -> AsyncIterator[TerminalWorld]:
    async with terminal_world() as made:
        yield made


def _hold(world: TerminalWorld, **more: Any) -> Position:
    given = {"owner": "manual", "quantity": Decimal("0.5"), "entry_price": Decimal(90), "opened_at": CLOSE, **more}
    position: Position = Position.objects.create(user=world.lea, broker=world.broker, symbol=SYMBOL, **given)
    return position


def _protect(world: TerminalWorld) -> list[Trade]:
    """The two linked orders of a SL + TP placed by hand, at rest."""
    common = {
        "user": world.lea,
        "broker": world.broker,
        "symbol": SYMBOL,
        "owner": "manual",
        "source": "manual",
        "intent": "protection",
        "side": "sell",
        "quantity": Decimal("0.5"),
        "status": "open",
        "link_id": "pair",
        "link_mode": "oco",
        "valid_until": CLOSE,
    }
    return [
        Trade.objects.create(client_order_id=f"leg{price}", type=kind, stop_price=Decimal(price), **common)
        for kind, price in (("stop_loss", 80), ("take_profit", 120))
    ]


async def test_protected_position_first_cancels_what_holds_its_quantity(world: TerminalWorld) -> None:
    position = await sync_to_async(_hold)(world)
    await sync_to_async(_protect)(world)
    page = await world.page()
    asked = {"broker": world.broker.pk, "position": position.pk}
    first = await page.ask("close", request_id="leave", **asked)
    assert (first["data"]["step"], first["data"]["position"]["status"]) == ("cancelling", "closing")
    commands = [command async for command in OrderCommand.objects.all()]
    assert {command.kind for command in commands} == {"cancel"}
    again = await page.ask("close", request_id="leave", **asked)
    assert again["data"] == first["data"]
    assert await OrderCommand.objects.acount() == len(commands)
    assert await Trade.objects.filter(type="market").acount() == 0  # nothing is sold before the final word


async def test_bare_position_is_sold_at_once_and_a_second_wish_is_refused(world: TerminalWorld) -> None:
    position = await sync_to_async(_hold)(world)
    page = await world.page()
    data = await page.data("close", broker=world.broker.pk, position=position.pk)
    assert (data["step"], data["trade"]["type"], data["trade"]["quantity"]) == ("selling", "market", "0.5")
    error = await page.error("close", broker=world.broker.pk, position=position.pk)
    assert "déjà en cours de clôture" in error["message"]
    assert await Trade.objects.acount() == 1


async def test_without_a_price_and_terminal_5_the_wish_is_recorded_and_told(world: TerminalWorld) -> None:
    position = await sync_to_async(_hold)(world)
    world.gateway.failures["price"] = Unavailable("Service CCXT (terminal 5) arrêté.")
    world.presences.is_alive = False
    world.clock.advance(60)
    page = await world.page()
    data = await page.data("close", broker=world.broker.pk, position=position.pk)
    assert data["position"]["status"] == "closing"
    assert "La clôture est enregistrée" in data["warnings"][0]


async def test_nobody_closes_another_users_position(world: TerminalWorld) -> None:
    position = await sync_to_async(_hold)(world)
    page = await world.page(world.max)
    error = await page.error("close", broker=world.other_broker.pk, position=position.pk)
    assert error["code"] == "not_found"
    assert (await Position.objects.aget()).status == "open"


async def test_dust_is_refused_with_the_minimum_and_stays_open(world: TerminalWorld) -> None:
    position = await sync_to_async(_hold)(world, quantity=Decimal("0.001"))
    page = await world.page()
    error = await page.error("close", broker=world.broker.pk, position=position.pk)
    assert "inférieure au minimum" in error["message"]
    assert (await Position.objects.aget()).status == "open"
    assert (await Trade.objects.aget()).status == "rejected"
