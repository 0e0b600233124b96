"""REST of brokers and exchanges."""

from typing import Any

from asgiref.sync import async_to_sync
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ReadOnlyModelViewSet

from apps.brokers import selectors
from apps.brokers.models import Broker, Exchange
from apps.brokers.serializers import BalanceSerializer, BrokerSerializer, ExchangeSerializer
from apps.core.services.gateway_access import short_lived_gateway
from domain.ports import Balance


class _ById(CursorPagination):
    ordering = "id"
    page_size = 200


class BrokerViewSet(ReadOnlyModelViewSet[Broker]):
    """The user's accounts at exchanges."""

    serializer_class = BrokerSerializer
    pagination_class = _ById
    lookup_value_regex = r"\d+"

    def get_queryset(self) -> "QuerySet[Broker]":
        return selectors.brokers_of(self.request.user)

    def get_object(self) -> Broker:
        return selectors.own_broker(self.request.user, int(self.kwargs["pk"]))

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "exchanges": selectors.exchanges()}

    @extend_schema(responses=BalanceSerializer)
    @action(detail=True, methods=["get"])
    def balance(self, request: Request, pk: str) -> Response:
        """Read the balance at the exchange now."""
        broker = self.get_object()
        return Response(_balance_body(_read_balance(broker.pk, request.user.pk)))

    @extend_schema(request=None, responses=BrokerSerializer)
    @action(detail=True, methods=["post"], url_path="load-markets")
    def load_markets(self, request: Request, pk: str) -> Response:
        """Load the exchange's markets again; every broker of that exchange shares them."""
        _load_markets(self.get_object().pk, request.user.pk)
        return Response(self.get_serializer(self.get_object()).data)


class ExchangeViewSet(ReadOnlyModelViewSet[Exchange]):
    """The catalogue of exchanges that terminal 5 keeps."""

    queryset = Exchange.objects.all()
    serializer_class = ExchangeSerializer
    pagination_class = _ById


@async_to_sync
async def _read_balance(broker_id: int, user_id: int) -> Balance:
    async with short_lived_gateway() as gateway:
        return await gateway.balance(broker_id, user_id=user_id)


@async_to_sync
async def _load_markets(broker_id: int, user_id: int) -> int:
    async with short_lived_gateway() as gateway:
        return await gateway.load_markets(broker_id, user_id=user_id)


def _balance_body(balance: Balance) -> dict[str, Any]:
    currencies = sorted({*balance.free, *balance.locked})
    return {
        "currencies": [
            {
                "currency": currency,
                "free": str(balance.free.get(currency, 0)),
                "locked": str(balance.locked.get(currency, 0)),
                "total": str(balance.total(currency)),
            }
            for currency in currencies
        ]
    }
