"""Records alerts in the transaction of what they tell: a committed alert is delivered, a rolled back one never was.

Only rows of ours are written here, nothing is sent, so that no alert ever holds up an order.
"""

from datetime import datetime

import structlog
from django.contrib.auth import get_user_model
from django.db.models import F

from apps.alerts.models import Alert, AlertAddress, AlertDelivery, AlertPreferences
from apps.core.tracing import current_trace
from domain.alerts import REPEAT_WINDOW, AlertKind

log = structlog.get_logger(__name__)


def record(
    user_id: int,
    *,
    kind: AlertKind,
    code: str,
    subject: str,
    message: str,
    now: datetime,
    trace_id: str = "",
) -> Alert | None:
    """Keep an alert and put it on its way to the user's active addresses.

    Returns:
        The alert; None when the same code about the same subject was recorded less than ten minutes ago: that
        one counts it.
    """
    if _is_repeat(user_id, code=code, subject=subject, now=now):
        return None
    alert = Alert.objects.create(
        user_id=user_id,
        kind=kind.value,
        code=code,
        subject=subject,
        message=message,
        created_at=now,
        trace_id=trace_id or current_trace(),
    )
    if not _is_muted(user_id, kind):
        addresses = AlertAddress.objects.filter(user_id=user_id, is_active=True).values_list("pk", flat=True)
        AlertDelivery.objects.bulk_create(AlertDelivery(alert=alert, address_id=pk) for pk in addresses)
    log.info(
        "alert.recorded", user_id=user_id, trace_id=alert.trace_id, code=code, subject=subject, message=message
    )
    return alert


def record_test(address: AlertAddress, *, message: str, now: datetime) -> AlertDelivery:
    """Put a test message on its way to one address, at once whatever its back-off."""
    alert = Alert.objects.create(
        user_id=address.user_id,
        kind=AlertKind.TEST.value,
        code="test",
        subject=f"address:{address.pk}",
        message=message,
        created_at=now,
    )
    AlertAddress.objects.filter(pk=address.pk).update(next_attempt_at=None)
    delivery: AlertDelivery = AlertDelivery.objects.create(alert=alert, address=address)
    return delivery


def record_for_everybody(*, kind: AlertKind, code: str, subject: str, message: str, now: datetime) -> int:
    """Record for each user; return for how many."""
    users = get_user_model().objects.filter(is_active=True).values_list("pk", flat=True)
    made = [record(pk, kind=kind, code=code, subject=subject, message=message, now=now) for pk in users]
    return sum(alert is not None for alert in made)


def _is_repeat(user_id: int, *, code: str, subject: str, now: datetime) -> bool:
    recent = Alert.objects.filter(user_id=user_id, code=code, subject=subject, created_at__gt=now - REPEAT_WINDOW)
    return recent.update(count=F("count") + 1, last_at=now) > 0


def _is_muted(user_id: int, kind: AlertKind) -> bool:
    found = AlertPreferences.objects.filter(user_id=user_id).values_list("muted_kinds", flat=True).first()
    return kind.value in (found or [])
