"""The daily summary: made once a day for who wants one, delivered like an alert, off by default."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.test import Client

from apps.alerts.models import Alert, AlertAddress
from apps.alerts.services import recording
from apps.alerts.services.sender import AlertSender
from apps.core.adapters import alerts, secrets
from apps.journal.daily_summary import make_due
from apps.orders.models import Position, Trade
from domain.alerts import AlertKind
from tests.engine_world import make_bot, make_broker, make_user
from tests.fakes.clock import FakeClock
from tests.fakes.http_server import Reply, local_server

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 11, 26, 19, 5, tzinfo=UTC)  # 20:05 in Paris
JSON = "application/json"


def client_of(user: Any) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def choose(user: Any, hour: int | None = 20, timezone: str = "Europe/Paris") -> Any:
    body = {"hour": hour, "timezone": timezone}
    return client_of(user).put("/api/alerts/summary/", body, content_type=JSON)


def traded(user: Any, broker: Any, gain: str, *, at: datetime) -> None:
    trade = Trade.objects.create(
        user=user,
        broker=broker,
        source="manual",
        owner="manual",
        client_order_id=f"c{Trade.objects.count()}",
        symbol="BTC/USDT",
        side="sell",
        type="market",
        quantity=1,
        status="filled",
        profit_loss=Decimal(gain),
        closed_at=at,
        valid_until=at,
    )
    Trade.objects.filter(pk=trade.pk).update(created_at=at)


async def _send_twice() -> None:
    sender = AlertSender(send=alerts.send, clock=FakeClock(NOW))
    try:
        await sender.step()
        await sender.step()
    finally:
        await sync_to_async(connections.close_all)()


def test_summary_is_off_until_it_is_wanted_and_its_zone_is_checked() -> None:
    lea = make_user("lea")
    assert client_of(lea).get("/api/alerts/summary/").json() == {"hour": None, "timezone": "UTC"}
    assert make_due(NOW) == 0
    assert choose(lea, timezone="Mars/Olympus").status_code == 400
    assert choose(lea).json() == {"hour": 20, "timezone": "Europe/Paris"}
    assert make_due(NOW - timedelta(minutes=6)) == 0  # 19:59 in Paris
    assert make_due(NOW) == 1
    choose(lea, hour=None)
    assert make_due(NOW + timedelta(days=1)) == 0


def test_summary_of_the_own_day_is_made_once_and_delivered() -> None:
    lea, other = make_user("lea"), make_user("max")
    broker, his = make_broker(lea), make_broker(other)
    make_bot(lea, broker)
    traded(lea, broker, "12.5", at=NOW - timedelta(hours=1))
    traded(lea, broker, "-2.5", at=NOW - timedelta(hours=23))
    traded(lea, broker, "1000", at=NOW - timedelta(hours=30))  # of the day before
    traded(other, his, "5000", at=NOW - timedelta(hours=1))
    Position.objects.create(
        user=lea,
        broker=broker,
        symbol="BTC/USDT",
        owner="manual",
        quantity=1,
        entry_price=100,
        unrealized_pnl=Decimal("-3"),
        opened_at=NOW,
    )
    recording.record(
        lea.pk, kind=AlertKind.ORDER, code="x", subject="t", message="Ordre perdu.", now=NOW - timedelta(hours=2)
    )
    choose(lea)
    with local_server(lambda request: Reply(200)) as server:
        AlertAddress.objects.create(user=lea, address=secrets.encrypt(server.url.replace("http", "json")))
        assert make_due(NOW) == 1
        assert make_due(NOW + timedelta(minutes=1)) == 0  # also after a restart: the row is there
        asyncio.run(_send_twice())
    [sent] = [asked.body for asked in server.asked]
    assert sent["title"] == "Aristobot : résumé du jour"
    assert sent["message"].splitlines()[:7] == [
        "Résumé du 26/11/2026, 24 heures jusqu'à 19:00 UTC.",
        "Simulation : +10 USDT net, 2 trades clos, 1 gagnant.",
        "Ordres : 2.",
        "Positions ouvertes (Simulation) : 1, latent −3 USDT.",
        "Bots actifs : 1.",
        "Incidents : 1.",
        "• Ordre perdu.",
    ]


def test_repeated_alert_is_one_with_a_count() -> None:
    lea = make_user("lea")
    for second in range(3):
        recording.record(
            lea.pk,
            kind=AlertKind.ORDER,
            code="order_unknown",
            subject="trade:1",
            message="Issue inconnue.",
            now=NOW + timedelta(seconds=second),
        )
    alert = Alert.objects.get()
    assert (alert.count, alert.last_at) == (3, NOW + timedelta(seconds=2))
