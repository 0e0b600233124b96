"""What of the calls' journal may go: calls without an order, and the text of those that led to one."""

from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from apps.core.services.retention import Rule
from apps.orders.models import Trade
from apps.webhooks.models import Webhook


def _without_order(before: datetime) -> "QuerySet[Any]":
    made = Trade.objects.filter(webhook=OuterRef("pk"))
    settled = Webhook.objects.filter(created_at__lt=before, processed=True, left_position=None)
    return settled.filter(~Exists(made))


def _texts(before: datetime) -> "QuerySet[Any]":
    return Webhook.objects.filter(created_at__lt=before, processed=True).exclude(body="")


def _blank(batch: "QuerySet[Any]") -> int:
    return int(batch.update(body=""))


WEBHOOK_RULES = (Rule("webhooks", _without_order), Rule("webhook_bodies", _texts, forget=_blank))
