"""What a page sends to have a strategy tried, and gets back."""

from typing import Any

from rest_framework import serializers

from domain.strategies.syntax import MAX_CODE_BYTES
from domain.timeframes import Timeframe

TIMEFRAMES = [timeframe.value for timeframe in Timeframe]


class QuickTestInputSerializer(serializers.Serializer[Any]):
    code = serializers.CharField(max_length=MAX_CODE_BYTES, trim_whitespace=False)
    broker = serializers.IntegerField()
    symbol = serializers.CharField(max_length=64)
    timeframe = serializers.ChoiceField(choices=TIMEFRAMES)
    amount = serializers.DecimalField(max_digits=30, decimal_places=12, default=1000)
    params = serializers.DictField(default=dict)


class QuickTradeSerializer(serializers.Serializer[Any]):
    """One round trip; times are opening times of candles in ms, amounts in quote currency."""

    entry_time = serializers.IntegerField()
    exit_time = serializers.IntegerField()
    quantity = serializers.CharField()
    entry_price = serializers.CharField()
    exit_price = serializers.CharField()
    fees = serializers.CharField()
    profit = serializers.CharField()
    reason = serializers.ChoiceField(choices=["stop_loss", "take_profit", "signal", "hole"])


class QuickRefusalSerializer(serializers.Serializer[Any]):
    time = serializers.IntegerField()
    reason = serializers.CharField()


class QuickTestSerializer(serializers.Serializer[Any]):
    """`candles` are [open time in ms, open, high, low, close]; `open_since` a position still held at the end."""

    candles = serializers.ListField(child=serializers.ListField(child=serializers.FloatField()))
    trades = QuickTradeSerializer(many=True)
    refusals = QuickRefusalSerializer(many=True)
    trade_count = serializers.IntegerField()
    ambiguous_count = serializers.IntegerField()
    open_since = serializers.IntegerField(allow_null=True)
    quote = serializers.CharField()
    initial_amount = serializers.CharField()
    final_balance = serializers.CharField()
    profit = serializers.CharField()
    profit_ratio = serializers.CharField()
