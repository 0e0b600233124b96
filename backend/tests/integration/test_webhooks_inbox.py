"""Terminal 3 acts upon calls: once each, in their order, and says what it did not do and why."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone
from structlog.testing import capture_logs

from apps.orders.models import Position, Trade
from apps.orders.selectors import live_position
from apps.trading_engine.database import Database
from apps.webhooks import selectors
from apps.webhooks.models import Webhook
from apps.webhooks.selectors import owner_of
from apps.webhooks.services import settling
from domain.errors import AuthenticationFailed, DeadlineExceeded
from tests.engine_world import SYMBOL
from tests.webhook_world import BUY, WebhookWorld

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def world(transactional_db: None) -> AsyncIterator[WebhookWorld]:
    database = Database(threads=2)
    world = WebhookWorld(database)
    await world.prepare()
    yield world
    database.close()


def statuses(calls: list[Webhook]) -> list[str]:
    return [call.status for call in calls]


async def holds(world: WebhookWorld, quantity: str, **fields: Any) -> None:
    """Give the source an open position bought at 100."""

    def make() -> None:
        Position.objects.create(
            user_id=world.user_id,
            broker_id=world.broker_id,
            symbol=SYMBOL,
            owner=owner_of(world.source_id),
            quantity=Decimal(quantity),
            entry_price=Decimal(100),
            opened_at=world.clock.now(),
            **fields,
        )

    await world.run(make)


async def finish(world: WebhookWorld, **changes: Any) -> None:
    """Let the exchange end every order."""
    values = {"status": "filled", "acknowledged_at": world.clock.now(), "closed_at": world.clock.now(), **changes}
    await world.run(lambda: Trade.objects.update(**values))


async def test_call_becomes_an_order_of_its_source(world: WebhookWorld) -> None:
    (call,) = await world.received({**BUY, "stop_loss": "2 %", "take_profit": "104"})
    (trade,) = await world.trades()
    assert (call.status, call.symbol, call.action) == ("executed", SYMBOL, "buy")
    assert (trade.source, trade.owner, trade.intent) == ("webhook", owner_of(world.source_id), "entry")
    assert (trade.webhook_id, trade.status, trade.quantity) == (call.id, "pending", Decimal("0.5"))
    assert (trade.stop_loss, trade.take_profit) == (Decimal(98), Decimal(104))
    told = [event for event in world.publisher.events if event[1] == "call"]
    assert [event[2]["trades"][0]["id"] for event in told] == [trade.id]


async def test_call_found_again_after_a_crash_is_not_executed_twice(world: WebhookWorld) -> None:
    await world.received(BUY)
    # The verdict is lost, the order is not: as if a backup had been laid over one table.
    await world.run(lambda: Webhook.objects.update(processed=False, status="received"))
    await world.inbox().drain()
    assert len(await world.trades()) == 1
    assert statuses(await world.calls()) == ["executed"]


@pytest.mark.parametrize("lost_in", ["waiting_sources", "with_orders"])
async def test_calls_wait_for_a_database_that_is_away(
    world: WebhookWorld, monkeypatch: pytest.MonkeyPatch, lost_in: str
) -> None:
    def away(*_: object, **__: object) -> None:
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(selectors, lost_in, away)
    with capture_logs() as said:
        assert (await world.post(BUY))[0] == 202
        inbox = world.inbox()
        await inbox._look()
        await asyncio.gather(*inbox._workers.values())
    monkeypatch.undo()
    await world.inbox().drain()
    assert statuses(await world.calls()) == ["executed"]
    loud = [line["event"] for line in said if line["log_level"] in ("warning", "error")]
    assert loud == ["webhooks.database_down"]


async def test_same_id_or_same_text_is_executed_once(world: WebhookWorld) -> None:
    named = {**BUY, "id": "a-1"}
    calls = await world.received(named, BUY, {**named, "quote_amount": "60"}, BUY)
    assert statuses(calls) == ["executed", "received", "duplicate", "duplicate"]  # the second waits for the first
    assert [call.duplicate_of_id for call in calls[2:]] == [calls[0].id, calls[1].id]
    await finish(world)
    world.clock.advance(31)
    calls = await world.received(BUY)  # the same text, later than the window
    assert statuses(calls) == ["executed", "executed", "duplicate", "duplicate", "received"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("{{ticker}} buy", "placeholder"),
        ({**BUY, "ticker": "BTCUSDT.P"}, "derivative"),
        ({**BUY, "ticker": "DOGEUSDT"}, "unknown_symbol"),
        ({"ticker": "BTCUSDT", "action": "buy"}, "no_size"),
        ({**BUY, "time": "2020-01-01T00:00:00Z"}, "stale"),
        ({**BUY, "quote_amount": "4.20"}, "notional_too_small"),
        ({**BUY, "quote_amount": "5000"}, "insufficient_funds"),
    ],
)
async def test_call_that_cannot_be_executed_says_why(world: WebhookWorld, body: Any, code: str) -> None:
    (call,) = await world.received(body)
    assert (call.processed, call.code) == (True, code)
    assert call.status == ("stale" if code == "stale" else "refused")
    assert call.reason
    assert [trade.status for trade in await world.trades()] in ([], ["rejected"])


async def test_source_s_own_rules_are_kept(world: WebhookWorld) -> None:
    await world.change(max_quote_amount=Decimal(40), allowed_symbols=["ETH/USDT"])
    assert [call.code for call in await world.received(BUY)] == ["symbol_not_allowed"]
    await world.change(allowed_symbols=[SYMBOL])
    assert [call.code for call in await world.received({**BUY, "id": "b"})][1:] == ["over_limit"]
    await world.change(default_quote_amount=Decimal(30))
    await world.received("buy BTCUSDT")
    assert (await world.trades())[-1].quantity == Decimal("0.3")


async def test_secret_of_the_body_is_asked_for_and_never_shown(transactional_db: None) -> None:
    database = Database(threads=1)
    world = WebhookWorld(database)
    await world.prepare(secret="le-mien")
    calls = await world.received(BUY, {**BUY, "secret": "le-tien"}, {**BUY, "secret": "le-mien"})
    assert [call.code for call in calls] == ["bad_secret", "bad_secret", ""]
    assert len(await world.trades()) == 1
    assert not any("le-mien" in str(call.payload) + call.reason + call.body for call in calls)
    database.close()


async def test_call_too_old_when_terminal_3_comes_back_is_not_executed(world: WebhookWorld) -> None:
    assert (await world.post(BUY))[0] == 202
    world.clock.advance(61)
    await world.inbox().drain()
    (call,) = await world.calls()
    assert (call.status, "reçu il y a 61 s, limite 60 s" in call.reason) == ("stale", True)
    assert await world.trades() == []


async def test_exchange_that_does_not_answer_is_asked_again_while_the_call_is_fresh(world: WebhookWorld) -> None:
    world.gateway.failures["price"] = DeadlineExceeded("Le service CCXT n'a pas répondu.")
    (call,) = await world.received(BUY)
    assert (call.status, call.reason) == ("received", "Le service CCXT n'a pas répondu.")
    del world.gateway.failures["price"]
    world.clock.advance(2)
    await world.inbox().drain()
    assert statuses(await world.calls()) == ["executed"]
    world.gateway.failures["price"] = AuthenticationFailed("Clé refusée par simex.")
    await finish(world)
    calls = await world.received({**BUY, "id": "c"})
    assert (calls[-1].status, calls[-1].reason) == ("refused", "Clé refusée par simex.")


async def test_calls_of_one_market_wait_for_the_order_before_them(world: WebhookWorld) -> None:
    calls = await world.received(BUY, {"ticker": "BTCUSDT", "action": "close"})
    assert statuses(calls) == ["executed", "received"]
    assert "n'était pas terminé" in calls[1].reason
    await finish(world, filled_quantity=Decimal("0.5"))
    await holds(world, "0.5")
    world.clock.advance(1)
    await world.inbox().drain()
    assert statuses(await world.calls()) == ["executed", "executed"]
    exit_ = (await world.trades())[1]
    assert (exit_.side, exit_.quantity, exit_.intent) == ("sell", Decimal("0.5"), "exit")
    position = await world.run(Position.objects.get)
    assert position.status == "closing"
    told = world.publisher.events[-1][2]
    assert (told["left_position"], [trade["id"] for trade in told["trades"]]) == (position.id, [exit_.id])


async def test_protected_position_is_left_whole_and_not_in_part(world: WebhookWorld) -> None:
    await holds(world, "0.5")

    def protect() -> None:
        Trade.objects.create(
            user_id=world.user_id,
            broker_id=world.broker_id,
            position=Position.objects.get(),
            symbol=SYMBOL,
            source="webhook",
            owner=owner_of(world.source_id),
            intent="protection",
            client_order_id="sl",
            side="sell",
            type="stop_loss",
            quantity=Decimal("0.5"),
            stop_price=90,
            status="open",
            acknowledged_at=world.clock.now() - timedelta(minutes=1),
            reserved_currency="BTC",
            reserved_amount=Decimal("0.5"),
            valid_until=world.clock.now(),
        )

    await world.run(protect)
    world.gateway.free[world.broker_id] = {"USDT": Decimal(1000)}
    calls = await world.received("sell BTCUSDT 0.2 BTC", "sell BTCUSDT 100%")
    assert [call.code for call in calls] == ["protected", ""]
    assert "s'annulent d'abord" in calls[1].reason
    assert (await world.run(Position.objects.get)).status == "closing"
    assert len(await world.trades()) == 1  # what remains is sold once the protection has ended


async def test_short_of_the_sender_says_that_it_was_taken_for_an_exit(world: WebhookWorld) -> None:
    (call,) = await world.received({"ticker": "BTCUSDT", "action": "target", "market_position": "short"})
    assert (call.status, call.reason.count("« short » compris comme une sortie")) == ("nothing", 1)


async def test_target_asked_twice_trades_once(world: WebhookWorld) -> None:
    target = {"ticker": "BTCUSDT", "action": "target", "quantity": "0.5"}
    calls = await world.received({**target, "id": "1"})
    await finish(world)
    await holds(world, "0.5")
    calls = await world.received({**target, "id": "2"})
    assert statuses(calls) == ["executed", "nothing"]
    assert [trade.quantity for trade in await world.trades()] == [Decimal("0.5")]


async def test_order_that_ends_while_a_target_is_planned_is_not_bought_again(
    world: WebhookWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = {"ticker": "BTCUSDT", "action": "target", "quantity": "0.5"}
    await world.received({**target, "id": "1"})

    def read_and_filled(*key: Any) -> Position | None:
        found = live_position(*key)  # the order's fill is committed by another process right after
        Trade.objects.update(status="filled", acknowledged_at=world.clock.now(), closed_at=world.clock.now())
        return found

    monkeypatch.setattr(settling, "live_position", read_and_filled)
    calls = await world.received({**target, "id": "2"})
    assert statuses(calls) == ["executed", "received"]
    assert len(await world.trades()) == 1


async def test_cancel_ends_the_source_s_orders_and_no_other(world: WebhookWorld) -> None:
    limit = {**BUY, "type": "limit", "price": "90"}
    await world.received(limit)

    def another_s() -> None:
        Trade.objects.create(
            user_id=world.user_id,
            broker_id=world.broker_id,
            symbol=SYMBOL,
            source="manual",
            owner="manual",
            client_order_id="manuel",
            side="buy",
            type="limit",
            quantity=1,
            price=90,
            valid_until=timezone.now(),
        )

    await world.run(another_s)
    cancel = {"ticker": "BTCUSDT", "action": "cancel"}
    calls = await world.received({**cancel, "id": "1"}, {**cancel, "id": "2"})
    assert statuses(calls) == ["executed", "executed", "nothing"]
    assert [trade.status for trade in await world.trades()] == ["cancelled", "pending"]


async def test_two_terminals_share_the_calls_and_double_none(world: WebhookWorld) -> None:
    door = world.door()
    for index in range(6):
        limit = {**BUY, "quote_amount": "10", "type": "limit", "price": "90", "id": str(index)}
        await world.post(limit, door=door)
    await asyncio.gather(world.inbox().drain(), world.inbox().drain())
    while not all(call.processed for call in await world.calls()):
        await world.run(lambda: Trade.objects.update(acknowledged_at=world.clock.now(), status="open"))
        world.clock.advance(1)
        await asyncio.gather(world.inbox().drain(), world.inbox().drain())
    calls, trades = await world.calls(), await world.trades()
    assert statuses(calls) == ["executed"] * 6
    assert sorted(trade.webhook_id for trade in trades) == [call.id for call in calls]


async def test_source_taken_away_ends_what_waits(world: WebhookWorld) -> None:
    await world.post(BUY)
    await world.change(revoked_at=datetime.now(world.clock.now().tzinfo) + timedelta(0))
    await world.inbox().drain()
    (call,) = await world.calls()
    assert (call.status, call.code) == ("refused", "disabled")


@pytest.mark.parametrize("status", ["pending", "unknown"])
async def test_call_behind_an_order_costs_the_exchange_nothing(world: WebhookWorld, status: str) -> None:
    await world.received(BUY)
    await world.run(lambda: Trade.objects.update(status=status))
    asked = list(world.gateway.calls)
    await world.received({**BUY, "id": "1"})
    told = len(world.publisher.events)
    for _ in range(5):
        world.clock.advance(1)
        await world.inbox().drain()
    assert statuses(await world.calls()) == ["executed", "received"]
    assert world.gateway.calls == asked
    assert len(world.publisher.events) == told  # browsers were told once that it waits
