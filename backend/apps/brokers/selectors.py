"""Reads of brokers and of the catalogue of exchanges. Own data only."""

from typing import Any

from django.db.models import Count, Q, QuerySet

from apps.brokers.models import Broker, Exchange
from domain.errors import InvalidInput, NotFound, Unavailable
from domain.order_abilities import OrderAbilities


def brokers_of(user: Any) -> "QuerySet[Broker]":
    """Return the user's brokers with what hangs on them: `active_bots` and `trade_count`."""
    return Broker.objects.filter(user=user).annotate(
        active_bots=Count("bots", filter=Q(bots__is_active=True), distinct=True),
        trade_count=Count("trades", distinct=True),
    )


def own_broker(user: Any, broker_id: int) -> Broker:
    """Raises NotFound when there is none or it is another user's."""
    broker: Broker | None = brokers_of(user).filter(pk=broker_id).first()
    if broker is None:
        raise NotFound(f"Broker {broker_id} introuvable.", details={"broker": broker_id})
    return broker


def exchanges() -> dict[str, Exchange]:
    """Return what terminal 5 knows of the exchanges, by id, without the long tables of what each can do."""
    return {row.pk: row for row in Exchange.objects.defer("has", "order_features", "order_abilities")}


def exchanges_in_use() -> "QuerySet[Exchange]":
    """Return the exchanges of anybody's brokers whose markets were asked for: a test of keys uses none."""
    asked_for = Exchange.objects.exclude(load_state=Exchange.LoadState.NOT_LOADED)
    return asked_for.filter(pk__in=Broker.objects.values("exchange")).order_by("pk")


def catalogue() -> "QuerySet[Exchange]":
    """Return the exchanges an account can be opened at, as terminal 5 described them."""
    return Exchange.objects.exclude(catalogue_version="").order_by("pk")


def described_exchange(exchange: str) -> Exchange:
    """Return an exchange of the catalogue.

    Raises:
        Unavailable: terminal 5 has not written the catalogue yet.
        InvalidInput: no such exchange.
    """
    found: Exchange | None = catalogue().filter(pk=exchange).first()
    if found is not None:
        return found
    if not catalogue().exists():
        raise Unavailable(
            "Catalogue des exchanges pas encore écrit : le service CCXT (terminal 5) démarre ou est arrêté.",
            code="catalogue_absent",
        )
    raise InvalidInput(f"Exchange « {exchange} » inconnu.", code="unknown_exchange", details={"exchange": exchange})


def order_abilities(exchange: str) -> OrderAbilities | None:
    """Return which orders an exchange takes from us, None while terminal 5 has not said it."""
    wire = Exchange.objects.filter(pk=exchange).values_list("order_abilities", flat=True).first()
    return OrderAbilities.from_wire(wire) if wire else None


def exchange_name(exchange: str) -> str:
    """Return the name shown to people: "Binance", "Simulateur"; the id while terminal 5 has not said it."""
    name = Exchange.objects.filter(pk=exchange).values_list("name", flat=True).first()
    return name or exchange


def exchange_terms(exchange: str) -> tuple[str, OrderAbilities | None]:
    """Return `exchange_name` and `order_abilities` by one look."""
    row = Exchange.objects.filter(pk=exchange).values_list("name", "order_abilities").first()
    name, wire = row or ("", None)
    return name or exchange, OrderAbilities.from_wire(wire) if wire else None


def trading_mode(broker: Broker) -> str:
    """Return "simulation", "testnet" or "real": which money an order of this broker moves."""
    if broker.exchange == "simex":
        return "simulation"
    return "testnet" if broker.is_testnet else "real"
