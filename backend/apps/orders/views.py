"""GET /api/trades/ and /api/positions/: a user's own rows, read only."""

from typing import Any

from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.viewsets import GenericViewSet

from apps.orders import selectors
from apps.orders.filters import PositionFilter, TradeFilter
from apps.orders.models import Position, Trade
from apps.orders.serializers import PositionSerializer, TradeSerializer


class TradeViewSet(ListModelMixin, RetrieveModelMixin, GenericViewSet):
    """Orders, refused ones included, newest first."""

    serializer_class = TradeSerializer
    filterset_class = TradeFilter
    queryset = Trade.objects.none()

    def get_queryset(self) -> Any:
        return selectors.trades_of(self.request.user.id)


class PositionViewSet(ListModelMixin, RetrieveModelMixin, GenericViewSet):
    """Positions, closed ones included, newest first."""

    serializer_class = PositionSerializer
    filterset_class = PositionFilter
    queryset = Position.objects.none()

    def get_queryset(self) -> Any:
        return selectors.positions_of(self.request.user.id)
