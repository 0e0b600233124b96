"""`GET /api/heartbeat/`: the state, the last candles of each timeframe, incidents, starts and stops."""

from collections.abc import Mapping
from typing import Any

from asgiref.sync import async_to_sync
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core.selectors.heartbeat import overview
from apps.core.services.health import HEARTBEAT_NAMES, PresenceReader


class CandleRowSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField(allow_null=True)
    timeframe = serializers.CharField()
    symbol = serializers.CharField()
    open_time = serializers.DateTimeField()
    close_time = serializers.DateTimeField()
    open = serializers.CharField()
    high = serializers.CharField()
    low = serializers.CharField()
    close = serializers.CharField()
    volume = serializers.CharField()
    trade_count = serializers.IntegerField()
    revision = serializers.IntegerField()
    is_late = serializers.BooleanField()
    source = serializers.CharField()
    received_at = serializers.DateTimeField()


class CandleCountSerializer(serializers.Serializer[Any]):
    closed = serializers.IntegerField()
    expected = serializers.IntegerField()


class HeartbeatStatusSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    source = serializers.CharField()
    location = serializers.CharField()
    feed = serializers.CharField()
    is_connected = serializers.BooleanField()
    is_coherent = serializers.BooleanField()
    last_application_start = serializers.DateTimeField()
    last_application_stop = serializers.DateTimeField(allow_null=True)
    last_error = serializers.CharField()
    last_error_at = serializers.DateTimeField(allow_null=True)
    last_message_at = serializers.DateTimeField(allow_null=True)
    market_time = serializers.DateTimeField(allow_null=True)
    symbols_monitored = serializers.ListField(child=serializers.CharField())
    latency_ms_p50 = serializers.FloatField(allow_null=True)
    latency_ms_p99 = serializers.FloatField(allow_null=True)
    messages_per_minute = serializers.IntegerField(allow_null=True)
    candles_24h = CandleCountSerializer()


class IncidentSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=["gap", "stall", "disconnect", "correction"])
    symbol = serializers.CharField()
    market_time = serializers.DateTimeField(allow_null=True)
    missing_trades = serializers.IntegerField()
    message = serializers.CharField()
    detected_at = serializers.DateTimeField()
    mended_at = serializers.DateTimeField(allow_null=True)


class RunSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    source = serializers.CharField()
    last_application_start = serializers.DateTimeField()
    last_application_stop = serializers.DateTimeField(allow_null=True)


class HeartbeatSerializer(serializers.Serializer[Any]):
    status = HeartbeatStatusSerializer(allow_null=True)
    secondary = HeartbeatStatusSerializer(allow_null=True)
    candles = serializers.DictField(child=CandleRowSerializer(many=True))
    forming = serializers.DictField(child=CandleRowSerializer())
    incidents = IncidentSerializer(many=True)
    runs = RunSerializer(many=True)


class HeartbeatView(APIView):
    """Wired with a `PresenceReader`, from which come latency, rate and open candles."""

    presences: PresenceReader | None = None

    @extend_schema(responses=HeartbeatSerializer)
    def get(self, request: Request) -> Response:
        return Response(overview(live=self._live()))

    def _live(self) -> Mapping[str, Mapping[str, Any]]:
        if self.presences is None:
            return {}
        answer = async_to_sync(self.presences.read)(list(HEARTBEAT_NAMES.values()))
        reports = answer[0] if answer is not None else {}
        return {source: reports[name].details for source, name in HEARTBEAT_NAMES.items() if name in reports}
