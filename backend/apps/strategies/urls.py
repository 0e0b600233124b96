"""Routes under /api/."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from apps.strategies.assistant_views import AssistantGenerateView
from apps.strategies.views import StrategyViewSet

router = SimpleRouter()
router.register("strategies", StrategyViewSet, basename="strategy")

urlpatterns = [*router.urls, path("assistant/generate/", AssistantGenerateView.as_view())]
