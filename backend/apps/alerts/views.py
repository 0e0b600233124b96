"""REST of alerts: the list, the addresses with their test, which kinds are sent."""

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from apps.alerts import selectors
from apps.alerts.models import Alert, AlertAddress
from apps.alerts.serializers import (
    AlertAddressChangeSerializer,
    AlertAddressCreateSerializer,
    AlertAddressSerializer,
    AlertPreferencesSerializer,
    AlertSerializer,
    AlertTestSerializer,
    DailySummarySerializer,
)
from apps.alerts.services import addresses
from apps.core.api_input import validated


class _NewestFirst(CursorPagination):
    ordering = ("-created_at", "-id")
    page_size = 20
    page_size_query_param = "limit"
    max_page_size = 200


class AlertViewSet(ListModelMixin, GenericViewSet[Alert]):
    """The user's alerts, newest first."""

    queryset = Alert.objects.none()  # tells the API's description the model
    serializer_class = AlertSerializer
    pagination_class = _NewestFirst

    def get_queryset(self) -> "QuerySet[Alert]":
        return selectors.alerts_of(self.request.user)


class AlertAddressViewSet(GenericViewSet[AlertAddress]):
    """Where the user's alerts go."""

    queryset = AlertAddress.objects.none()  # tells the API's description the model
    serializer_class = AlertAddressSerializer
    pagination_class = None
    lookup_value_regex = r"\d+"

    def get_queryset(self) -> "QuerySet[AlertAddress]":
        return selectors.addresses_of(self.request.user)

    @extend_schema(responses=AlertAddressSerializer(many=True))
    def list(self, request: Request) -> Response:
        return Response(self.get_serializer(self.get_queryset(), many=True).data)

    @extend_schema(request=AlertAddressCreateSerializer, responses={201: AlertAddressSerializer})
    def create(self, request: Request) -> Response:
        """Add an address; it is stored encrypted and only shown masked from then on."""
        made = addresses.add(request.user, validated(AlertAddressCreateSerializer, request.data)["address"])
        return Response(self.get_serializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=AlertAddressChangeSerializer, responses=AlertAddressSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        selectors.own_address(request.user, int(pk))
        asked = validated(AlertAddressChangeSerializer, request.data)
        return Response(self.get_serializer(addresses.switch(request.user, int(pk), **asked)).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        addresses.remove(request.user, int(pk))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=AlertTestSerializer)
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str) -> Response:
        """Send a test message and wait until it left."""
        return Response({"elapsed_ms": addresses.send_test(request.user, int(pk))})


class AlertPreferencesView(APIView):
    @extend_schema(responses=AlertPreferencesSerializer)
    def get(self, request: Request) -> Response:
        return self._answer(request)

    @extend_schema(request=AlertPreferencesSerializer, responses=AlertPreferencesSerializer)
    def put(self, request: Request) -> Response:
        """Choose which kinds are sent."""
        addresses.choose_kinds(request.user, validated(AlertPreferencesSerializer, request.data)["kinds"])
        return self._answer(request)

    def _answer(self, request: Request) -> Response:
        return Response(AlertPreferencesSerializer({"kinds": selectors.kinds_of(request.user)}).data)


class DailySummaryView(APIView):
    @extend_schema(responses=DailySummarySerializer)
    def get(self, request: Request) -> Response:
        """When the daily summary is sent."""
        return Response(selectors.summary_of(request.user))

    @extend_schema(request=DailySummarySerializer, responses=DailySummarySerializer)
    def put(self, request: Request) -> Response:
        """Choose the hour of the daily summary, or none."""
        addresses.choose_summary(request.user, **validated(DailySummarySerializer, request.data))
        return self.get(request)
