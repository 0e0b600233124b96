"""`/metrics` for Prometheus: what every terminal counts, what waits in the tables, which services live."""

import hmac
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from ipaddress import ip_address
from typing import Any, Protocol

from asgiref.sync import async_to_sync
from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.utils import timezone
from django.views import View
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric

from apps.alerts.models import PENDING, AlertDelivery
from apps.backtest.models import BacktestResult
from apps.core.metrics import Wire, merged, snapshot
from apps.core.models import CandleHeartbeat
from apps.core.services.health import OPTIONAL, TERMINALS, Health, HealthService
from apps.orders.models import OrderCommand, Trade
from apps.orders.selectors import LIVE_STATUSES
from apps.webhooks.models import Webhook

_FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP")


class MetricsReader(Protocol):
    async def read(self, names: Sequence[str]) -> Mapping[str, Sequence[Wire]]: ...


def is_allowed(request: HttpRequest) -> bool:
    """Tell whether the caller may scrape: by the token of `.env`, or from this machine while no proxy is set up.

    Behind a proxy everybody comes from this machine, so that the token alone counts then.
    """
    token = settings.METRICS_TOKEN
    if token:
        given = request.headers.get("Authorization", "").encode()
        return hmac.compare_digest(given, f"Bearer {token}".encode())
    if settings.PUBLIC_URL or settings.TRUSTED_PROXIES or any(name in request.META for name in _FORWARDED):
        return False
    try:
        return ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


class MetricsView(View):
    """To whoever is not allowed it is not there."""

    health: HealthService | None = None
    reader: MetricsReader | None = None

    def get(self, request: HttpRequest) -> HttpResponse:
        """Answer one scrape."""
        if not is_allowed(request) or self.health is None or self.reader is None:
            return HttpResponseNotFound()
        health = async_to_sync(self.health.read)()
        counted = {**async_to_sync(self.reader.read)([*TERMINALS, *OPTIONAL]), "web": snapshot()}
        registry = CollectorRegistry()
        registry.register(_Collected([*merged(counted), *_services(health), *_tables(timezone.now())]))
        return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class _Collected:
    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics


def _services(health: Health) -> Iterator[Metric]:
    up = GaugeMetricFamily("aristobot_service_up", "1 while a service answers.", labels=["service"])
    lag = GaugeMetricFamily("aristobot_service_lag_seconds", "What a service says of its lag.", labels=["service"])
    for name, entry in health.services.items():
        up.add_metric([name], float(entry["state"] == "up"))
        if entry["lag_ms"] is not None:
            lag.add_metric([name], entry["lag_ms"] / 1000)
    yield up
    yield lag


def _tables(now: datetime) -> Iterator[Metric]:
    """What the tables say; nothing while PostgreSQL is away, which `aristobot_service_up` tells."""
    try:
        orders, backlog, oldest = _orders(), _backlog(), _oldest(now)
    except (DatabaseError, InterfaceError):
        return
    yield _gauge("aristobot_orders_live", "Orders that are not over, by status.", "status", orders)
    unknown = GaugeMetricFamily("aristobot_orders_unknown", "Orders of which nobody knows whether they exist.")
    unknown.add_metric([], orders["unknown"])
    yield unknown
    yield _gauge("aristobot_backlog", "Rows that wait to be dealt with, by queue.", "queue", backlog)
    yield _gauge("aristobot_backlog_age_seconds", "Age of the oldest of them.", "queue", oldest)


def _gauge(name: str, documentation: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _orders() -> dict[str, float]:
    rows = Trade.objects.filter(status__in=LIVE_STATUSES).values("status").annotate(count=Count("pk")).order_by()
    counted = {row["status"]: float(row["count"]) for row in rows}
    return {str(status): counted.get(str(status), 0.0) for status in LIVE_STATUSES}


def _queues() -> Mapping[str, tuple[Any, str]]:
    """Return each queue: its waiting rows, and the column that says since when."""
    return {
        "orders": (Trade.objects.filter(status="pending"), "created_at"),
        "order_commands": (OrderCommand.objects.filter(status__in=["pending", "claimed"]), "created_at"),
        "webhooks": (Webhook.objects.filter(processed=False), "created_at"),
        "backtests": (BacktestResult.objects.filter(status="queued"), "created_at"),
        "alerts": (AlertDelivery.objects.filter(PENDING), "alert__created_at"),
        "signals": (CandleHeartbeat.objects.filter(published_at=None, is_signal=True), "dhm_reception"),
    }


def _backlog() -> dict[str, float]:
    return {name: float(rows.count()) for name, (rows, _) in _queues().items()}


def _oldest(now: datetime) -> dict[str, float]:
    oldest = {name: rows.aggregate(at=Min(column))["at"] for name, (rows, column) in _queues().items()}
    return {name: 0.0 if at is None else max((now - at).total_seconds(), 0.0) for name, at in oldest.items()}
