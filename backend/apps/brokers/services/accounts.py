"""Makes brokers (with encrypted credentials), and the « Simulateur » every account owns."""

from collections.abc import Mapping
from typing import Any

import structlog
from asgiref.sync import async_to_sync
from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.brokers.models import Broker
from apps.brokers.services.credentials import encrypted
from apps.core.adapters import simex_admin
from apps.core.adapters.database import in_database
from domain.errors import Conflict, Unavailable

log = structlog.get_logger(__name__)

SIMULATEUR = "Simulateur"
SIMEX = "simex"


def create_broker(
    user: Any,
    *,
    name: str,
    exchange: str,
    credentials: Mapping[str, str],
    is_default: bool = False,
    is_testnet: bool = False,
) -> Broker:
    """Store an account of `user` with encrypted credentials.

    Args:
        credentials: by ccxt's names (apiKey, secret, password, uid …).
        is_default: takes the place of the former default.

    Raises:
        Conflict: the user already has a broker of that name.
    """
    try:
        with transaction.atomic():
            User.objects.select_for_update().get(pk=user.pk)  # one change of default at a time
            if is_default:
                Broker.objects.filter(user=user, is_default=True).update(is_default=False)
            broker: Broker = Broker.objects.create(
                user=user,
                name=name,
                exchange=exchange,
                is_default=is_default,
                is_testnet=is_testnet,
                **encrypted(credentials),
            )
    except IntegrityError as exc:
        raise Conflict(f"Broker « {name} » refusé : ce nom est déjà pris.", code="name_taken") from exc
    log.info("broker.created", user_id=user.pk, broker_id=broker.pk, exchange=exchange)
    return broker


def create_simulateur(user: Any) -> Broker | None:
    """Give `user` an account at the simulated exchange unless he has one.

    Returns None when simex does not answer: `ensure_simulateurs` makes it later. Call it outside a
    transaction (it waits for the network).
    """
    existing = _simulateur_of(user.pk)
    if existing is not None:
        return existing
    try:
        credentials = async_to_sync(simex_admin.create_account)()
    except Unavailable as exc:
        log.warning("simulateur.not_created", user_id=user.pk, error=exc.message)
        return None
    return _store_simulateur(user, credentials)


async def ensure_simulateurs() -> int:
    """Make the Simulateur of every user who has none; return how many were made.

    Raises:
        Unavailable: simex or PostgreSQL does not answer.
    """
    users = await in_database(_without_simulateur)
    for user in users:
        credentials = await simex_admin.create_account()
        await in_database(_store_simulateur, user, credentials)
    return len(users)


async def renew_simulateur(broker_id: int) -> None:
    """Replace the keys of a Simulateur that simex no longer knows (it was started without its past).

    Raises:
        Unavailable: simex or PostgreSQL does not answer.
    """
    credentials = await simex_admin.create_account()
    await in_database(_replace_credentials, broker_id, credentials)
    log.warning("simulateur.renewed", broker_id=broker_id)


def _without_simulateur() -> list[Any]:
    return list(User.objects.filter(is_active=True).exclude(brokers__exchange=SIMEX).order_by("pk"))


def _simulateur_of(user_id: int) -> Broker | None:
    found: Broker | None = Broker.objects.filter(user_id=user_id, exchange=SIMEX).order_by("pk").first()
    return found


def _store_simulateur(user: Any, credentials: Mapping[str, str]) -> Broker:
    """Two makers may meet here (registration and terminal 5): the second finds the first's row."""
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        existing = _simulateur_of(user.pk)
        if existing is not None:
            return existing
        is_default = not Broker.objects.filter(user=user, is_default=True).exists()
        return create_broker(user, name=SIMULATEUR, exchange=SIMEX, credentials=credentials, is_default=is_default)


def _replace_credentials(broker_id: int, credentials: Mapping[str, str]) -> None:
    Broker.objects.filter(pk=broker_id, exchange=SIMEX).update(**encrypted(credentials))
