"""`/metrics`: every terminal's counts and what waits in the tables, for those who may read them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families
from pytest_django.fixtures import SettingsWrapper

from apps.core import metrics
from apps.core.adapters import metrics_store
from apps.core.adapters.metrics_store import RedisMetricsReader
from apps.core.adapters.redis_connection import connect
from apps.orders.models import Trade
from tests.engine_world import make_broker, make_user

HERE, ELSEWHERE = "127.0.0.1", "192.0.2.7"


def status(token: str = "", **meta: str) -> int:
    headers = {"HTTP_AUTHORIZATION": f"Bearer {token}"} if token else {}
    return Client().get("/metrics", **headers, **{"REMOTE_ADDR": HERE, **meta}).status_code


@pytest.mark.django_db(transaction=True)
class TestAccess:
    @pytest.fixture(autouse=True)
    def plain(self, settings: SettingsWrapper) -> None:
        settings.METRICS_TOKEN, settings.PUBLIC_URL, settings.TRUSTED_PROXIES = "", "", []

    def test_this_machine_alone_reads_them_without_a_token(self) -> None:
        assert status() == 200
        assert status(REMOTE_ADDR="::1") == 200
        assert status(REMOTE_ADDR=ELSEWHERE) == 404

    def test_behind_a_proxy_nobody_does_without_a_token(self, settings: SettingsWrapper) -> None:
        assert status(HTTP_X_FORWARDED_FOR=ELSEWHERE) == 404
        assert status(HTTP_X_REAL_IP=ELSEWHERE) == 404
        settings.PUBLIC_URL = "https://aristobot.example"
        assert status() == 404
        settings.PUBLIC_URL, settings.TRUSTED_PROXIES = "", [HERE]
        assert status() == 404

    def test_with_a_token_whoever_has_it_reads_them(self, settings: SettingsWrapper) -> None:
        settings.METRICS_TOKEN = "jeton-de-mesure"
        assert status() == 404
        assert status(token="autre") == 404
        assert status(token="jeton-de-mesuré") == 404
        assert status(token="jeton-de-mesure", REMOTE_ADDR=ELSEWHERE) == 200


def scraped() -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    answer = Client().get("/metrics", REMOTE_ADDR=HERE)
    assert answer["Content-Type"].startswith("text/plain")
    families = text_string_to_metric_families(answer.content.decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


@pytest.mark.django_db(transaction=True)
def test_scrape_tells_what_waits_and_what_is_unknown_and_names_nobody() -> None:
    lea = make_user("lea-dont-le-nom-ne-sort-pas")
    broker = make_broker(lea)
    for number, state in enumerate(("pending", "unknown", "unknown", "filled")):
        trade = Trade.objects.create(
            user=lea,
            broker=broker,
            source="manual",
            owner="manual",
            client_order_id=f"c{number}",
            symbol="BTC/USDT",
            side="buy",
            type="market",
            quantity=1,
            status=state,
            valid_until=datetime.now(UTC),
        )
        Trade.objects.filter(pk=trade.pk).update(created_at=datetime.now(UTC) - timedelta(seconds=90))
    values = scraped()
    assert values["aristobot_orders_unknown", ()] == 2
    assert values["aristobot_orders_live", (("status", "pending"),)] == 1
    assert values["aristobot_backlog", (("queue", "orders"),)] == 1
    assert 90 <= values["aristobot_backlog_age_seconds", (("queue", "orders"),)] < 150
    assert values["aristobot_service_up", (("service", "postgresql"),)] == 1
    assert values["aristobot_service_up", (("service", "trading_engine"),)] == 0
    assert lea.username not in Client().get("/metrics", REMOTE_ADDR=HERE).content.decode()


async def test_counts_of_a_terminal_come_back_with_its_name() -> None:
    metrics.SIGNAL_DELAY.observe(0.02)
    metrics.DECISIONS.labels("decided").inc(3)
    redis = connect(settings.REDIS_URL)
    try:
        await metrics_store.leave(redis, "trading_engine")
        read: dict[str, Any] = await RedisMetricsReader(settings.REDIS_URL).read(["trading_engine", "heartbeat"])
    finally:
        await redis.delete("metrics:trading_engine")
        await redis.aclose()
    assert list(read) == ["trading_engine"]
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in metrics.merged(read)
        for sample in family.samples
    }
    terminal = ("terminal", "trading_engine")
    assert samples["aristobot_decisions_total", ("status", "decided"), terminal] >= 3
    assert samples["aristobot_signal_delay_seconds_count", terminal] >= 1
    assert samples["aristobot_signal_delay_seconds_bucket", ("le", "0.025"), terminal] >= 1
    assert not [key for key in samples if str(key[0]).endswith("_created")]
