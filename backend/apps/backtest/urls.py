"""Routes under /api/."""

from django.urls import URLPattern, URLResolver, path
from rest_framework.routers import SimpleRouter

from apps.backtest.sweep_views import SweepViewSet
from apps.backtest.views import BacktestViewSet, QuickTestCancelView, QuickTestView

_router = SimpleRouter()
_router.register("backtests/sweeps", SweepViewSet, basename="backtest-sweeps")
_router.register("backtests", BacktestViewSet, basename="backtests")

urlpatterns: list[URLPattern | URLResolver] = [
    path("backtests/quick-test/", QuickTestView.as_view()),
    path("backtests/quick-test/cancel/", QuickTestCancelView.as_view()),
    *_router.urls,
]
