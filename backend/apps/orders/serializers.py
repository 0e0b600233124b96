"""Shapes of the orders room's API, described field by field for OpenAPI; the bodies are those of the events."""

from typing import Any

from rest_framework import serializers

from apps.orders.events import position_body, trade_body
from apps.orders.models import Position, Trade
from domain.order_abilities import PairMode
from domain.orders import OrderSource, OrderStatus, OrderType, Side

_AMOUNT = {"max_digits": 38, "decimal_places": 18}


class _RowSerializer(serializers.Serializer):
    """Read only: the same function makes the body for REST and for the socket."""

    def create(self, validated_data: dict[str, Any]) -> Any:
        raise NotImplementedError("orders are submitted through apps.orders.desk")

    def update(self, instance: Any, validated_data: dict[str, Any]) -> Any:
        raise NotImplementedError("orders are changed through apps.orders.ledger")


class TradeSerializer(_RowSerializer):
    """One order."""

    id = serializers.IntegerField()
    client_order_id = serializers.CharField()
    broker = serializers.IntegerField()
    bot = serializers.IntegerField(allow_null=True)
    strategy = serializers.IntegerField(allow_null=True)
    webhook = serializers.IntegerField(allow_null=True, help_text="Appel de webhook dont l'ordre est né.")
    position = serializers.IntegerField(allow_null=True, help_text="Position que l'ordre protège ou ferme.")
    trace_id = serializers.CharField(help_text="Trace : du signal à l'exécution, voir `/api/logs/traces/`.")
    source = serializers.ChoiceField(choices=[source.value for source in OrderSource])
    owner = serializers.CharField(help_text="À qui est la position que l'ordre touche : manual, bot:12, webhook:3.")
    intent = serializers.ChoiceField(choices=Trade.Intent.choices)
    symbol = serializers.CharField()
    side = serializers.ChoiceField(choices=[side.value for side in Side])
    type = serializers.ChoiceField(choices=[kind.value for kind in OrderType])
    quantity = serializers.DecimalField(**_AMOUNT)
    price = serializers.DecimalField(**_AMOUNT, allow_null=True)
    stop_price = serializers.DecimalField(**_AMOUNT, allow_null=True)
    quote_amount = serializers.DecimalField(**_AMOUNT, allow_null=True)
    link_id = serializers.CharField(
        allow_blank=True, help_text="Commun aux deux ordres d'un stop loss + take profit."
    )
    link_mode = serializers.ChoiceField(choices=[mode.value for mode in PairMode], allow_blank=True)
    replaces = serializers.IntegerField(allow_null=True, help_text="Ordre que celui-ci remplace.")
    average_price = serializers.DecimalField(**_AMOUNT, allow_null=True)
    filled_quantity = serializers.DecimalField(**_AMOUNT)
    fee = serializers.DecimalField(**_AMOUNT)
    fee_currency = serializers.CharField()
    status = serializers.ChoiceField(choices=[status.value for status in OrderStatus])
    error_message = serializers.CharField()
    profit_loss = serializers.DecimalField(**_AMOUNT, allow_null=True)
    created_at = serializers.DateTimeField()
    market_time = serializers.DateTimeField(allow_null=True)

    def to_representation(self, instance: Trade) -> dict[str, Any]:
        return trade_body(instance)


HOLDERS = ["none", "exchange", "placing", "engine"]


class ProtectionSerializer(serializers.Serializer):
    """Who holds the two sides of a position's protection, and how to say it."""

    stop_loss = serializers.ChoiceField(choices=HOLDERS)
    take_profit = serializers.ChoiceField(choices=HOLDERS)
    text = serializers.CharField(help_text="« SL 61 200 · TP 63 900, chez l'exchange »")


class PositionSerializer(_RowSerializer):
    """One position."""

    id = serializers.IntegerField()
    broker = serializers.IntegerField()
    bot = serializers.IntegerField(allow_null=True)
    symbol = serializers.CharField()
    owner = serializers.CharField()
    side = serializers.CharField()
    quantity = serializers.DecimalField(**_AMOUNT)
    entry_price = serializers.DecimalField(**_AMOUNT)
    current_price = serializers.DecimalField(**_AMOUNT, allow_null=True)
    stop_loss = serializers.DecimalField(**_AMOUNT, allow_null=True)
    take_profit = serializers.DecimalField(**_AMOUNT, allow_null=True)
    realized_pnl = serializers.DecimalField(**_AMOUNT)
    unrealized_pnl = serializers.DecimalField(**_AMOUNT, allow_null=True)
    status = serializers.ChoiceField(choices=Position.Status.choices)
    closing_reason = serializers.CharField(
        help_text="user, signal, stop_loss, take_profit ou unprotected ; vide tant que la position est ouverte."
    )
    protection = ProtectionSerializer(allow_null=True)
    opened_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)

    def to_representation(self, instance: Position) -> dict[str, Any]:
        return position_body(instance)
