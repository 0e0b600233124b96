"""JSON of brokers and exchanges. Credentials never leave the server: only the key's last four characters."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.brokers import selectors
from apps.brokers.models import Broker, Exchange
from apps.brokers.services import credentials
from apps.core.api_fields import TRADING_MODES
from domain.order_abilities import AmendMode, PairMode


class MarketsStateSerializer(serializers.Serializer[Any]):
    """How far the markets of the broker's exchange are loaded."""

    state = serializers.ChoiceField(choices=Exchange.LoadState.choices)
    progress = serializers.IntegerField(help_text="percent")
    count = serializers.IntegerField()
    error = serializers.CharField(help_text="why the last load failed, empty otherwise")
    loaded_at = serializers.DateTimeField(allow_null=True)


class BrokerSerializer(serializers.ModelSerializer[Broker]):
    """An account at an exchange. `context["exchanges"]` holds the catalogue by id."""

    exchange_name = serializers.SerializerMethodField()
    mode = serializers.SerializerMethodField()
    api_key_hint = serializers.SerializerMethodField()
    markets = serializers.SerializerMethodField()
    active_bots = serializers.IntegerField(read_only=True)
    trade_count = serializers.IntegerField(read_only=True, help_text="orders of its history, lost with it")

    class Meta:
        model = Broker
        fields = [
            "id",
            "name",
            "exchange",
            "exchange_name",
            "is_default",
            "is_testnet",
            "is_active",
            "mode",
            "api_key_hint",
            "markets",
            "active_bots",
            "trade_count",
        ]

    def get_exchange_name(self, broker: Broker) -> str:
        row = self._exchange(broker)
        return str(row.name) if row is not None else str(broker.exchange)

    @extend_schema_field(serializers.ChoiceField(choices=TRADING_MODES))
    def get_mode(self, broker: Broker) -> str:
        return selectors.trading_mode(broker)

    def get_api_key_hint(self, broker: Broker) -> str:
        return credentials.hint(broker)

    @extend_schema_field(MarketsStateSerializer)
    def get_markets(self, broker: Broker) -> dict[str, Any]:
        row = self._exchange(broker)
        if row is None:
            row = Exchange(id=broker.exchange)
        return {
            "state": row.load_state,
            "progress": row.load_progress,
            "count": row.market_count,
            "error": row.load_error,
            "loaded_at": row.markets_loaded_at,
        }

    def _exchange(self, broker: Broker) -> Exchange | None:
        found: Exchange | None = self.context["exchanges"].get(broker.exchange)
        return found


class CurrencyAmountSerializer(serializers.Serializer[Any]):
    """Amounts of one currency, as exact strings."""

    currency = serializers.CharField()
    free = serializers.CharField()
    locked = serializers.CharField()
    total = serializers.CharField()


class BalanceSerializer(serializers.Serializer[Any]):
    currencies = CurrencyAmountSerializer(many=True)


class ConnectionTestSerializer(BalanceSerializer):
    """A successful test: the balance seen, and how long it took."""

    elapsed_ms = serializers.IntegerField()


class CapabilitySerializer(serializers.Serializer[Any]):
    """One thing the exchange can do or not; `note` says why not, or how it is done instead."""

    code = serializers.CharField()
    label = serializers.CharField()
    supported = serializers.BooleanField()
    note = serializers.CharField(allow_blank=True)


class OrderTypeAbilitySerializer(serializers.Serializer[Any]):
    """Whether a type of order is sent to that exchange; `reason` says why not."""

    type = serializers.CharField()
    label = serializers.CharField()
    supported = serializers.BooleanField()
    reason = serializers.CharField(allow_blank=True)


class CapabilitiesSerializer(serializers.Serializer[Any]):
    exchange = serializers.CharField()
    exchange_name = serializers.CharField()
    timeframes = serializers.ListField(child=serializers.CharField())
    capabilities = CapabilitySerializer(many=True)
    order_types = OrderTypeAbilitySerializer(many=True)
    pair = serializers.ChoiceField(
        choices=[each.value for each in PairMode], help_text="how a stop loss and a take profit are held together"
    )
    amend = serializers.ChoiceField(
        choices=[each.value for each in AmendMode], help_text="how an open order is changed"
    )


class _Credentials(serializers.DictField):
    """Credentials by ccxt's names. They come in and never go out."""

    def __init__(self, **kwargs: Any) -> None:
        child = serializers.CharField(max_length=4096, allow_blank=True, trim_whitespace=True)
        super().__init__(child=child, write_only=True, **kwargs)


class BrokerCreateSerializer(serializers.Serializer[Any]):
    """A new broker. `credentials` holds exactly the exchange's required_credentials."""

    name = serializers.CharField(max_length=64)
    exchange = serializers.CharField(max_length=64)
    credentials = _Credentials(required=False, default=dict)
    is_default = serializers.BooleanField(default=False)
    is_testnet = serializers.BooleanField(default=False)


class BrokerChangeSerializer(serializers.Serializer[Any]):
    """What may change of a broker; its exchange may not."""

    name = serializers.CharField(max_length=64, required=False)
    credentials = _Credentials(required=False)
    is_default = serializers.BooleanField(required=False)
    is_testnet = serializers.BooleanField(required=False)
    is_active = serializers.BooleanField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "exchange" in self.initial_data:
            raise serializers.ValidationError(
                {"exchange": "L'exchange d'un broker ne change pas : ajouter un autre broker."}
            )
        return attrs


class KeysTestSerializer(serializers.Serializer[Any]):
    """Credentials to try before they are saved."""

    exchange = serializers.CharField(max_length=64)
    credentials = _Credentials()
    is_testnet = serializers.BooleanField(default=False)


class ExchangeSerializer(serializers.ModelSerializer[Exchange]):
    """An exchange of the catalogue, as terminal 5 described it."""

    required_credentials = serializers.ListField(child=serializers.CharField(), read_only=True)
    has = serializers.DictField(read_only=True, help_text='ccxt\'s own: true, false, null or "emulated"')
    timeframes = serializers.ListField(child=serializers.CharField(), read_only=True)
    sandbox = serializers.BooleanField(source="has_sandbox", read_only=True)

    class Meta:
        model = Exchange
        read_only_fields = ["load_state", "load_progress", "market_count"]
        fields = [
            "id",
            "name",
            "required_credentials",
            "has",
            "timeframes",
            "sandbox",
            "load_state",
            "load_progress",
            "market_count",
        ]
