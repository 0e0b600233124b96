"""HTTP routes: each app brings its own under /api/; everything else is the cockpit's page."""

from django.urls import URLPattern, URLResolver, include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from apps.accounts.urls import build as session_routes
from apps.core.views.health import HealthView, LiveView, ReadyView
from apps.core.views.heartbeat import HeartbeatView
from apps.core.views.spa import CockpitView, UnknownApiView
from apps.journal.metrics import MetricsView
from aristobot.wiring import web

# Rooms that bring routes of their own.
ROOMS = (
    "alerts",
    "brokers",
    "market_data",
    "strategies",
    "orders",
    "trading_engine",
    "backtest",
    "stats",
    "webhooks",
    "journal",
)

_health = web.health_service()

_api: list[URLPattern | URLResolver] = [
    *session_routes(web.Facts()),
    path("health/", HealthView.as_view(service=_health)),
    path("health/live", LiveView.as_view()),
    path("health/ready", ReadyView.as_view(service=_health)),
    path("heartbeat/", HeartbeatView.as_view(presences=web.presence_reader())),
    *(path("", include(f"apps.{room}.urls")) for room in ROOMS),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="schema", template_name="core/api_docs.html")),
    re_path(r"(?s)^.*$", UnknownApiView.as_view()),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("metrics", MetricsView.as_view(health=_health, reader=web.metrics_reader())),
    path("api/", include(_api)),
    re_path(r"(?s)^(?!api/|ws/|assets/|static/).*$", CockpitView.as_view()),
]
