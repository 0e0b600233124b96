"""What of the heartbeat's rows may go: signals long told, incidents mended, runs without any candle left."""

from datetime import datetime
from typing import Any

from django.db.models import Exists, Max, OuterRef, QuerySet

from apps.core.models import CandleHeartbeat, HeartbeatIncident, HeartbeatStatus
from apps.core.services.retention import Rule


def _candles(before: datetime) -> "QuerySet[Any]":
    """The newest candle of each series stays: a restart catches up from it."""
    newest = CandleHeartbeat.objects.values("feed", "symbol", "signal_type", "source").annotate(last=Max("pk"))
    old = CandleHeartbeat.objects.filter(dhm_reception__lt=before).exclude(is_signal=True, published_at=None)
    return old.exclude(pk__in=newest.values("last"))


def _incidents(before: datetime) -> "QuerySet[Any]":
    return HeartbeatIncident.objects.filter(detected_at__lt=before, mended_at__isnull=False)


def _runs(before: datetime) -> "QuerySet[Any]":
    used = CandleHeartbeat.objects.filter(heartbeat_status=OuterRef("pk"))
    open_incident = HeartbeatIncident.objects.filter(heartbeat_status=OuterRef("pk"), mended_at=None)
    ended = HeartbeatStatus.objects.filter(last_application_stop__lt=before)
    return ended.filter(~Exists(used), ~Exists(open_incident))


HEARTBEAT_RULES = (Rule("signals", _candles), Rule("signals", _incidents), Rule("signals", _runs))
