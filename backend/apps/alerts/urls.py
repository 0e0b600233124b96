"""Routes under /api/."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from apps.alerts.views import AlertAddressViewSet, AlertPreferencesView, AlertViewSet, DailySummaryView

router = SimpleRouter()
router.register("alerts/addresses", AlertAddressViewSet, basename="alert-address")
router.register("alerts", AlertViewSet, basename="alert")

urlpatterns = [
    path("alerts/preferences/", AlertPreferencesView.as_view()),
    path("alerts/summary/", DailySummaryView.as_view()),
    *router.urls,
]
