"""REST of brokers and exchanges."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ReadOnlyModelViewSet

from apps.brokers import selectors
from apps.brokers.capabilities import abilities_of, capabilities_of, order_types_of
from apps.brokers.models import Broker, Exchange
from apps.brokers.serializers import (
    BalanceSerializer,
    BrokerChangeSerializer,
    BrokerCreateSerializer,
    BrokerSerializer,
    CapabilitiesSerializer,
    ConnectionTestSerializer,
    ExchangeSerializer,
    KeysTestSerializer,
)
from apps.brokers.services import connection, editing
from apps.core.api_input import validated
from domain.ports import Balance


class _ById(CursorPagination):
    ordering = "id"
    page_size = 200


class BrokerViewSet(ReadOnlyModelViewSet[Broker]):
    """The user's accounts at exchanges."""

    queryset = Broker.objects.none()  # tells the API's description the model
    serializer_class = BrokerSerializer
    pagination_class = _ById
    lookup_value_regex = r"\d+"

    def get_queryset(self) -> "QuerySet[Broker]":
        return selectors.brokers_of(self.request.user)

    def get_object(self) -> Broker:
        return selectors.own_broker(self.request.user, int(self.kwargs["pk"]))

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "exchanges": selectors.exchanges()}

    @extend_schema(request=BrokerCreateSerializer, responses={201: BrokerSerializer})
    def create(self, request: Request) -> Response:
        """Add a broker; its keys are stored encrypted and never shown again."""
        made = editing.add(request.user, **validated(BrokerCreateSerializer, request.data))
        return self._answer(made.pk, status.HTTP_201_CREATED)

    @extend_schema(request=BrokerChangeSerializer, responses=BrokerSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change the name, the keys or a switch; terminal 5 takes it over without a restart."""
        changed = editing.change(request.user, int(pk), validated(BrokerChangeSerializer, request.data))
        return self._answer(changed.pk)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Remove the broker and its history, unless an active bot or a live order uses it."""
        editing.remove(request.user, int(pk))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(operation_id="brokers_test_keys", request=KeysTestSerializer, responses=ConnectionTestSerializer)
    @action(detail=False, methods=["post"], url_path="test")
    def test_keys(self, request: Request) -> Response:
        """Try credentials that are not stored; the answer is the balance they see."""
        asked = validated(KeysTestSerializer, request.data)
        asked["credentials"] = editing.checked_credentials(**asked)
        return Response(_test_body(connection.try_keys(user_id=request.user.pk, **asked)))

    @extend_schema(request=None, responses=ConnectionTestSerializer)
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str) -> Response:
        """Try the stored credentials on a connection of its own."""
        return Response(_test_body(connection.try_broker(self.get_object())))

    @extend_schema(responses=BalanceSerializer)
    @action(detail=True, methods=["get"])
    def balance(self, request: Request, pk: str) -> Response:
        """Read the balance at the exchange now."""
        broker = self.get_object()
        return Response(_balance_body(connection.read_balance(broker.pk, request.user.pk)))

    @extend_schema(request=None, responses=BrokerSerializer)
    @action(detail=True, methods=["post"], url_path="load-markets")
    def load_markets(self, request: Request, pk: str) -> Response:
        """Load the exchange's markets again; every broker of that exchange shares them."""
        broker = self.get_object()
        connection.load_markets(broker.pk, request.user.pk)
        return self._answer(broker.pk)

    @extend_schema(responses=CapabilitiesSerializer)
    @action(detail=True, methods=["get"])
    def capabilities(self, request: Request, pk: str) -> Response:
        """Say what the broker's exchange can do, and why not."""
        exchange = selectors.described_exchange(self.get_object().exchange)
        body = {
            "exchange": exchange.pk,
            "exchange_name": exchange.name,
            "timeframes": exchange.timeframes,
            "capabilities": capabilities_of(exchange),
            "order_types": order_types_of(exchange),
            "pair": abilities_of(exchange).pair,
            "amend": abilities_of(exchange).amend,
        }
        return Response(CapabilitiesSerializer(body).data)

    def _answer(self, broker_id: int, code: int = status.HTTP_200_OK) -> Response:
        broker = selectors.own_broker(self.request.user, broker_id)
        return Response(self.get_serializer(broker).data, status=code)


class ExchangeViewSet(ReadOnlyModelViewSet[Exchange]):
    """The catalogue of exchanges that terminal 5 keeps."""

    serializer_class = ExchangeSerializer
    pagination_class = _ById

    def get_queryset(self) -> "QuerySet[Exchange]":
        return selectors.catalogue()


def _test_body(seen: connection.ConnectionTest) -> dict[str, Any]:
    return {**_balance_body(seen.balance), "elapsed_ms": seen.elapsed_ms}


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
