"""Routes under /api/."""

from rest_framework.routers import SimpleRouter

from apps.brokers.views import BrokerViewSet, ExchangeViewSet

router = SimpleRouter()
router.register("brokers", BrokerViewSet, basename="broker")
router.register("exchanges", ExchangeViewSet, basename="exchange")

urlpatterns = router.urls
