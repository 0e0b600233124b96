"""What several rooms' answers have in common: exact decimals, the kinds of money."""

from decimal import Decimal

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

TRADING_MODES = ("simulation", "testnet", "real")  # which money an order moves, see brokers.selectors.trading_mode


@extend_schema_field(OpenApiTypes.STR)
class PlainDecimal(serializers.Field[Decimal, Decimal, str, Decimal]):
    """A Decimal as text without trailing zeros nor exponent."""

    def to_representation(self, value: Decimal) -> str:
        return f"{value.normalize():f}" if value else "0"
