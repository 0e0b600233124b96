"""Shapes of the requests of `/ws/trading/`: what arrives is checked here, with the field at fault in French."""

from collections.abc import Mapping
from decimal import Context, Decimal, InvalidOperation
from typing import Any

from rest_framework import serializers

from apps.trading_manual.services.tickets import Ticket
from domain.orders import OrderRequest, OrderType, Side

MAX_DECIMALS = 18
MAX_DIGITS = 18  # before the point: 10^18 is beyond any order
MAX_LENGTH = 64  # of what is typed
MAX_RATIO = Decimal(1)
_EXACT = Context(prec=MAX_LENGTH)

FIELD_NAMES: Mapping[str, str] = {
    "broker": "Broker",
    "symbol": "Symbole",
    "side": "Sens",
    "order_type": "Type d'ordre",
    "quantity": "Quantité",
    "quote_amount": "Montant",
    "balance_ratio": "Part du solde",
    "price": "Prix",
    "stop_price": "Prix de déclenchement",
    "stop_loss": "Stop loss",
    "take_profit": "Take profit",
    "trade": "Ordre",
    "position": "Position",
    "timeframe": "Unité de temps",
    "since": "Début",
    "until": "Fin",
    "limit": "Nombre",
    "depth": "Profondeur",
    "search": "Recherche",
    "validation_id": "Validation",
}

Params = Mapping[str, Any]


class AmountField(serializers.Field[Decimal, Any, str, Any]):
    """A positive number as text (or a JSON number), exact: at most 18 digits on either side of the point."""

    default_error_messages = {
        "invalid": "« {value} » n'est pas un nombre.",
        "not_positive": "{value} : un nombre supérieur à 0 est attendu.",
        "too_large": "{value} : nombre démesuré (18 chiffres au plus avant la virgule).",
        "too_precise": "{value} : 18 décimales au plus.",
    }

    def to_internal_value(self, data: Any) -> Decimal:
        shown = str(data)[:40]
        if isinstance(data, bool) or not isinstance(data, (str, int, float)) or len(str(data)) > MAX_LENGTH:
            self.fail("invalid", value=shown)
        try:
            value = Decimal(str(data).strip().replace(",", ".", 1))
        except InvalidOperation:
            self.fail("invalid", value=shown)
        if not value.is_finite():
            self.fail("invalid", value=shown)
        if value <= 0:
            self.fail("not_positive", value=shown)
        if value.adjusted() >= MAX_DIGITS:
            self.fail("too_large", value=shown)
        if -int(value.normalize(_EXACT).as_tuple().exponent) > MAX_DECIMALS:
            self.fail("too_precise", value=shown)
        return value

    def to_representation(self, value: Decimal) -> str:
        return f"{value:f}"


class BrokerRequest(serializers.Serializer[Any]):
    """All requests name the broker they are about."""

    broker = serializers.IntegerField(min_value=1, max_value=2**62)


class _Symbol(serializers.CharField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=64, **kwargs)


class SelectRequest(BrokerRequest):
    """The broker, symbol and timeframe whose live events this socket receives from now on."""

    symbol = _Symbol(required=False, allow_null=True, allow_blank=True)
    timeframe = serializers.CharField(max_length=4, required=False, allow_null=True, allow_blank=True)


class SymbolsRequest(BrokerRequest):
    quote = serializers.CharField(max_length=32, required=False, allow_blank=True, default="")
    search = serializers.CharField(max_length=64, required=False, allow_blank=True, default="")
    limit = serializers.IntegerField(min_value=1, max_value=200, default=50)
    offset = serializers.IntegerField(min_value=0, max_value=1_000_000, default=0)


class MarketRequest(BrokerRequest):
    symbol = _Symbol()


class TicketRequest(BrokerRequest):
    """The form. One of `quantity`, `quote_amount` and `balance_ratio` sizes the order."""

    symbol = _Symbol()
    side = serializers.ChoiceField(choices=[side.value for side in Side])
    order_type = serializers.ChoiceField(choices=[kind.value for kind in OrderType])
    quantity = AmountField(required=False, allow_null=True)
    quote_amount = AmountField(required=False, allow_null=True)
    balance_ratio = AmountField(required=False, allow_null=True)
    price = AmountField(required=False, allow_null=True)
    stop_price = AmountField(required=False, allow_null=True)
    stop_loss = AmountField(required=False, allow_null=True)
    take_profit = AmountField(required=False, allow_null=True)

    def validate_balance_ratio(self, value: Decimal | None) -> Decimal | None:
        if value is not None and value > MAX_RATIO:
            raise serializers.ValidationError(f"{value} : une part du solde va de 0 à 1.")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        sizes = [name for name in ("quantity", "quote_amount", "balance_ratio") if attrs.get(name) is not None]
        if len(sizes) != 1:
            given = "aucun" if not sizes else ", ".join(sizes)
            rule = "indiquer soit une quantité, soit un montant, soit une part du solde"
            raise serializers.ValidationError({"quantity": f"{rule} (reçu : {given})."})
        is_pair = attrs["order_type"] == OrderType.OCO
        for name in ("stop_loss", "take_profit"):
            if attrs.get(name) is not None and not is_pair:
                raise serializers.ValidationError(
                    {name: "un seuil de protection se donne avec le type SL + TP (il serait ignoré ici)."}
                )
        return attrs


class SubmitRequest(BrokerRequest):
    """A validation to execute, or the form itself (then checked as `TicketRequest`)."""

    validation_id = serializers.CharField(max_length=4000, required=False, allow_null=True)


class TradeRequest(BrokerRequest):
    trade = serializers.IntegerField(min_value=1, max_value=2**62)


class CloseRequest(BrokerRequest):
    position = serializers.IntegerField(min_value=1, max_value=2**62)


class AmendRequest(TradeRequest):
    """The new terms; what is not given stays. `quantity` is the new total, what has executed included."""

    quantity = AmountField(required=False, allow_null=True)
    price = AmountField(required=False, allow_null=True)
    stop_price = AmountField(required=False, allow_null=True)


class CancelAllRequest(BrokerRequest):
    """`everybody`: orders of bots and webhooks too."""

    symbol = _Symbol(required=False, allow_null=True, allow_blank=True)
    everybody = serializers.BooleanField(default=False)


class OrdersRequest(BrokerRequest):
    symbol = _Symbol(required=False, allow_null=True, allow_blank=True)


class HistoryRequest(OrdersRequest):
    before = serializers.IntegerField(min_value=1, max_value=2**62, required=False, allow_null=True)
    limit = serializers.IntegerField(min_value=1, max_value=200, default=50)


class BookRequest(MarketRequest):
    depth = serializers.IntegerField(min_value=1, max_value=50, default=20)


class CandlesRequest(MarketRequest):
    timeframe = serializers.CharField(max_length=4)
    since = serializers.DateTimeField(required=False, allow_null=True)
    until = serializers.DateTimeField(required=False, allow_null=True)
    limit = serializers.IntegerField(min_value=1, max_value=1000, default=500)


def ticket_of(params: Params) -> Ticket:
    """Return the ticket of validated parameters."""
    request = OrderRequest(
        symbol=params["symbol"],
        side=Side(params["side"]),
        order_type=OrderType(params["order_type"]),
        quantity=params.get("quantity"),
        quote_amount=params.get("quote_amount"),
        price=params.get("price"),
        stop_price=params.get("stop_price"),
        stop_loss=params.get("stop_loss"),
        take_profit=params.get("take_profit"),
    )
    return Ticket(request, params.get("balance_ratio"))
