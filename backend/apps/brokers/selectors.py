"""Reads of brokers and of the catalogue of exchanges. Own data only."""

from typing import Any

from django.db.models import QuerySet

from apps.brokers.models import Broker, Exchange
from domain.errors import NotFound


def brokers_of(user: Any) -> "QuerySet[Broker]":
    return Broker.objects.filter(user=user)


def own_broker(user: Any, broker_id: int) -> Broker:
    """Raises NotFound when there is none or it is another user's."""
    broker: Broker | None = brokers_of(user).filter(pk=broker_id).first()
    if broker is None:
        raise NotFound(f"Broker {broker_id} introuvable.", details={"broker": broker_id})
    return broker


def exchanges() -> dict[str, Exchange]:
    """Return what terminal 5 knows of the exchanges, by id."""
    return {row.pk: row for row in Exchange.objects.all()}


def trading_mode(broker: Broker) -> str:
    """Return "simulation", "testnet" or "real": which money an order of this broker moves."""
    if broker.exchange == "simex":
        return "simulation"
    return "testnet" if broker.is_testnet else "real"
