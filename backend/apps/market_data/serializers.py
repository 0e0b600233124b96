"""JSON of symbols and candles: prices and quantities are exact strings."""

from rest_framework import serializers

from apps.core.api_fields import PlainDecimal
from apps.market_data.models import Candle, ExchangeSymbol


class SymbolSerializer(serializers.ModelSerializer[ExchangeSymbol]):
    tick_size = PlainDecimal(source="price_precision", read_only=True)
    step_size = PlainDecimal(source="amount_precision", read_only=True)
    min_quantity = PlainDecimal(source="min_amount", read_only=True, allow_null=True)
    min_notional = PlainDecimal(read_only=True, allow_null=True)

    class Meta:
        model = ExchangeSymbol
        fields = ["symbol", "base", "quote", "tick_size", "step_size", "min_quantity", "min_notional", "active"]


class CandleSerializer(serializers.ModelSerializer[Candle]):
    open = PlainDecimal(source="open_price", read_only=True)
    high = PlainDecimal(source="high_price", read_only=True)
    low = PlainDecimal(source="low_price", read_only=True)
    close = PlainDecimal(source="close_price", read_only=True)
    volume = PlainDecimal(read_only=True)

    class Meta:
        model = Candle
        fields = ["open_time", "close_time", "open", "high", "low", "close", "volume", "is_flat"]


class SymbolQuery(serializers.Serializer[dict[str, object]]):
    """Parameters of GET /api/symbols/."""

    broker = serializers.IntegerField(min_value=1)
    quote = serializers.CharField(required=False, max_length=32)
    search = serializers.CharField(required=False, max_length=64)


class CandleQuery(serializers.Serializer[dict[str, object]]):
    """Parameters of GET /api/candles/."""

    broker = serializers.IntegerField(min_value=1)
    symbol = serializers.CharField(max_length=64)
    timeframe = serializers.CharField(max_length=4)
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)
