"""What of this room may go: wishes carried out. Orders, fills and positions never do."""

from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from apps.core.services.retention import Rule
from apps.orders.models import OrderCommand


def _commands(before: datetime) -> "QuerySet[Any]":
    ended = (OrderCommand.Status.DONE, OrderCommand.Status.FAILED)
    return OrderCommand.objects.filter(status__in=ended, done_at__lt=before)


ORDERS_RULES = (Rule("commands", _commands),)
