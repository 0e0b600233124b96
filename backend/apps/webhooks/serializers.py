"""What the webhooks page sends, and the documented shape of what it gets (`bodies.py` makes it)."""

from typing import Any

from rest_framework import serializers

from apps.core.api_fields import TRADING_MODES
from apps.orders.serializers import TradeSerializer
from apps.webhooks.models import Webhook

_AMOUNT = {"max_digits": 30, "decimal_places": 12, "required": False, "allow_null": True}
_BODY = {"max_length": 65536, "allow_blank": True, "trim_whitespace": False}


class SourceInputSerializer(serializers.Serializer[Any]):
    """Settings of a source. `secret`: what the body of a call must hold; "" takes it away."""

    name = serializers.CharField(max_length=64)
    broker = serializers.IntegerField(source="broker_id")
    secret = serializers.CharField(max_length=128, required=False, allow_blank=True)
    tradingview_only = serializers.BooleanField(required=False)
    is_enabled = serializers.BooleanField(required=False)
    allowed_symbols = serializers.ListField(
        child=serializers.CharField(max_length=64), required=False, max_length=200
    )
    max_quote_amount = serializers.DecimalField(**_AMOUNT, min_value=0)
    default_quote_amount = serializers.DecimalField(**_AMOUNT, min_value=0)
    default_percent = serializers.DecimalField(
        max_digits=6, decimal_places=3, required=False, allow_null=True, min_value=0, max_value=100
    )
    rate_per_minute = serializers.IntegerField(required=False, min_value=1, max_value=60_000)
    max_age_s = serializers.IntegerField(required=False, min_value=5, max_value=3600)
    duplicate_window_s = serializers.IntegerField(required=False, min_value=0, max_value=3600)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        for name in ("max_quote_amount", "default_quote_amount", "default_percent"):
            if attrs.get(name) == 0:
                raise serializers.ValidationError({name: "Nombre positif attendu, ou rien."})
        return attrs


class SourceSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    broker = serializers.IntegerField()
    broker_name = serializers.CharField()
    mode = serializers.ChoiceField(choices=TRADING_MODES)
    token_hint = serializers.CharField()
    has_secret = serializers.BooleanField()
    tradingview_only = serializers.BooleanField()
    is_enabled = serializers.BooleanField()
    revoked_at = serializers.DateTimeField(allow_null=True)
    allowed_symbols = serializers.ListField(child=serializers.CharField())
    max_quote_amount = serializers.CharField(allow_null=True)
    default_quote_amount = serializers.CharField(allow_null=True)
    default_percent = serializers.CharField(allow_null=True)
    rate_per_minute = serializers.IntegerField()
    max_age_s = serializers.IntegerField()
    duplicate_window_s = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    call_count = serializers.IntegerField()
    last_call_at = serializers.DateTimeField(allow_null=True)
    url = serializers.CharField(help_text="Adresse, le jeton masqué sauf à sa création.")


class NewSourceSerializer(SourceSerializer):
    """With the token, once."""

    token = serializers.CharField()


class CallSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    source = serializers.IntegerField(allow_null=True)
    source_name = serializers.CharField()
    broker_name = serializers.CharField(allow_blank=True)
    status = serializers.ChoiceField(choices=Webhook.Status.choices)
    code = serializers.CharField(allow_blank=True)
    reason = serializers.CharField(allow_blank=True)
    symbol = serializers.CharField(allow_blank=True)
    action = serializers.CharField(allow_blank=True)
    payload = serializers.DictField()
    call_id = serializers.CharField(allow_blank=True)
    duplicate_of = serializers.IntegerField(allow_null=True)
    remote_address = serializers.CharField(allow_blank=True)
    is_test = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    processed_at = serializers.DateTimeField(allow_null=True)
    left_position = serializers.IntegerField(allow_null=True, help_text="Position que l'appel a fait fermer.")
    trades = TradeSerializer(many=True)


class CallDetailSerializer(CallSerializer):
    """With the text that came."""

    body = serializers.CharField(allow_blank=True)


class ProfitSerializer(serializers.Serializer[Any]):
    currency = serializers.CharField()
    amount = serializers.CharField()


class SummarySerializer(serializers.Serializer[Any]):
    calls = serializers.IntegerField()
    waiting = serializers.IntegerField()
    executed = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    stale = serializers.IntegerField()
    refused = serializers.IntegerField()
    order_delay_ms = serializers.IntegerField(allow_null=True)
    profits = ProfitSerializer(many=True)


class SinceSerializer(serializers.Serializer[Any]):
    since = serializers.DateTimeField(help_text="Début de la journée de l'utilisateur.")


class MessageSerializer(serializers.Serializer[Any]):
    body = serializers.CharField(**_BODY)


class ReadingOrderSerializer(serializers.Serializer[Any]):
    side = serializers.ChoiceField(choices=["buy", "sell"])
    type = serializers.CharField()
    quantity = serializers.CharField()
    price = serializers.CharField(allow_null=True)
    notional = serializers.CharField()
    fee = serializers.CharField()
    fee_currency = serializers.CharField()
    stop_loss = serializers.CharField(allow_null=True)
    take_profit = serializers.CharField(allow_null=True)


class ReadingSerializer(serializers.Serializer[Any]):
    """How a message would be read: its fields, its market, and what would be done now."""

    verdict = serializers.ChoiceField(choices=["order", "leave", "cancel", "nothing", "refused", "unsure"])
    reason = serializers.CharField(allow_blank=True)
    payload = serializers.DictField()
    symbol = serializers.CharField(allow_blank=True)
    order = ReadingOrderSerializer(allow_null=True)
