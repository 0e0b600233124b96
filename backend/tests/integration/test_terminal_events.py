"""What a page of the manual terminal is told without asking: its broker's orders, the market it shows."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from apps.brokers.models import Broker
from apps.core.adapters.browser_events import ChannelsPublisher
from apps.core.adapters.clock import SystemClock
from apps.core.adapters.market_events import ChannelsMarketPublisher
from apps.orders import claims, events
from apps.orders.models import OrderCommand, Position, Trade
from apps.orders.signals import order_event
from apps.trading_manual.services.live_positions import REVALUE_EVERY_S
from domain.timeframes import Timeframe
from tests.engine_world import CLOSE, SYMBOL
from tests.terminal_world import Page, TerminalWorld, terminal_world

pytestmark = pytest.mark.django_db(transaction=True)

ORDERS = ChannelsPublisher(SystemClock())
MARKETS = ChannelsMarketPublisher(SystemClock())
QUIET_S = 0.2


@pytest.fixture
async def world(db: None) -> AsyncIterator[TerminalWorld]:
    async with terminal_world() as made:
        yield made


async def watching(world: TerminalWorld, **chosen: Any) -> Page:
    page = await world.page(select=False)
    await page.data("select", broker=world.broker.pk, **chosen)
    return page


async def hold(world: TerminalWorld, **more: Any) -> Position:
    position: Position = await Position.objects.acreate(
        user=world.lea,
        broker=world.broker,
        symbol=SYMBOL,
        owner="manual",
        quantity=Decimal("0.5"),
        entry_price=Decimal(90),
        opened_at=CLOSE,
        **more,
    )
    return position


async def test_only_events_of_ones_own_chosen_broker_arrive(world: TerminalWorld) -> None:
    page = await watching(world)
    other = await world.page(world.max)
    await other.data("select", broker=world.other_broker.pk)
    second = await sync_to_async(Broker.objects.create)(user=world.lea, name="Deux", exchange="simex")
    for broker in (second.pk, world.broker.pk):
        await ORDERS.publish("orders", "trade", {"id": broker, "broker": broker}, user_id=world.lea.pk)
    event = await page.event("trade")
    assert (event["topic"], event["data"]) == ("orders", {"id": world.broker.pk, "broker": world.broker.pk})
    assert await page.socket.receive_nothing(timeout=QUIET_S)
    assert await other.socket.receive_nothing(timeout=QUIET_S)


async def test_market_on_screen_arrives_with_its_broker_and_the_one_left_does_not(world: TerminalWorld) -> None:
    page = await watching(world, symbol=SYMBOL, timeframe="5m")
    assert world.interests == [(world.broker.pk, SYMBOL, Timeframe.M5)]
    for timeframe in ("1m", "5m"):
        data = {"symbol": SYMBOL, "timeframe": timeframe, "candle": [0, 1, 1, 1, 1, 1], "closed": False}
        await MARKETS.publish("simex", SYMBOL, "candle", data)
    event = await page.event("candle")
    assert (event["topic"], event["data"]["timeframe"]) == ("market", "5m")
    assert event["data"]["broker"] == world.broker.pk
    await page.data("select", broker=world.broker.pk)  # no symbol on screen any more
    await MARKETS.publish("simex", SYMBOL, "book", {"symbol": SYMBOL, "bids": [], "asks": []})
    assert await page.socket.receive_nothing(timeout=QUIET_S)


async def test_interest_is_renewed_while_the_page_is_open_and_no_longer(world: TerminalWorld) -> None:
    page = await watching(world, symbol=SYMBOL)
    for expected in (2, 3):
        world.clock.advance(10)
        await until_equal(world.interests, expected)
    await page.socket.disconnect()
    world.clock.advance(60)
    await asyncio.sleep(0)
    assert len(world.interests) == 3


async def until_equal(things: list[Any], count: int) -> None:
    async with asyncio.timeout(10):
        while len(things) < count:  # noqa: ASYNC110 — what is awaited has no event of its own
            await asyncio.sleep(0.01)


async def test_impossible_choice_leaves_the_former_one(world: TerminalWorld) -> None:
    page = await watching(world, symbol=SYMBOL)
    for wrong in ({"symbol": "RIEN/USDT"}, {"timeframe": "7m"}, {"broker": world.other_broker.pk}):
        await page.error("select", **{"broker": world.broker.pk, **wrong})
    await MARKETS.publish("simex", SYMBOL, "book", {"symbol": SYMBOL, "bids": [["99", "1"]], "asks": []})
    assert (await page.event("book"))["data"]["bids"] == [["99", "1"]]


async def test_positions_are_valued_when_asked_and_as_the_price_moves(world: TerminalWorld) -> None:
    position = await hold(world, stop_loss=Decimal(80))
    page = await watching(world, symbol=SYMBOL)
    (body,) = (await page.data("positions", broker=world.broker.pk))["results"]
    # 0.5 bought at 90, now at 100.
    assert (body["market_value"], body["unrealized_pnl"], body["owner"]) == ("50", "5", "manual")
    assert body["unrealized_pnl_ratio"] == "0.111111111111111111"  # 100 for 90
    first = await page.event("position")
    assert (first["data"]["id"], first["data"]["unrealized_pnl"]) == (position.pk, "5")
    await MARKETS.publish("simex", SYMBOL, "ticker", {"symbol": SYMBOL, "last": "80"})
    moved = await page.event("position")
    assert (moved["data"]["current_price"], moved["data"]["unrealized_pnl"]) == ("80", "-5")
    await MARKETS.publish("simex", SYMBOL, "ticker", {"symbol": SYMBOL, "last": "81"})  # within the same second
    await page.event("ticker")
    await page.event("ticker")
    assert await page.socket.receive_nothing(timeout=QUIET_S)
    world.gateway.prices[SYMBOL] = Decimal(120)
    world.clock.advance(REVALUE_EVERY_S)
    assert (await page.event("position"))["data"]["unrealized_pnl"] == "15"


async def test_a_position_that_changed_arrives_valued(world: TerminalWorld) -> None:
    page = await watching(world, symbol=SYMBOL)
    await MARKETS.publish("simex", SYMBOL, "ticker", {"symbol": SYMBOL, "last": "110"})
    await page.event("ticker")
    body = events.position_body(await hold(world))
    await ORDERS.publish("orders", "position", body, user_id=world.lea.pk)
    assert (await page.event("position"))["data"]["unrealized_pnl"] == "10"


async def test_price_of_the_live_feed_spares_a_request(world: TerminalWorld) -> None:
    page = await watching(world, symbol=SYMBOL)
    await MARKETS.publish("simex", SYMBOL, "ticker", {"symbol": SYMBOL, "last": "110"})
    await page.event("ticker")
    wanted = {"symbol": SYMBOL, "side": "buy", "order_type": "market", "quantity": "1"}
    found = await page.data("preview", broker=world.broker.pk, **wanted)
    assert (found["reference_price"], world.gateway.calls) == ("110", ["balance"])


def _end_a_command(world: TerminalWorld) -> OrderCommand:
    trade = Trade.objects.create(
        user=world.lea,
        broker=world.broker,
        source="manual",
        owner="manual",
        client_order_id="ended",
        symbol=SYMBOL,
        side="buy",
        type="limit",
        quantity=1,
        status="filled",
        valid_until=CLOSE,
    )
    command: OrderCommand = OrderCommand.objects.create(trade=trade, kind="cancel", status="claimed")
    claims.finish_command(command.pk, now=CLOSE)
    return command


async def test_the_end_of_a_wish_is_an_event(world: TerminalWorld) -> None:
    told: list[dict[str, Any]] = []

    def note(sender: Any, *, event_type: str, data: dict[str, Any], user_id: int, **_: Any) -> None:
        told.append({"type": event_type, "user": user_id, **data})

    order_event.connect(note)
    try:
        command = await sync_to_async(_end_a_command)(world)
    finally:
        order_event.disconnect(note)
    (event,) = told
    assert (event["type"], event["user"], event["broker"]) == ("command", world.lea.pk, world.broker.pk)
    assert (event["id"], event["kind"], event["status"]) == (command.pk, "cancel", "failed")
    assert "déjà entièrement exécuté" in event["error_message"]
