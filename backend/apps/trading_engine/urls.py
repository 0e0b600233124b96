"""Routes of the bots, under /api/."""

from django.urls import URLPattern, URLResolver, path
from rest_framework.routers import SimpleRouter

from apps.trading_engine.restoration_views import ConfirmRestorationView, RestorationView
from apps.trading_engine.views import BotViewSet

_router = SimpleRouter()
_router.register("bots", BotViewSet, basename="bots")

urlpatterns: list[URLPattern | URLResolver] = [
    *_router.urls,
    path("restoration/", RestorationView.as_view()),
    path("restoration/confirm/", ConfirmRestorationView.as_view()),
]
