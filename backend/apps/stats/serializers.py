"""What the page may ask, and the shapes of its panels: amounts are exact strings, absent figures are null."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from rest_framework import serializers

from apps.orders.events import amount
from apps.orders.models import Trade
from apps.stats.scope import MODES, SOURCES
from domain.markets import split_symbol

_RATIO = Decimal("1e-8")


class AmountField(serializers.Field[Decimal, Decimal, str, Decimal]):
    """A Decimal as text without trailing zeros nor exponent."""

    def to_representation(self, value: Decimal) -> str:
        return amount(value) or "0"


class RatioField(AmountField):
    """A quotient, rounded to 8 places."""

    def to_representation(self, value: Decimal) -> str:
        return super().to_representation(value.quantize(_RATIO, rounding=ROUND_HALF_EVEN))


class ScopeQuery(serializers.Serializer[Any]):
    """Parameters of every panel."""

    broker = serializers.IntegerField(min_value=1, required=False)
    mode = serializers.ChoiceField(choices=MODES, required=False, help_text="Sans `broker` : ceux de ce mode.")
    since = serializers.DateField(required=False, help_text="Premier jour (UTC du marché).")
    until = serializers.DateField(required=False, help_text="Dernier jour compris (UTC du marché).")
    source = serializers.CharField(required=False, help_text="Sources séparées par des virgules.")
    quote = serializers.CharField(required=False, max_length=32, help_text="Monnaie des résultats.")

    def validate_source(self, text: str) -> list[str]:
        asked = [name.strip() for name in text.split(",") if name.strip()]
        unknown = sorted(set(asked) - set(SOURCES))
        if unknown:
            raise serializers.ValidationError(f"source {', '.join(unknown)} inconnue, attendu {', '.join(SOURCES)}")
        return asked


class _GroupSerializer(serializers.Serializer[Any]):
    trade_count = serializers.IntegerField()
    win_count = serializers.IntegerField()
    loss_count = serializers.IntegerField()
    net = AmountField()
    win_ratio = RatioField(allow_null=True)
    profit_factor = RatioField(allow_null=True)
    fees = AmountField()


class StatsDaySerializer(_GroupSerializer):
    day = serializers.DateField()


class StatsStrategySerializer(_GroupSerializer):
    source = serializers.ChoiceField(choices=SOURCES)
    strategy = serializers.IntegerField(allow_null=True)
    name = serializers.CharField(help_text="Vide quand la stratégie a été supprimée ou qu'il n'y en a pas.")


class StatsWebhookSerializer(_GroupSerializer):
    owner = serializers.CharField()
    name = serializers.CharField(help_text="Vide quand la source et ses appels ont été supprimés.")


class StatsSymbolSerializer(_GroupSerializer):
    symbol = serializers.CharField()


class _DayResultSerializer(serializers.Serializer[Any]):
    day = serializers.DateField()
    net = AmountField()


class _DrawdownSerializer(serializers.Serializer[Any]):
    depth = AmountField(help_text="Plus forte baisse du gain cumulé, positive.")
    peak_day = serializers.DateField(allow_null=True)
    trough_day = serializers.DateField(allow_null=True)
    day_count = serializers.IntegerField()


class _FeeSerializer(serializers.Serializer[Any]):
    currency = serializers.CharField()
    amount = AmountField()


class _OpenSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    unrealized_pnl = AmountField()


class StatsSummarySerializer(serializers.Serializer[Any]):
    mode = serializers.ChoiceField(choices=MODES, allow_null=True)
    modes = serializers.ListField(child=serializers.ChoiceField(choices=MODES))
    quote = serializers.CharField()
    quotes = serializers.ListField(child=serializers.CharField())
    today = serializers.DateField()
    order_count = serializers.IntegerField()
    refused_count = serializers.IntegerField()
    trade_count = serializers.IntegerField(source="tally.trade_count")
    win_count = serializers.IntegerField(source="tally.win_count")
    loss_count = serializers.IntegerField(source="tally.loss_count")
    net = AmountField(source="tally.net")
    gross_profit = AmountField(source="tally.gross_profit")
    gross_loss = AmountField(source="tally.gross_loss")
    win_ratio = RatioField(source="tally.win_ratio", allow_null=True)
    profit_factor = RatioField(source="tally.profit_factor", allow_null=True)
    average_win = RatioField(source="tally.average_win", allow_null=True)
    average_loss = RatioField(source="tally.average_loss", allow_null=True)
    expectancy = RatioField(source="tally.expectancy", allow_null=True)
    best_trade = AmountField(allow_null=True)
    worst_trade = AmountField(allow_null=True)
    best_day = _DayResultSerializer(allow_null=True)
    worst_day = _DayResultSerializer(allow_null=True)
    drawdown = _DrawdownSerializer()
    volume = AmountField()
    fees = AmountField(help_text="En `quote`, ceux payés dans l'actif compris.")
    other_fees = _FeeSerializer(many=True, help_text="Payés dans une autre monnaie : hors de `fees` et de `net`.")
    open = _OpenSerializer()


class _PointSerializer(serializers.Serializer[Any]):
    time = serializers.DateTimeField()
    net = AmountField()
    drawdown = AmountField(help_text="Sous le plus haut atteint, positif.")
    sources = serializers.DictField(child=AmountField())


class StatsEquitySerializer(serializers.Serializer[Any]):
    step = serializers.ChoiceField(choices=("trade", "day"))
    points = _PointSerializer(many=True)


class StatsTradeSerializer(serializers.Serializer[Any]):
    """An order that realised a result."""

    id = serializers.IntegerField()
    closed_at = serializers.DateTimeField(source="market_time", help_text="Dernière exécution, heure du marché.")
    symbol = serializers.CharField()
    side = serializers.CharField()
    source = serializers.ChoiceField(choices=SOURCES)
    label = serializers.SerializerMethodField(help_text="Nom de la stratégie, vide sans elle.")
    broker = serializers.IntegerField(source="broker_id")
    broker_name = serializers.CharField(source="broker.name")
    quantity = AmountField(source="filled_quantity")
    entry_price = serializers.SerializerMethodField(help_text="Coût moyen d'une unité vendue, frais compris.")
    exit_price = AmountField(source="average_price", allow_null=True)
    fee = AmountField()
    fee_currency = serializers.CharField()
    profit_loss = AmountField()

    def get_label(self, trade: Trade) -> str:
        return trade.strategy.name if trade.strategy else ""

    def get_entry_price(self, trade: Trade) -> str | None:
        return amount(entry_price(trade))


def entry_price(trade: Trade) -> Decimal | None:
    """Return what a unit had cost: what the sale brought, less its result, by unit; 8 places."""
    if not trade.filled_quantity or trade.average_price is None:
        return None
    _, quote = split_symbol(trade.symbol)
    fee = trade.fee if trade.fee_currency == quote else Decimal(0)
    cost = trade.filled_quantity * trade.average_price - fee - trade.profit_loss
    return (cost / trade.filled_quantity).quantize(_RATIO, rounding=ROUND_HALF_EVEN)
