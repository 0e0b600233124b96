"""`/api/restoration/`: what a restored instance found, and its user's word that it may act again."""

from datetime import UTC, datetime
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.trading_engine.services import restoring


class FoundOrderSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    symbol = serializers.CharField()
    side = serializers.CharField()
    quantity = serializers.CharField()
    price = serializers.CharField(allow_null=True)
    status = serializers.CharField()


class UncoveredPositionSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    symbol = serializers.CharField()
    owner = serializers.CharField()
    quantity = serializers.CharField()
    held = serializers.CharField()


class ReportSerializer(serializers.Serializer[Any]):
    found = serializers.IntegerField()
    orders = FoundOrderSerializer(many=True)
    unknown = serializers.IntegerField()
    positions = UncoveredPositionSerializer(many=True)
    failures = serializers.ListField(child=serializers.CharField())


class RestorationSerializer(serializers.Serializer[Any]):
    """Without a restoration that waits, `waiting` is false and the rest is absent."""

    waiting = serializers.BooleanField()
    backup_taken_at = serializers.DateTimeField(required=False)
    restored_at = serializers.DateTimeField(required=False)
    host = serializers.CharField(required=False)
    bots = serializers.IntegerField(required=False)
    settled = serializers.DictField(child=serializers.IntegerField(), required=False)
    report = ReportSerializer(allow_null=True, required=False)
    reconciled_at = serializers.DateTimeField(allow_null=True, required=False)


class ConfirmedSerializer(serializers.Serializer[Any]):
    resumed = serializers.IntegerField()
    closed = serializers.IntegerField()
    refusals = serializers.ListField(child=serializers.CharField())


class RestorationView(APIView):
    @extend_schema(responses=RestorationSerializer)
    def get(self, request: Request) -> Response:
        return Response(restoring.body_of(request.user.pk))


class ConfirmRestorationView(APIView):
    @extend_schema(request=None, responses=ConfirmedSerializer)
    def post(self, request: Request) -> Response:
        return Response(restoring.confirm(request.user.pk, now=datetime.now(UTC)))
