"""Routes of the webhooks page, under /api/. The public address is not among them: see `door.py`."""

from django.urls import URLPattern, URLResolver
from rest_framework.routers import SimpleRouter

from apps.webhooks.views import CallViewSet, SourceViewSet

_router = SimpleRouter()
_router.register("webhooks/sources", SourceViewSet, basename="webhook-sources")
_router.register("webhooks", CallViewSet, basename="webhooks")

urlpatterns: list[URLPattern | URLResolver] = _router.urls
