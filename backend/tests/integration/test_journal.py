"""`/api/logs/` and its traces: the user's own lines and steps, in their order, with the delays between them."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.test import Client
from pytest_django.fixtures import SettingsWrapper

from apps.alerts.services import recording
from apps.journal.live import narrowed
from apps.orders.models import Fill, OrderCommand, Trade
from apps.trading_engine.models import BotDecision
from domain.alerts import AlertKind
from tests.engine_world import CLOSE, make_bot, make_broker, make_user

pytestmark = pytest.mark.django_db
T0 = datetime(2026, 11, 26, 10, 0, tzinfo=UTC)


def after(milliseconds: int) -> datetime:
    return T0 + timedelta(milliseconds=milliseconds)


@pytest.fixture
def folder(tmp_path: Path, settings: SettingsWrapper) -> Path:
    settings.ARISTOBOT_DATA_DIR = tmp_path
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs"


def line(number: int, **more: Any) -> dict[str, Any]:
    head: dict[str, Any] = {name: more.pop(name) for name in ("trace_id", "user_id") if name in more}
    time = f"2026-11-26T10:00:{number:02}.000000Z"
    given = {
        "id": f"ab.{number}",
        "time": time,
        "level": "info",
        "terminal": "ccxt_service",
        "event": "orders.state",
    }
    return {**given, **head, "fields": more}


def write(folder: Path, *lines: dict[str, Any]) -> None:
    (folder / "ccxt_service.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))


def get(user: Any, path: str, **query: Any) -> Any:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client.get(f"/api/logs/{path}", query)


def test_user_reads_her_lines_and_the_instances_page_by_page(folder: Path) -> None:
    lea, other = make_user("lea"), make_user("max")
    broker = make_broker(other)
    write(
        folder, line(1), line(2, user_id=other.pk), line(3, broker_id=broker.pk), line(4, user_id=lea.pk), line(5)
    )
    page = get(lea, "", limit=2).json()
    assert [one["id"] for one in page["results"]] == ["ab.5", "ab.4"]
    rest = get(lea, "", limit=2, before=page["next"]).json()
    assert ([one["id"] for one in rest["results"]], rest["next"]) == (["ab.1"], None)
    assert [one["id"] for one in get(other, "").json()["results"]] == ["ab.5", "ab.3", "ab.2", "ab.1"]


def test_unreadable_question_is_refused_in_french(folder: Path) -> None:
    answer = get(make_user("lea"), "", before="hier")
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_input"


@pytest.fixture
def traced(folder: Path) -> dict[str, Any]:
    """A bot's purchase: signal, decision, sent, accepted, filled; then its protection is refused."""
    lea = make_user("lea")
    broker = make_broker(lea)
    bot = make_bot(lea, broker)
    trace = f"5m_1700000000000.bot{bot.pk}"
    decision = BotDecision.objects.create(
        bot=bot,
        feed="x",
        signal_id="5m_1700000000000",
        close_time=CLOSE,
        sent_at=after(0),
        status="decided",
        action="buy",
        reason="signal d'achat",
        decided_at=after(40),
        details={"duration_ms": 12.5},
    )
    BotDecision.objects.filter(pk=decision.pk).update(created_at=after(5))
    trade = _trade(lea, broker, trace, client_order_id="c1", created=after(45), status="filled")
    Trade.objects.filter(pk=trade.pk).update(
        sending_at=after(52), acknowledged_at=after(80), closed_at=after(95), exchange_order_id="77"
    )
    fill = Fill.objects.create(
        trade=trade,
        broker=broker,
        symbol="BTC/USDT",
        exchange_trade_id="9",
        price=100,
        quantity=1,
        fee=Decimal("0.1"),
        fee_currency="USDT",
        executed_at=CLOSE,
    )
    Fill.objects.filter(pk=fill.pk).update(received_at=after(90))
    OrderCommand.objects.create(trade=trade, kind="cancel", status="failed")
    OrderCommand.objects.update(created_at=after(2000), done_at=after(2100), error_message="déjà exécuté")
    recording.record(
        lea.pk, kind=AlertKind.ORDER, code="x", subject="trade:1", message="À voir", now=after(3000), trace_id=trace
    )
    _trade(lea, broker, "order.other", client_order_id="c2", created=after(46), status="open")
    write(
        folder,
        line(1, signal_id="5m_1700000000000"),
        line(2, trace_id=trace, user_id=lea.pk, client_order_id="c1"),
        line(3, trace_id="order.other", user_id=lea.pk),
    )
    return {"user": lea, "trace": trace, "trade": trade}


def _trade(user: Any, broker: Any, trace: str, *, client_order_id: str, created: datetime, status: str) -> Trade:
    trade = Trade.objects.create(
        user=user,
        broker=broker,
        source="strategy",
        owner="bot:1",
        trace_id=trace,
        client_order_id=client_order_id,
        symbol="BTC/USDT",
        side="buy",
        type="market",
        quantity=1,
        filled_quantity=1,
        status=status,
        valid_until=after(20_000),
    )
    Trade.objects.filter(pk=trade.pk).update(created_at=created)
    return trade


def test_trace_tells_each_step_from_signal_to_fill_with_its_delay(traced: dict[str, Any]) -> None:
    body = get(traced["user"], f"traces/{traced['trace']}/").json()
    steps = [(step["kind"], step["delay_ms"]) for step in body["steps"]]
    assert steps == [
        ("signal", 0.0),
        ("decision", 5.0),
        ("decision", 35.0),
        ("order", 5.0),
        ("sent", 7.0),
        ("accepted", 28.0),
        ("fill", 10.0),
        ("end", 5.0),
        ("command", 1905.0),
        ("command", 100.0),
        ("alert", 900.0),
    ]
    assert body["duration_ms"] == 3000.0
    number = traced["trade"].pk
    assert body["steps"][2]["title"] == "Décision : achat (stratégie interrogée en 12,5 ms)"
    assert body["steps"][6]["title"] == f"Achat au marché BTC/USDT n° {number} : exécution de 1 à 100"
    assert [one["id"] for one in body["lines"]] == ["ab.1", "ab.2"]  # oldest first; the signal's is everybody's


def test_trace_of_another_user_is_as_absent_as_one_that_is_not_there(traced: dict[str, Any]) -> None:
    other = make_user("max")
    for trace in (traced["trace"], "order.nothing", "webhook.999999"):
        answer = get(other, f"traces/{trace}/")
        assert (answer.status_code, answer.json()["message"]) == (404, f"Trace « {trace} » introuvable.")


@pytest.mark.django_db(transaction=True)
async def test_followed_lines_are_narrowed_to_what_the_user_may_see() -> None:
    lea = await sync_to_async(make_user)("lea")
    batch = {"lines": [line(1, user_id=lea.pk), line(2, user_id=lea.pk + 1), line(3)], "dropped": 0}
    try:
        seen = await narrowed(batch, lea.pk)
        nothing = await narrowed({"lines": [line(2, user_id=lea.pk + 1)], "dropped": 0}, lea.pk)
    finally:
        await sync_to_async(connections.close_all)()
    assert seen is not None
    assert [one["id"] for one in seen["lines"]] == ["ab.1", "ab.3"]
    assert nothing is None
