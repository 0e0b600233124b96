"""Reads of the manual terminal: brokers, symbols, orders and positions. Own data only; writes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, IntegerField, Q, QuerySet, Value, When
from django.db.models.functions import Length

from apps.brokers.models import Broker, Exchange
from apps.core.models import HeartbeatStatus
from apps.market_data.models import ExchangeSymbol
from apps.orders.events import position_body
from apps.orders.models import Position, Trade
from apps.orders.selectors import LIVE_STATUSES
from domain.errors import NotFound

HISTORY = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class SymbolPage:
    """Some of the symbols that match, and how many do."""

    rows: Sequence[Mapping[str, Any]]  # symbol, base, quote, active
    total: int


def broker_of(user_id: int, broker_id: int) -> Broker:
    """Raises NotFound when there is none or it is another user's."""
    broker: Broker | None = Broker.objects.filter(pk=broker_id, user_id=user_id).first()
    if broker is None:
        raise NotFound(f"Broker {broker_id} introuvable.", details={"broker": broker_id})
    return broker


def exchange_of(broker: Broker) -> Exchange | None:
    """Return what terminal 5 knows of the broker's exchange, or None."""
    found: Exchange | None = Exchange.objects.filter(pk=broker.exchange).first()
    return found


def find_symbols(exchange: str, *, quote: str, search: str, limit: int, offset: int) -> SymbolPage:
    """Return the symbols of an exchange that contain a text, the likeliest first.

    A base that is the text comes first, then one that begins with it, then the others, by name. The text is
    compared with the ccxt name and with the exchange's own, so that « btcusdt » and « btc/usdt » both find.
    """
    found = ExchangeSymbol.objects.filter(exchange=exchange)
    if quote:
        found = found.filter(quote=quote)
    text = search.strip().upper()
    if not text:
        return _page(found.order_by("symbol"), limit=limit, offset=offset)
    found = found.filter(Q(symbol__icontains=text) | Q(exchange_symbol__icontains=text))
    rank = Case(
        When(base=text, then=Value(0)),
        When(base__startswith=text, then=Value(1)),
        default=Value(2),
        output_field=IntegerField(),
    )
    ordered = found.annotate(rank=rank).order_by("rank", Length("base"), "symbol")
    return _page(ordered, limit=limit, offset=offset)


def _page(rows: "QuerySet[ExchangeSymbol]", *, limit: int, offset: int) -> SymbolPage:
    shown = rows.values("symbol", "base", "quote", "active")
    return SymbolPage(list(shown[offset : offset + limit]), rows.count())


def priced_symbols(exchange: str, currencies: Sequence[str]) -> "QuerySet[ExchangeSymbol]":
    """Return the open markets between currencies of the list."""
    return ExchangeSymbol.objects.filter(exchange=exchange, active=True, base__in=currencies, quote__in=currencies)


def live_orders(broker: Broker, *, symbol: str | None) -> list[Trade]:
    """Return the broker's orders that are not over, newest first."""
    rows = Trade.objects.filter(broker=broker, status__in=LIVE_STATUSES)
    return list((rows.filter(symbol=symbol) if symbol else rows).order_by("-id"))


def history(broker: Broker, *, symbol: str | None, before: int | None, limit: int, now: datetime) -> list[Trade]:
    """Return the broker's orders of the last 30 days, refused ones included, newest first."""
    rows = Trade.objects.filter(broker=broker, created_at__gte=now - HISTORY)
    if symbol:
        rows = rows.filter(symbol=symbol)
    if before is not None:
        rows = rows.filter(id__lt=before)
    return list(rows.order_by("-id")[:limit])


def open_positions(broker: Broker) -> list[dict[str, Any]]:
    """Return the bodies of what is held on the broker, whoever owns it, newest first."""
    rows = Position.objects.filter(broker=broker).exclude(status=Position.Status.CLOSED).order_by("-id")
    return [position_body(row) for row in rows]


def market_time(feed: str) -> datetime | None:
    """Return the newest market time the heartbeat saw on a feed, None when it does not listen to it."""
    rows = HeartbeatStatus.objects.filter(feed=feed, market_time__isnull=False)
    found: datetime | None = rows.order_by("-last_application_start").values_list("market_time", flat=True).first()
    return found
