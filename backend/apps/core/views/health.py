"""Health for people (`/api/health/`) and for probes (`live`, `ready`, without login)."""

from typing import Any

from asgiref.sync import async_to_sync
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core.services.health import HealthService


class ServiceHealthSerializer(serializers.Serializer[Any]):
    state = serializers.ChoiceField(choices=["up", "down", "starting", "absent"])
    since = serializers.DateTimeField(allow_null=True)
    last_seen = serializers.DateTimeField(allow_null=True)
    lag_ms = serializers.FloatField(allow_null=True)
    details = serializers.DictField()


class HealthSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=["ok", "degraded", "down"])
    services = serializers.DictField(child=ServiceHealthSerializer())


class HealthBase(APIView):
    service: HealthService | None = None

    def read(self) -> Any:
        if self.service is None:
            raise RuntimeError("health views need their service: see aristobot.urls")
        return async_to_sync(self.service.read)()


class HealthView(HealthBase):
    @extend_schema(responses=HealthSerializer)
    def get(self, request: Request) -> Response:
        return Response(self.read().body())


@extend_schema(exclude=True)
class LiveView(APIView):
    """The web process answers; nothing else is looked at."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get(self, request: Request) -> Response:
        return Response({"status": "ok"})


@extend_schema(exclude=True)
class ReadyView(HealthBase):
    """200 once every service answers, else 503; says only the states, it is public."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get(self, request: Request) -> Response:
        health = self.read()
        states = {name: entry["state"] for name, entry in health.services.items()}
        return Response({"ready": health.is_ready, "services": states}, status=200 if health.is_ready else 503)
