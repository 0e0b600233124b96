"""Reads of the alerts room: a user's own rows only."""

from typing import Any

from django.db.models import QuerySet

from apps.alerts.models import Alert, AlertAddress, AlertPreferences
from apps.core.adapters import secrets
from domain.alerts import MUTABLE_KINDS, AlertKind, masked, service_of
from domain.errors import NotFound


def alerts_of(user: Any) -> "QuerySet[Alert]":
    """Return the user's alerts with their deliveries; tests of an address are none."""
    return Alert.objects.filter(user=user).exclude(kind=AlertKind.TEST.value).prefetch_related("deliveries")


def addresses_of(user: Any) -> "QuerySet[AlertAddress]":
    return AlertAddress.objects.filter(user=user).order_by("pk")


def own_address(user: Any, address_id: int) -> AlertAddress:
    """Raises NotFound: none of that id, or another user's."""
    found = addresses_of(user).filter(pk=address_id).first()
    if found is None:
        raise NotFound(f"Adresse d'alerte {address_id} introuvable.", details={"address": address_id})
    return found


def kinds_of(user: Any) -> list[str]:
    """Return the kinds that are sent to the user, in their order."""
    muted = AlertPreferences.objects.filter(user=user).values_list("muted_kinds", flat=True).first() or []
    return [kind.value for kind in MUTABLE_KINDS if kind.value not in muted]


def summary_of(user: Any) -> dict[str, Any]:
    """Return when the user's daily summary is sent."""
    row = AlertPreferences.objects.filter(user=user).first() or AlertPreferences()
    return {"hour": row.summary_hour, "timezone": row.summary_zone}


def state_of(alert: Alert) -> str:
    """Return sent (somewhere), waiting, failed, or kept when it was for no address."""
    deliveries = list(alert.deliveries.all())
    if not deliveries:
        return "kept"
    if any(one.sent_at is not None for one in deliveries):
        return "sent"
    return "waiting" if any(one.abandoned_at is None for one in deliveries) else "failed"


def shown(address: AlertAddress) -> tuple[str, str]:
    """Return (service, masked address) for people; both say so when the address cannot be read any more."""
    try:
        text = secrets.decrypt(address.address)
    except secrets.SecretUnreadable:
        return "Illisible", "chiffrée avec une autre SECRET_KEY"
    return service_of(text), masked(text)
