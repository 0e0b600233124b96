"""A restored database: nothing of it is sent again, nothing acts before its user has looked."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async

from apps.core.models import Restoration
from apps.orders import keeper
from apps.orders.models import OrderCommand, Position, Trade
from apps.orders.restored_watch import RestoredWatch
from apps.orders.stream_board import StreamBoard
from apps.trading_engine.models import ActiveStrategy
from apps.trading_engine.services import bots, restoring
from apps.webhooks import selectors as webhooks
from apps.webhooks.models import Webhook, WebhookSource
from aristobot.wiring.restoration import mark_restored
from domain.errors import Conflict, ExchangeUnavailable
from domain.orders import OrderTicket, OrderType, Side
from tests.engine_world import make_bot
from tests.fakes.exchange import FakeSessions
from tests.fakes.gateway_world import FakeDirectory
from tests.fakes.orders_room import OrdersRoom, know_market, orders_room, refreshed

pytestmark = pytest.mark.django_db(transaction=True)

FACTS = {"taken_at": "2026-01-01T00:00:00.000000Z", "host": "atelier"}


@dataclass
class World:
    room: OrdersRoom
    watch: RestoredWatch

    async def restore(self) -> None:
        await sync_to_async(mark_restored)(FACTS, now=self.room.clock.now())

    async def look(self) -> dict[str, Any]:
        rows = [row async for row in Restoration.objects.filter(confirmed_at=None)]
        await self.watch.look(rows)
        body = await sync_to_async(restoring.body_of)(self.room.user.id)
        report: dict[str, Any] = body["report"]
        return report

    async def confirm(self) -> dict[str, Any]:
        return await sync_to_async(restoring.confirm)(self.room.user.id, now=self.room.clock.now())

    def elsewhere(self, side: Side, quantity: str, name: str = "x" * 32) -> None:
        """Trade on the account as the instance that went on."""
        ticket = OrderTicket(name, "BTC/USDT", side, OrderType.MARKET, Decimal(quantity), None)
        self.room.exchange.place(self.room.broker.id, ticket)


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with orders_room() as room:
        await sync_to_async(know_market)(room)
        directory = FakeDirectory()
        directory.add(room.broker.id, room.user.id, "simex", {})
        watch = RestoredWatch(
            FakeSessions(room.exchange),
            directory,
            room.clock,
            board=StreamBoard(room.clock),
            may_apply=lambda: True,
            publisher=room.publisher,
        )
        yield World(room, watch)


async def test_waiting_order_is_looked_up_and_never_sent(world: World) -> None:
    left = await world.room.submitted(quantity="1")  # the instance that went on sent this one
    lost = await world.room.submitted(quantity="2")  # and died before that one
    await world.restore()
    world.elsewhere(Side.BUY, "1", left.client_order_id)
    executor, _ = world.room.executor()
    await world.room.settle(executor, seconds=120, step=5)
    assert "create_order" not in world.room.exchange.calls
    assert len(world.room.exchange.orders_of(left.client_order_id)) == 1
    assert (await refreshed(left)).status == "filled"
    assert (await refreshed(lost)).status in ("expired", "rejected")


async def test_wishes_and_calls_of_the_backup_are_given_up(world: World) -> None:
    trade = await world.room.submitted(price="80")
    await OrderCommand.objects.acreate(trade=trade, kind="cancel")
    user = world.room.user
    source = await WebhookSource.objects.acreate(user=user, broker=world.room.broker, name="s", token_hash="h")
    call = await Webhook.objects.acreate(user=user, origin=source, source="s", created_at=world.room.clock.now())
    await world.restore()
    assert (await OrderCommand.objects.aget()).status == "failed"
    await call.arefresh_from_db()
    assert (call.status, call.code) == ("refused", "restored")


async def test_bots_protections_and_webhooks_wait_for_the_user(world: World) -> None:
    bot = await sync_to_async(make_bot)(world.room.user, world.room.broker)
    executor, _ = world.room.executor()
    await world.room.submitted(quantity="1", stop_loss=Decimal(90))
    await executor.cycle()  # filled; its protection would be placed next
    await world.restore()
    source = await WebhookSource.objects.acreate(
        user=world.room.user, broker=world.room.broker, name="s", token_hash="h"
    )
    now = world.room.clock.now()
    await Webhook.objects.acreate(user=world.room.user, origin=source, source="s", created_at=now)
    with pytest.raises(Conflict, match="sauvegarde"):
        await sync_to_async(bots.resume)(world.room.user.id, bot.id, now=now)
    assert await sync_to_async(keeper.survey)() == []
    assert await sync_to_async(webhooks.waiting_sources)(now=now) == []

    await world.look()
    done = await world.confirm()
    assert (done["resumed"], done["closed"], done["refusals"]) == (1, 0, [])
    assert (await ActiveStrategy.objects.aget()).is_active
    assert await sync_to_async(webhooks.waiting_sources)(now=now) == [source.id]


async def test_position_sold_elsewhere_is_named_and_closed_without_a_sale(world: World) -> None:
    executor, _ = world.room.executor()
    await world.room.submitted(quantity="1")
    await executor.cycle()
    await world.restore()
    # 10 BTC were there, 0.999 were bought (fee in base); all is sold but 0.5: the position is not covered.
    world.elsewhere(Side.SELL, "10.499")
    report = await world.look()
    assert report["found"] == 1
    (sold,) = report["positions"]
    assert (sold["symbol"], Decimal(sold["quantity"]), Decimal(sold["held"])) == (
        "BTC/USDT",
        Decimal("0.999"),
        Decimal("0.5"),
    )
    taken = len(world.room.exchange.accepted)
    assert (await world.confirm())["closed"] == 1
    await world.room.settle(executor, seconds=5)
    assert len(world.room.exchange.accepted) == taken
    closed = await Position.objects.aget(id=sold["id"])
    assert (closed.status, closed.closing_reason) == ("closed", restoring.SOLD_ELSEWHERE)


async def test_nobody_confirms_before_the_exchange_was_asked_and_silence_is_said(world: World) -> None:
    await world.restore()
    with pytest.raises(Conflict, match="pas encore dit"):
        await world.confirm()
    world.room.exchange.fail("fetch_open_orders", ExchangeUnavailable("Simulateur ne répond pas."))
    report = await world.look()
    assert report["failures"] == ["Simulateur ne répond pas."]
    assert await Trade.objects.acount() == 0
    await world.confirm()
    assert await sync_to_async(restoring.body_of)(world.room.user.id) == {"waiting": False}
