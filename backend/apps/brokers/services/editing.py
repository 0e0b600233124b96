"""Adds, changes and removes a user's brokers. One default per user; nothing in use is pulled away."""

from collections.abc import Mapping
from typing import Any

import structlog
from asgiref.sync import async_to_sync
from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.brokers import selectors
from apps.brokers.models import Broker
from apps.brokers.services import credentials as keys
from apps.brokers.services.accounts import SIMEX, create_broker
from apps.core.adapters import simex_admin
from domain.errors import Conflict, InvalidInput, NotFound
from domain.orders import FINAL_STATUSES, OrderSource

log = structlog.get_logger(__name__)


def add(
    user: Any,
    *,
    name: str,
    exchange: str,
    credentials: Mapping[str, str],
    is_default: bool = False,
    is_testnet: bool = False,
) -> Broker:
    """Store a broker; the first one becomes the default. A Simulateur without keys gets a new simulated account.

    Raises:
        InvalidInput: unknown exchange, wrong set of credentials, or no test network there.
        Conflict: the name is taken.
        Unavailable: the simulated exchange does not answer.
    """
    given = _usable_credentials(exchange, credentials, is_testnet=is_testnet)
    first = not Broker.objects.filter(user=user, is_default=True).exists()
    return create_broker(
        user,
        name=name,
        exchange=exchange,
        credentials=given,
        is_default=is_default or first,
        is_testnet=is_testnet,
    )


def checked_credentials(exchange: str, credentials: Mapping[str, str], *, is_testnet: bool) -> dict[str, str]:
    """Return the credentials of an account at `exchange` after the checks that need no network.

    Raises:
        InvalidInput: unknown exchange, wrong set of credentials, or no test network there.
    """
    known = selectors.described_exchange(exchange)
    if is_testnet and not known.has_sandbox:
        raise InvalidInput(
            f"Testnet refusé : {known.name} n'offre pas de réseau de test que ccxt connaisse.", code="no_sandbox"
        )
    return keys.checked(credentials, required=known.required_credentials, exchange_name=known.name)


def _usable_credentials(exchange: str, credentials: Mapping[str, str], *, is_testnet: bool) -> dict[str, str]:
    if exchange == SIMEX and not any(value.strip() for value in credentials.values()):
        return dict(async_to_sync(simex_admin.create_account)())
    return checked_credentials(exchange, credentials, is_testnet=is_testnet)


def change(user: Any, broker_id: int, changes: Mapping[str, Any]) -> Broker:
    """Apply name, credentials, is_default, is_testnet, is_active.

    Raises:
        NotFound: none of that id, or another user's.
        InvalidInput: the test network without its own keys, or a default that would be lost.
        Conflict: the name is taken, or a live order or an active bot needs the broker as it is.
    """
    given = _given_credentials(selectors.own_broker(user, broker_id), changes)
    try:
        with transaction.atomic():
            broker = _locked(user, broker_id)
            _check_switches(broker, changes, has_keys=given is not None)
            if changes.get("is_default"):
                Broker.objects.filter(user=user, is_default=True).update(is_default=False)
            columns = {
                name: changes[name] for name in ("name", "is_default", "is_testnet", "is_active") if name in changes
            }
            for column, value in {**columns, **(keys.encrypted(given) if given else {})}.items():
                setattr(broker, column, value)
            broker.save()
    except IntegrityError as exc:
        raise Conflict(
            f"Broker « {changes.get('name')} » refusé : ce nom est déjà pris.", code="name_taken"
        ) from exc
    log.info("broker.changed", user_id=user.pk, broker_id=broker_id, fields=sorted(changes))
    return broker


def remove(user: Any, broker_id: int) -> None:
    """Delete the broker with its history; another broker becomes the default when it was.

    Raises:
        NotFound: none of that id, or another user's.
        Conflict: an active bot or a live order uses it.
    """
    with transaction.atomic():
        broker = _locked(user, broker_id)
        _check_unused(broker, "Suppression")
        was_default = broker.is_default
        broker.delete()
        heir = Broker.objects.filter(user=user, is_active=True).order_by("pk").first() if was_default else None
        if heir is not None:
            Broker.objects.filter(pk=heir.pk).update(is_default=True)
    log.info("broker.removed", user_id=user.pk, broker_id=broker_id)


def _locked(user: Any, broker_id: int) -> Broker:
    """Return the user's broker, held until the end of the transaction: an order or a bot that is being
    inserted for it waits at its commit, and fails there when the broker is gone."""
    User.objects.select_for_update().get(pk=user.pk)  # one change of default at a time
    broker: Broker | None = Broker.objects.select_for_update().filter(user=user, pk=broker_id).first()
    if broker is None:
        raise NotFound(f"Broker {broker_id} introuvable.", details={"broker": broker_id})
    return broker


def _given_credentials(broker: Broker, changes: Mapping[str, Any]) -> dict[str, str] | None:
    if "credentials" not in changes:
        return None
    is_testnet = changes.get("is_testnet", broker.is_testnet)
    return _usable_credentials(broker.exchange, changes["credentials"], is_testnet=is_testnet)


def _check_switches(broker: Broker, changes: Mapping[str, Any], *, has_keys: bool) -> None:
    stays_active = changes.get("is_active", broker.is_active)
    if changes.get("is_testnet", broker.is_testnet) != broker.is_testnet:
        if not has_keys:
            raise InvalidInput(
                "Changement de réseau refusé : le testnet et le réseau réel n'ont pas les mêmes clés, "
                "saisir celles du réseau choisi.",
                code="keys_needed",
            )
        _check_unused(broker, "Changement de réseau")
    if broker.is_active and not stays_active:
        _check_unused(broker, "Désactivation")
    if changes.get("is_default", broker.is_default) and not stays_active:
        raise InvalidInput(
            f"Broker par défaut refusé : « {broker.name} » serait inactif. En choisir un autre d'abord.",
            code="default_inactive",
        )
    if broker.is_default and changes.get("is_default") is False:
        raise InvalidInput(
            "Un compte garde un broker par défaut : choisir plutôt celui qui prend sa place.", code="default_needed"
        )


def _check_unused(broker: Broker, action: str) -> None:
    bots = broker.bots.filter(is_active=True).count()
    own = broker.trades.exclude(source=OrderSource.EXTERNAL)  # those placed elsewhere do not need us
    orders = own.exclude(status__in=[status.value for status in FINAL_STATUSES]).count()
    if bots or orders:
        raise Conflict(
            f"{action} du broker « {broker.name} » impossible : {bots} bot(s) actif(s) et {orders} ordre(s) en "
            "cours l'utilisent. Les arrêter d'abord.",
            details={"active_bots": bots, "live_orders": orders},
            code="broker_in_use",
        )
