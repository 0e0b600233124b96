"""Routes of the orders room, under /api/."""

from rest_framework.routers import SimpleRouter

from apps.orders.views import PositionViewSet, TradeViewSet

router = SimpleRouter()
router.register("trades", TradeViewSet, basename="trade")
router.register("positions", PositionViewSet, basename="position")

urlpatterns = router.urls
