"""Filters of the lists, by ids rather than by related rows: a foreign id simply finds nothing."""

import django_filters

from apps.orders.models import Position, Trade


class TradeFilter(django_filters.FilterSet):
    """`since` and `until` go by the time of creation."""

    broker = django_filters.NumberFilter(field_name="broker_id")
    bot = django_filters.NumberFilter(field_name="bot_id")
    source = django_filters.CharFilter()
    status = django_filters.BaseInFilter(help_text="Un ou plusieurs statuts séparés par des virgules.")
    symbol = django_filters.CharFilter()
    since = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    until = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = Trade
        fields: list[str] = []


class PositionFilter(django_filters.FilterSet):
    broker = django_filters.NumberFilter(field_name="broker_id")
    bot = django_filters.NumberFilter(field_name="bot_id")
    status = django_filters.BaseInFilter(help_text="Un ou plusieurs statuts séparés par des virgules.")
    symbol = django_filters.CharFilter()

    class Meta:
        model = Position
        fields: list[str] = []
