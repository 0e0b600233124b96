"""What of the bots' journals may go; orders keep the decision that made them much longer."""

from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from apps.core.services.retention import Rule
from apps.trading_engine.models import BotDecision


def _without_order(before: datetime) -> "QuerySet[Any]":
    done = BotDecision.objects.filter(created_at__lt=before, trade=None)
    return done.exclude(status=BotDecision.Status.LEASED)


def _with_order(before: datetime) -> "QuerySet[Any]":
    return BotDecision.objects.filter(created_at__lt=before, trade__isnull=False)


ENGINE_RULES = (Rule("decisions", _without_order), Rule("order_decisions", _with_order))
