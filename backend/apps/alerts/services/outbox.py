"""Gives senders what is due and notes how it went. Several senders may run: an address is leased to one.

At least once: a sender that dies between sending and noting leaves its lease to run out, and the message is
sent again. Each function is one transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q

from apps.alerts.models import PENDING, Alert, AlertAddress, AlertDelivery
from domain.alerts import ABANDON_AFTER, QUIET_SPAN, AlertKind, back_off, counted

LEASE = timedelta(seconds=90)
_KEPT = timedelta(days=90)
_MAX_BATCHES, _MAX_TOGETHER = 10, 200
_TOO_LATE = "Abandonnée : pas délivrée en 24 heures."


@dataclass(frozen=True, slots=True)
class Batch:
    """What one address is owed, oldest first. `token` is the encrypted address."""

    address_id: int
    user_id: int
    token: str
    delivery_ids: tuple[int, ...]
    alerts: tuple[tuple[datetime, str], ...]
    traces: tuple[str, ...] = ()
    is_summary: bool = False


@transaction.atomic
def claim_due(now: datetime) -> Sequence[Batch]:
    """Lease the addresses that are owed something and may be called now."""
    late = AlertDelivery.objects.filter(PENDING, alert__created_at__lt=now - ABANDON_AFTER)
    late.update(abandoned_at=now, error=_TOO_LATE)
    free = (Q(next_attempt_at=None) | Q(next_attempt_at__lte=now)) & (
        Q(leased_until=None) | Q(leased_until__lte=now)
    )
    owed = AlertDelivery.objects.filter(PENDING).values("address")
    due = AlertAddress.objects.select_for_update(skip_locked=True).filter(free, is_active=True, pk__in=owed)
    addresses = list(due.order_by("pk")[:_MAX_BATCHES])
    AlertAddress.objects.filter(pk__in=[address.pk for address in addresses]).update(leased_until=now + LEASE)
    return [_batch(address) for address in addresses]


def _batch(address: AlertAddress) -> Batch:
    pending = AlertDelivery.objects.filter(PENDING, address=address).select_related("alert")
    rows = list(pending.order_by("alert__created_at", "pk")[:_MAX_TOGETHER])
    return Batch(
        address_id=address.pk,
        user_id=address.user_id,
        token=address.address,
        delivery_ids=tuple(row.pk for row in rows),
        alerts=tuple((row.alert.created_at, counted(row.alert.message, row.alert.count)) for row in rows),
        traces=tuple(row.alert.trace_id for row in rows if row.alert.trace_id),
        is_summary=all(row.alert.kind == AlertKind.SUMMARY.value for row in rows),
    )


@transaction.atomic
def note_sent(batch: Batch, now: datetime) -> None:
    """The message left; the address rests for the quiet span."""
    AlertDelivery.objects.filter(pk__in=batch.delivery_ids).update(sent_at=now, error="")
    AlertAddress.objects.filter(pk=batch.address_id).update(
        failures=0, last_error="", last_sent_at=now, next_attempt_at=now + QUIET_SPAN, leased_until=None
    )


@transaction.atomic
def note_failed(batch: Batch, reason: str, now: datetime) -> None:
    """The message did not leave; the address rests longer each time. A test is not tried again."""
    mine = AlertDelivery.objects.filter(pk__in=batch.delivery_ids)
    mine.update(error=reason)
    mine.filter(alert__kind=AlertKind.TEST.value).update(abandoned_at=now)
    address = AlertAddress.objects.select_for_update().filter(pk=batch.address_id)
    address.update(failures=F("failures") + 1, last_error=reason, last_error_at=now, leased_until=None)
    failures = address.values_list("failures", flat=True).first() or 1
    address.update(next_attempt_at=now + back_off(failures))


def abandon_pending(now: datetime, *, reason: str) -> int:
    """Give up whatever waits to be sent; return how many deliveries."""
    return int(AlertDelivery.objects.filter(PENDING).update(abandoned_at=now, error=reason))


def forget_old(now: datetime) -> None:
    """Delete what is older than 90 days."""
    Alert.objects.filter(created_at__lt=now - _KEPT).delete()
