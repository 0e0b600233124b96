"""What goes and what stays, in the real database."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session

from apps.core.adapters.database import in_database
from apps.core.models import CandleHeartbeat, HeartbeatStatus, RetentionRun
from apps.core.services import retention
from apps.core.services.retention import Retention
from apps.orders.models import Fill, OrderCommand, Trade
from apps.trading_engine.models import BotDecision
from apps.webhooks.models import Webhook
from aristobot.wiring.retention import retention_rules
from tests.engine_world import make_bot, make_broker, make_user

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=1000)
OLD = NOW - timedelta(days=200)


class Awake:
    """A clock at `NOW` that never waits."""

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None: ...


def aged(row: Any, at: datetime) -> Any:
    type(row).objects.filter(pk=row.pk).update(created_at=at)
    return row


def make_rows() -> dict[str, int]:
    user = make_user()
    broker = make_broker(user)
    bot = make_bot(user, broker)
    trade = Trade.objects.create(
        user=user, broker=broker, bot=bot, source="strategy", owner=f"bot:{bot.pk}", client_order_id="a",
        symbol="BTC/USDT", side="buy", type="market", quantity=1, status="filled", valid_until=LONG_AGO,
    )  # fmt: skip
    Fill.objects.create(
        trade=trade, broker=broker, symbol="BTC/USDT", exchange_trade_id="1", price=1, quantity=1, fee=0,
        fee_currency="USDT", executed_at=LONG_AGO,
    )  # fmt: skip
    OrderCommand.objects.create(trade=trade, kind="cancel", status="done", done_at=OLD)
    OrderCommand.objects.create(trade=trade, kind="cancel", status="pending")
    for minute, made in enumerate((None, None, trade)):
        decision = BotDecision.objects.create(
            bot=bot, feed="x", signal_id=str(minute), close_time=OLD + timedelta(minutes=minute), status="decided",
            trade=made,
        )  # fmt: skip
        aged(decision, OLD)
    calls: dict[str, Any] = {"user": user, "source": "s", "body": "buy", "created_at": OLD}
    Webhook.objects.create(**calls, processed=True, status="refused")
    waiting = Webhook.objects.create(**calls)
    executed = Webhook.objects.create(**calls, processed=True, status="executed")
    Trade.objects.filter(pk=trade.pk).update(webhook=executed)
    run = HeartbeatStatus.objects.create(source="primary", location="x", last_application_start=LONG_AGO)
    for minute in range(3):
        at = OLD + timedelta(minutes=minute)
        CandleHeartbeat.objects.create(
            heartbeat_status=run, dhm_reception=at, dhm_candle=at, signal_type="1m", symbol="BTCUSDT", feed="x",
            source="primary", open_time=at, open_price=1, high_price=1, low_price=1, close_price=1, volume=0,
            trade_count=0, published_at=at,
        )  # fmt: skip
    Session.objects.create(session_key="old", session_data="", expire_date=OLD)
    Session.objects.create(session_key="new", session_data="", expire_date=NOW + timedelta(days=1))
    return {"waiting": waiting.pk, "executed": executed.pk}


async def test_old_rows_go_in_batches_and_money_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 1)
    ids = await in_database(make_rows)
    counts = await Retention(retention_rules(), clock=Awake()).forget_all()
    # Two of three candles (the newest stays), two decisions without an order, one refused call, one text.
    assert counts == {
        "signals": 2,
        "decisions": 2,
        "webhooks": 1,
        "webhook_bodies": 1,
        "commands": 1,
        "sessions": 1,
    }
    assert (await Trade.objects.acount(), await Fill.objects.acount()) == (1, 1)
    assert [row.trade_id is not None async for row in BotDecision.objects.all()] == [True]
    texts = {row.pk: row.body async for row in Webhook.objects.all()}
    assert texts == {ids["waiting"]: "buy", ids["executed"]: ""}
    assert await OrderCommand.objects.filter(status="pending").acount() == 1
    told = await RetentionRun.objects.alatest("id")
    assert (told.ran_at, told.deleted) == (NOW, counts)


async def test_first_look_deletes_nothing_and_counts_as_one() -> None:
    assert await in_database(retention.last_run, NOW) == NOW
    assert await in_database(retention.last_run, NOW + timedelta(days=5)) == NOW
