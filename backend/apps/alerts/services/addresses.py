"""A user's alert addresses and preferences, and the test of an address."""

import time
from collections.abc import Collection
from typing import Any

import structlog
from django.db import transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.alerts import selectors
from apps.alerts.models import AlertAddress, AlertDelivery, AlertPreferences
from apps.alerts.services import recording
from apps.core.adapters import secrets
from domain.alerts import MUTABLE_KINDS, checked_address
from domain.daily_summary import checked_zone
from domain.errors import AlertNotSent, LimitReached, Unavailable

log = structlog.get_logger(__name__)

MAX_ADDRESSES = 5
_TEST_MESSAGE = "Message de test : les alertes d'Aristobot arrivent bien ici."
_TEST_TIMEOUT_S = 20.0
_LOOK_AGAIN_S = 0.1


def add(user: Any, text: str) -> AlertAddress:
    """Store an address, encrypted.

    Raises:
        InvalidInput: not an apprise address.
        LimitReached: five are there.
    """
    address = checked_address(text)
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)  # one addition at a time
        if AlertAddress.objects.filter(user=user).count() >= MAX_ADDRESSES:
            raise LimitReached(
                f"Adresse d'alerte refusée : {MAX_ADDRESSES} sont déjà enregistrées, en retirer une d'abord.",
                details={"max_addresses": MAX_ADDRESSES},
            )
        made: AlertAddress = AlertAddress.objects.create(user=user, address=secrets.encrypt(address))
    log.info("alert_address.added", user_id=user.pk, address_id=made.pk)
    return made


def switch(user: Any, address_id: int, *, is_active: bool) -> AlertAddress:
    """Switch an address on or off. What waited for it while it was off is dropped. Raises NotFound."""
    address = selectors.own_address(user, address_id)
    with transaction.atomic():
        AlertAddress.objects.filter(pk=address.pk).update(is_active=is_active)
        if not is_active:
            address.deliveries.filter(sent_at=None, abandoned_at=None).update(
                abandoned_at=timezone.now(), error="Abandonnée : adresse éteinte."
            )
    return selectors.own_address(user, address_id)


def remove(user: Any, address_id: int) -> None:
    """Forget an address with what waited for it. Raises NotFound."""
    selectors.own_address(user, address_id).delete()
    log.info("alert_address.removed", user_id=user.pk, address_id=address_id)


def choose_kinds(user: Any, kinds: Collection[str]) -> None:
    """Keep which kinds are sent."""
    muted = [kind.value for kind in MUTABLE_KINDS if kind.value not in kinds]
    AlertPreferences.objects.update_or_create(user_id=user.pk, defaults={"muted_kinds": muted})


def choose_summary(user: Any, *, hour: int | None, timezone: str) -> None:
    """Keep when the daily summary is sent; None: not at all. Raises InvalidInput: no such time zone."""
    values = {"summary_hour": hour, "summary_zone": checked_zone(timezone)}
    AlertPreferences.objects.update_or_create(user_id=user.pk, defaults=values)


def send_test(user: Any, address_id: int, *, timeout_s: float = _TEST_TIMEOUT_S) -> int:
    """Send a test message the way every alert goes, through a sender; return how long it took in ms.

    Raises:
        NotFound: none of that id, or another user's.
        AlertNotSent: the service's own words.
        Unavailable: no sender is running, or it has other things to send first.
    """
    address = selectors.own_address(user, address_id)
    if not address.is_active:
        raise AlertNotSent("Test impossible : cette adresse est éteinte.", code="alert_address_off")
    started = time.monotonic()
    delivery = recording.record_test(address, message=_TEST_MESSAGE, now=timezone.now())
    while time.monotonic() - started < timeout_s:
        time.sleep(_LOOK_AGAIN_S)
        seen = AlertDelivery.objects.filter(pk=delivery.pk).first()
        if seen is not None and seen.sent_at is not None:
            return round((time.monotonic() - started) * 1000)
        if seen is None or seen.abandoned_at is not None:
            raise AlertNotSent(seen.error if seen is not None else "Adresse retirée pendant le test.")
    raise Unavailable(
        f"Test sans réponse en {timeout_s:.0f} s : les alertes partent des terminaux 3 et 5, aucun ne l'a envoyé.",
        code="alert_senders_down",
    )
