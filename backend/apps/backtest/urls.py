"""Routes under /api/."""

from django.urls import path

from apps.backtest.views import QuickTestView

urlpatterns = [path("backtests/quick-test/", QuickTestView.as_view())]
