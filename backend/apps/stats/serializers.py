"""What the page may ask, and the shapes of its panels: amounts are exact strings, absent figures are null."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from rest_framework import serializers

from apps.core.api_fields import TRADING_MODES, PlainDecimal
from apps.orders.events import amount
from apps.orders.models import Trade
from apps.orders.serializers import TradeSerializer
from apps.stats.scope import SOURCES
from apps.stats.selectors import closed_trade
from domain.markets import split_symbol

_RATIO = Decimal("1e-8")


class RatioField(PlainDecimal):
    """A quotient, rounded to 8 places."""

    def to_representation(self, value: Decimal) -> str:
        return super().to_representation(value.quantize(_RATIO, rounding=ROUND_HALF_EVEN))


class ScopeQuery(serializers.Serializer[Any]):
    """Parameters of every panel."""

    broker = serializers.IntegerField(min_value=1, required=False)
    mode = serializers.ChoiceField(
        choices=TRADING_MODES, required=False, help_text="Sans `broker` : ceux de ce mode."
    )
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
    net = PlainDecimal()
    win_ratio = RatioField(allow_null=True)
    profit_factor = RatioField(allow_null=True)
    fees = PlainDecimal()


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
    net = PlainDecimal()


class _DrawdownSerializer(serializers.Serializer[Any]):
    step = serializers.ChoiceField(choices=("trade", "day"), help_text="Le pas de la courbe, et celui du calcul.")
    depth = PlainDecimal(help_text="Plus forte baisse du gain cumulé, positive : la plus profonde de la courbe.")
    peak_day = serializers.DateField(allow_null=True)
    trough_day = serializers.DateField(allow_null=True)
    day_count = serializers.IntegerField()


class _FeeSerializer(serializers.Serializer[Any]):
    currency = serializers.CharField()
    amount = PlainDecimal()


class _OpenSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    unrealized_pnl = PlainDecimal()
    fees = PlainDecimal(help_text="Payés à l'achat de ce qui est détenu : les ventes à venir les porteront.")


class StatsSummarySerializer(serializers.Serializer[Any]):
    mode = serializers.ChoiceField(choices=TRADING_MODES, allow_null=True)
    modes = serializers.ListField(child=serializers.ChoiceField(choices=TRADING_MODES))
    quote = serializers.CharField()
    quotes = serializers.ListField(child=serializers.CharField())
    today = serializers.DateField()
    order_count = serializers.IntegerField()
    refused_count = serializers.IntegerField()
    trade_count = serializers.IntegerField(source="tally.trade_count")
    win_count = serializers.IntegerField(source="tally.win_count")
    loss_count = serializers.IntegerField(source="tally.loss_count")
    net = PlainDecimal(source="tally.net")
    gross_profit = PlainDecimal(source="tally.gross_profit")
    gross_loss = PlainDecimal(source="tally.gross_loss")
    win_ratio = RatioField(source="tally.win_ratio", allow_null=True)
    profit_factor = RatioField(source="tally.profit_factor", allow_null=True)
    average_win = RatioField(source="tally.average_win", allow_null=True)
    average_loss = RatioField(source="tally.average_loss", allow_null=True)
    expectancy = RatioField(source="tally.expectancy", allow_null=True)
    best_trade = PlainDecimal(allow_null=True)
    worst_trade = PlainDecimal(allow_null=True)
    best_day = _DayResultSerializer(allow_null=True)
    worst_day = _DayResultSerializer(allow_null=True)
    drawdown = _DrawdownSerializer()
    volume = PlainDecimal()
    fees = PlainDecimal(help_text="Des trades clos, achat et vente, en `quote` ; ceux payés dans l'actif compris.")
    other_fees = _FeeSerializer(many=True, help_text="Payés dans une autre monnaie : hors de `fees` et de `net`.")
    open = _OpenSerializer()


class _PointSerializer(serializers.Serializer[Any]):
    time = serializers.DateTimeField()
    net = PlainDecimal()
    drawdown = PlainDecimal(help_text="Sous le plus haut atteint, positif.")
    sources = serializers.DictField(child=PlainDecimal())


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
    quantity = PlainDecimal(source="filled_quantity")
    entry_price = serializers.SerializerMethodField(help_text="Prix moyen d'achat de ce qui est vendu, hors frais.")
    exit_price = PlainDecimal(source="average_price", allow_null=True)
    fee = serializers.SerializerMethodField(help_text="De l'achat et de la vente, dans la monnaie de cotation.")
    entry_fee = PlainDecimal(allow_null=True, help_text="La part de l'achat, dans la monnaie de cotation.")
    other_fee = serializers.SerializerMethodField(
        help_text="De la vente, payé dans une troisième monnaie ; sinon vide."
    )
    profit_loss = PlainDecimal()

    def get_label(self, trade: Trade) -> str:
        return trade.strategy.name if trade.strategy else ""

    def get_entry_price(self, trade: Trade) -> str | None:
        return amount(closed_trade(trade).entry_price)

    def get_fee(self, trade: Trade) -> str:
        return amount(closed_trade(trade).fee) or "0"

    def get_other_fee(self, trade: Trade) -> str:
        return other_fee(trade)


class StatsTradeDetailSerializer(serializers.Serializer[Any]):
    """A closed trade, and how it went from its first purchase on."""

    trade = StatsTradeSerializer()
    order = TradeSerializer(source="trade", help_text="L'ordre qui l'a clos.")
    opened_at = serializers.DateTimeField(allow_null=True, help_text="Premier achat, heure du marché.")
    closing_reason = serializers.CharField(
        help_text="user, signal, stop_loss, take_profit, unprotected ; vide : une vente demandée comme telle."
    )
    origin = serializers.CharField(help_text="Nom de la source de webhook ; vide sans elle.")
    orders = TradeSerializer(many=True, help_text="Les ordres exécutés dans la position, dans l'ordre du temps.")


def other_fee(trade: Trade) -> str:
    """Return `0.01 BNB` for a fee that is in neither currency of the market, else nothing."""
    return (
        ""
        if not trade.fee or trade.fee_currency in split_symbol(trade.symbol)
        else f"{amount(trade.fee)} {trade.fee_currency}"
    )
