"""Filters of the journal."""

from typing import Any

import django_filters
from django.db.models import Q, QuerySet

from apps.webhooks.models import Webhook
from apps.webhooks.selectors import TURNED_DOWN

VERDICTS = ("executed", "nothing", "duplicate", "stale", "refused", "received")


class CallFilter(django_filters.FilterSet):
    """`verdict` is what the user sees: an order that the exchange refused makes a refused call."""

    source = django_filters.NumberFilter(field_name="origin_id")
    verdict = django_filters.ChoiceFilter(choices=[(name, name) for name in VERDICTS], method="by_verdict")
    search = django_filters.CharFilter(method="by_text")
    since = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    until = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = Webhook
        fields: list[str] = []

    def by_verdict(self, rows: "QuerySet[Webhook]", name: str, value: str) -> Any:
        turned_down = Webhook.objects.filter(TURNED_DOWN).values("id")
        if value == Webhook.Status.REFUSED:
            return rows.filter(Q(status=value) | Q(id__in=turned_down))
        if value == Webhook.Status.EXECUTED:
            return rows.filter(status=value).exclude(id__in=turned_down)
        return rows.filter(status=value)

    def by_text(self, rows: "QuerySet[Webhook]", name: str, value: str) -> Any:
        text = value.strip()
        found = Q(symbol__icontains=text) | Q(call_id__icontains=text) | Q(source__icontains=text)
        return rows.filter(found | Q(symbol__icontains=text.replace("/", "")) | Q(reason__icontains=text))
