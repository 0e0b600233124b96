"""What the bots' pages send, and the documented shape of what they get (`bodies.py` makes it)."""

from typing import Any

from rest_framework import serializers

from apps.core.api_fields import TRADING_MODES
from apps.orders.serializers import ProtectionSerializer
from domain.strategies.parity import Cause
from domain.timeframes import Timeframe

TIMEFRAMES = [timeframe.value for timeframe in Timeframe]
STATES = ["running", "waiting", "suspended", "stopped", "paused_error", "ended"]


class BotInputSerializer(serializers.Serializer[Any]):
    """Settings of a bot. `timeframe` defaults to the strategy's; `amount` caps what the bot spends."""

    strategy = serializers.IntegerField(source="strategy_id")
    broker = serializers.IntegerField(source="broker_id")
    symbol = serializers.CharField(max_length=64)
    timeframe = serializers.ChoiceField(choices=TIMEFRAMES, required=False)
    start_date = serializers.DateTimeField()
    end_date = serializers.DateTimeField()
    is_active = serializers.BooleanField(default=True)
    amount = serializers.DecimalField(max_digits=30, decimal_places=12, required=False, allow_null=True)
    params = serializers.DictField(required=False)
    confirm_duplicate = serializers.BooleanField(
        required=False, help_text="Activer bien qu'un autre bot fasse déjà la même chose (code `duplicate_bot`)."
    )


class StopInputSerializer(serializers.Serializer[Any]):
    confirm = serializers.BooleanField(default=False)
    sell = serializers.BooleanField(required=False, help_text="Vendre la position ouverte au marché.")


class DecisionSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    signal_id = serializers.CharField()
    close_time = serializers.DateTimeField()
    status = serializers.ChoiceField(choices=["leased", "decided", "missed", "failed"])
    action = serializers.ChoiceField(choices=["buy", "sell", "none"])
    reason = serializers.CharField()
    details = serializers.DictField()
    decided_at = serializers.DateTimeField(allow_null=True)
    trade = serializers.IntegerField(allow_null=True)
    trace_id = serializers.CharField()


class WishSerializer(serializers.Serializer[Any]):
    """What a strategy wants. `error` alone: it failed when it was asked again."""

    should_long = serializers.BooleanField(required=False)
    should_short = serializers.BooleanField(required=False)
    position_size = serializers.CharField(required=False)
    stop_loss = serializers.CharField(required=False)
    take_profit = serializers.CharField(required=False)
    error = serializers.CharField(required=False)


class ParityDifferenceSerializer(serializers.Serializer[Any]):
    decision = serializers.IntegerField()
    close_time = serializers.DateTimeField()
    live = WishSerializer()
    replayed = WishSerializer(allow_null=True)
    cause = serializers.ChoiceField(choices=[cause.value for cause in Cause])
    explanation = serializers.CharField()


class ParityRunSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    bot = serializers.IntegerField()
    day = serializers.DateField()
    status = serializers.ChoiceField(choices=["queued", "done", "failed"])
    is_complete = serializers.BooleanField()
    checked = serializers.IntegerField()
    differing = serializers.IntegerField()
    unverifiable = serializers.IntegerField()
    reason = serializers.CharField()
    asked_at = serializers.DateTimeField()
    done_at = serializers.DateTimeField(allow_null=True)
    differences = ParityDifferenceSerializer(many=True)


class BotPositionSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    broker = serializers.IntegerField()
    bot = serializers.IntegerField(allow_null=True)
    symbol = serializers.CharField()
    owner = serializers.CharField()
    side = serializers.CharField()
    quantity = serializers.CharField()
    entry_price = serializers.CharField()
    current_price = serializers.CharField(allow_null=True)
    stop_loss = serializers.CharField(allow_null=True)
    take_profit = serializers.CharField(allow_null=True)
    realized_pnl = serializers.CharField()
    unrealized_pnl = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(choices=["open", "closing", "closed"])
    closing_reason = serializers.CharField()
    protection = ProtectionSerializer(allow_null=True)
    opened_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)


class BotTradeSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    client_order_id = serializers.CharField()
    broker = serializers.IntegerField()
    bot = serializers.IntegerField(allow_null=True)
    strategy = serializers.IntegerField(allow_null=True)
    source = serializers.CharField()
    intent = serializers.CharField()
    symbol = serializers.CharField()
    side = serializers.ChoiceField(choices=["buy", "sell"])
    type = serializers.CharField()
    quantity = serializers.CharField()
    price = serializers.CharField(allow_null=True)
    average_price = serializers.CharField(allow_null=True)
    filled_quantity = serializers.CharField()
    fee = serializers.CharField()
    fee_currency = serializers.CharField()
    status = serializers.CharField()
    error_message = serializers.CharField()
    profit_loss = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    market_time = serializers.DateTimeField(allow_null=True)


class BotSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    strategy = serializers.IntegerField()
    strategy_name = serializers.CharField()
    broker = serializers.IntegerField()
    broker_name = serializers.CharField()
    mode = serializers.ChoiceField(choices=TRADING_MODES)
    symbol = serializers.CharField()
    quote_currency = serializers.CharField()
    timeframe = serializers.ChoiceField(choices=TIMEFRAMES)
    start_date = serializers.DateTimeField()
    end_date = serializers.DateTimeField()
    is_active = serializers.BooleanField()
    amount = serializers.CharField(allow_null=True)
    params = serializers.DictField()
    state = serializers.ChoiceField(choices=STATES)
    pause_reason = serializers.CharField()
    pause_details = serializers.DictField()
    paused_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    last_decision = DecisionSerializer(allow_null=True)
    position = BotPositionSerializer(allow_null=True)
    realized_pnl = serializers.CharField()
    unrealized_pnl = serializers.CharField(allow_null=True)
    trades = BotTradeSerializer(many=True)
    amount_warning = serializers.CharField(
        help_text="Plafond supérieur au solde de la dernière décision ; ou vide."
    )


class EquityPointSerializer(serializers.Serializer[Any]):
    at = serializers.DateTimeField(allow_null=True, help_text="Heure du marché.")
    profit_loss = serializers.CharField(help_text="Réalisé par cet ordre, net de frais.")
    total = serializers.CharField(help_text="Réalisé depuis le début.")


class EquitySerializer(serializers.Serializer[Any]):
    strategy_name = serializers.CharField()
    quote_currency = serializers.CharField()
    realized_pnl = serializers.CharField()
    unrealized_pnl = serializers.CharField(allow_null=True)
    points = EquityPointSerializer(many=True, help_text="Les 500 dernières ventes, la plus ancienne d'abord.")
