"""`/api/strategies/`: one's own strategies only; another user's is a 404."""

from dataclasses import asdict
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import ModelViewSet

from apps.strategies.common_indicators import COMMON
from apps.strategies.examples import EXAMPLES
from apps.strategies.indicators import indicators
from apps.strategies.models import Strategy
from apps.strategies.selectors import own_strategy, strategies_of
from apps.strategies.serializers import (
    CodeSerializer,
    ExampleSerializer,
    IndicatorSerializer,
    StrategySerializer,
    ValidationSerializer,
    VersionSerializer,
    param_bodies,
)
from apps.strategies.services import editing, validation


class StrategyViewSet(ModelViewSet[Strategy]):
    serializer_class = StrategySerializer
    queryset = Strategy.objects.none()
    lookup_value_regex = r"\d+"

    def get_queryset(self) -> "QuerySet[Strategy]":
        return strategies_of(self.request.user.pk)

    def get_object(self) -> Strategy:
        return own_strategy(self.request.user.pk, int(self.kwargs["pk"]))

    def perform_create(self, serializer: BaseSerializer[Strategy]) -> None:
        serializer.instance = editing.create(self.request.user.pk, serializer.validated_data)

    def perform_update(self, serializer: BaseSerializer[Strategy]) -> None:
        strategy_id = int(self.kwargs["pk"])
        serializer.instance = editing.update(self.request.user.pk, strategy_id, serializer.validated_data)

    def perform_destroy(self, instance: Strategy) -> None:
        editing.delete(self.request.user.pk, instance.pk)

    @extend_schema(responses=VersionSerializer(many=True))
    @action(detail=True, methods=["get"])
    def versions(self, request: Request, pk: str) -> Response:
        """The texts this strategy had, newest first, the present one included."""
        rows = self.get_object().versions.order_by("-number")
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(VersionSerializer(page, many=True).data)

    @extend_schema(responses=ExampleSerializer(many=True))
    @action(detail=False, methods=["get"], pagination_class=None)
    def examples(self, request: Request) -> Response:
        """The library of worked examples, to copy and change."""
        return Response(ExampleSerializer(EXAMPLES, many=True).data)

    @extend_schema(responses=IndicatorSerializer(many=True))
    @action(detail=False, methods=["get"], pagination_class=None)
    def indicators(self, request: Request) -> Response:
        """What a strategy may call in `ta`, for the editor's completion."""
        return Response([{**each, "label": COMMON.get(each["name"], ("",))[0]} for each in indicators()])

    @extend_schema(request=CodeSerializer, responses=ValidationSerializer)
    @action(detail=False, methods=["post"], pagination_class=None)
    def validate(self, request: Request) -> Response:
        """Try unsaved code: syntax here, the class on sample candles in the sandbox of terminal 3."""
        asked = CodeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        code: Any = asked.validated_data["code"]
        body = {**asdict(validation.validate(code)), "params": param_bodies(code)}
        return Response(body, status=status.HTTP_200_OK)
