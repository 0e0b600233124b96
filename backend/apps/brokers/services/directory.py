"""Gives terminal 5 the accounts it serves: the `BrokerDirectory` port. Credentials are decrypted here only."""

from collections.abc import Sequence

import structlog

from apps.brokers.models import Broker
from apps.brokers.services import credentials
from apps.core.adapters import secrets
from apps.core.adapters.database import read_database
from domain.errors import NotFound
from domain.ports import BrokerAccess

log = structlog.get_logger(__name__)


class DjangoBrokerDirectory:
    """Reads `brokers`."""

    async def active(self) -> Sequence[BrokerAccess]:
        """Return the active brokers; one whose credentials cannot be read is left out and logged."""
        return await read_database(_active)

    async def get(self, broker_id: int) -> BrokerAccess:
        return await read_database(_get, broker_id)


def _active() -> list[BrokerAccess]:
    found = []
    for broker in Broker.objects.filter(is_active=True).order_by("id"):
        try:
            found.append(_access(broker))
        except secrets.SecretUnreadable as exc:
            log.error("broker.credentials_unreadable", broker_id=broker.pk, error=exc.message)
    return found


def _get(broker_id: int) -> BrokerAccess:
    broker = Broker.objects.filter(pk=broker_id, is_active=True).first()
    if broker is None:
        raise NotFound(f"Broker {broker_id} introuvable ou inactif.", details={"broker": broker_id})
    return _access(broker)


def _access(broker: Broker) -> BrokerAccess:
    return BrokerAccess(
        user_id=broker.user_id,
        broker_id=broker.pk,
        exchange=broker.exchange,
        is_testnet=broker.is_testnet,
        credentials=credentials.stored(broker),
    )
