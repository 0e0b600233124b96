"""Validation and documented shapes of the alerts."""

from typing import Any

from rest_framework import serializers

from apps.alerts import selectors
from apps.alerts.models import Alert, AlertAddress
from domain.alerts import MUTABLE_KINDS, AlertKind


class AlertAddressSerializer(serializers.ModelSerializer[AlertAddress]):
    """An address as its user sees it again: masked."""

    service = serializers.SerializerMethodField()
    masked = serializers.SerializerMethodField()

    class Meta:
        model = AlertAddress
        fields = [
            "id",
            "service",
            "masked",
            "is_active",
            "created_at",
            "last_sent_at",
            "last_error",
            "last_error_at",
        ]
        read_only_fields = fields

    def get_service(self, address: AlertAddress) -> str:
        return selectors.shown(address)[0]

    def get_masked(self, address: AlertAddress) -> str:
        return selectors.shown(address)[1]


class AlertAddressCreateSerializer(serializers.Serializer[Any]):
    address = serializers.CharField(max_length=1024)


class AlertAddressChangeSerializer(serializers.Serializer[Any]):
    is_active = serializers.BooleanField()


class AlertTestSerializer(serializers.Serializer[Any]):
    elapsed_ms = serializers.IntegerField()


class AlertSerializer(serializers.ModelSerializer[Alert]):
    kind = serializers.ChoiceField(choices=[kind.value for kind in AlertKind])
    state = serializers.SerializerMethodField()
    error = serializers.SerializerMethodField()

    class Meta:
        model = Alert
        fields = ["id", "kind", "code", "subject", "message", "created_at", "state", "error"]
        read_only_fields = fields

    def get_state(self, alert: Alert) -> str:
        """Return sent, waiting, failed, or kept when it was for no address."""
        return selectors.state_of(alert)

    def get_error(self, alert: Alert) -> str:
        """Return why the last attempt failed, "" when none did."""
        return next((one.error for one in alert.deliveries.all() if one.error), "")


class DailySummarySerializer(serializers.Serializer[Any]):
    """`hour` in `timezone`; null: no summary."""

    hour = serializers.IntegerField(min_value=0, max_value=23, allow_null=True)
    timezone = serializers.CharField(max_length=64)


class AlertPreferencesSerializer(serializers.Serializer[Any]):
    """`kinds`: those that are sent; the others are kept in the list only."""

    kinds = serializers.MultipleChoiceField(choices=[kind.value for kind in MUTABLE_KINDS])

    def to_representation(self, instance: Any) -> dict[str, list[str]]:
        return {"kinds": list(instance["kinds"])}
