"""JSON of brokers and exchanges. Credentials never leave the server: only the key's last four characters."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.brokers import selectors
from apps.brokers.models import Broker, Exchange
from apps.core.adapters import secrets


class MarketsStateSerializer(serializers.Serializer[Any]):
    """How far the markets of the broker's exchange are loaded."""

    state = serializers.ChoiceField(choices=Exchange.LoadState.choices)
    progress = serializers.IntegerField(help_text="percent")
    count = serializers.IntegerField()


class BrokerSerializer(serializers.ModelSerializer[Broker]):
    """An account at an exchange. `context["exchanges"]` holds the catalogue by id."""

    exchange_name = serializers.SerializerMethodField()
    mode = serializers.SerializerMethodField()
    api_key_hint = serializers.SerializerMethodField()
    markets = serializers.SerializerMethodField()

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
        ]

    def get_exchange_name(self, broker: Broker) -> str:
        row = self._exchange(broker)
        return str(row.name) if row is not None else str(broker.exchange)

    @extend_schema_field(serializers.ChoiceField(choices=["simulation", "testnet", "real"]))
    def get_mode(self, broker: Broker) -> str:
        return selectors.trading_mode(broker)

    def get_api_key_hint(self, broker: Broker) -> str:
        try:
            return secrets.decrypt(broker.api_key)[-4:]
        except secrets.SecretUnreadable:
            return ""

    @extend_schema_field(MarketsStateSerializer)
    def get_markets(self, broker: Broker) -> dict[str, Any]:
        row = self._exchange(broker)
        if row is None:
            return {"state": Exchange.LoadState.NOT_LOADED, "progress": 0, "count": 0}
        return {"state": row.load_state, "progress": row.load_progress, "count": row.market_count}

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


class ExchangeSerializer(serializers.ModelSerializer[Exchange]):
    """An exchange of the catalogue, as terminal 5 described it."""

    sandbox = serializers.BooleanField(source="has_sandbox")

    class Meta:
        model = Exchange
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
