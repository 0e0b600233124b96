"""Reads of sources and calls, a user's own."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from statistics import median
from typing import Any

from django.db.models import Count, F, Max, Min, Q, QuerySet, Sum

from apps.core.selectors import restorations
from apps.orders.events import amount
from apps.orders.models import Trade
from apps.webhooks.models import Webhook, WebhookSource
from domain.errors import NotFound
from domain.orders import OrderStatus

OWNER = "webhook:"  # how owners that are sources begin
_MEASURED = 500
# A call was executed and the exchange then refused its order: for its user it is a refused call.
TURNED_DOWN = Q(status=Webhook.Status.EXECUTED, trades__status=OrderStatus.REJECTED)


def owner_of(source_id: int) -> str:
    """Return the key of a source's positions and orders."""
    return f"{OWNER}{source_id}"


def sources_of(user_id: int) -> "QuerySet[WebhookSource]":
    """Return the user's sources by name, with `call_count` and `last_call_at`."""
    rows = WebhookSource.objects.filter(user_id=user_id).select_related("broker")
    return rows.annotate(call_count=Count("calls"), last_call_at=Max("calls__created_at")).order_by("name")


def calls_of(user_id: int) -> "QuerySet[Webhook]":
    """Return the user's calls, newest first, with their orders at hand."""
    return with_orders(Webhook.objects.filter(user_id=user_id).defer("body")).order_by("-id")


def with_orders(rows: "QuerySet[Webhook]") -> "QuerySet[Webhook]":
    """Return calls with what their bodies need, in a fixed number of queries."""
    return rows.select_related("origin__broker", "left_position").prefetch_related(
        "trades", "left_position__orders"
    )


def own_call(user_id: int, call_id: int) -> Webhook:
    """Return one of the user's calls, its body included. Raises NotFound."""
    found = with_orders(Webhook.objects.filter(id=call_id, user_id=user_id)).first()
    if found is None:
        raise NotFound(f"Appel {call_id} introuvable.")
    call: Webhook = found
    return call


def waiting_sources(*, now: datetime) -> list[int]:
    """Return the sources that have calls to look at now, the one that waits longest first.

    After a restoration calls wait until their user has looked; by then they may be too old to act upon.
    """
    due = Webhook.objects.filter(processed=False).filter(Q(not_before=None) | Q(not_before__lte=now))
    due = due.exclude(user_id__in=restorations.held_users())
    ids = due.values("origin_id").annotate(first=Min("id")).order_by("first").values_list("origin_id", flat=True)
    return [source_id for source_id in ids if source_id is not None]


def is_any_waiting() -> bool:
    """Tell whether a call is not settled yet, due or not."""
    return bool(Webhook.objects.filter(processed=False, origin__isnull=False).exists())


def summary(user_id: int, *, since: datetime, now: datetime) -> dict[str, Any]:
    """Return the figures over the journal.

    Args:
        since: beginning of the user's day; profits go back thirty days whatever it is.
    """
    calls = Webhook.objects.filter(user_id=user_id, created_at__gte=since)
    by_status = dict(calls.values_list("status").annotate(count=Count("id")).order_by())
    turned_down = calls.filter(TURNED_DOWN).distinct().count()
    return {
        "calls": sum(by_status.values()),
        "waiting": by_status.get(Webhook.Status.RECEIVED, 0),
        "executed": by_status.get(Webhook.Status.EXECUTED, 0) - turned_down,
        "duplicates": by_status.get(Webhook.Status.DUPLICATE, 0),
        "stale": by_status.get(Webhook.Status.STALE, 0),
        "refused": by_status.get(Webhook.Status.REFUSED, 0) + turned_down,
        "order_delay_ms": _order_delay_ms(user_id, since=since),
        "profits": _profits(user_id, since=now - timedelta(days=30)),
    }


def _order_delay_ms(user_id: int, *, since: datetime) -> int | None:
    """Return the usual time from a call to the exchange's word that it has the order."""
    answered = Trade.objects.filter(user_id=user_id, webhook__created_at__gte=since, acknowledged_at__isnull=False)
    spans: Iterable[timedelta] = (
        answered.filter(intent__in=("entry", "exit"))
        .annotate(span=F("acknowledged_at") - F("webhook__created_at"))
        .order_by("-id")
        .values_list("span", flat=True)[:_MEASURED]
    )
    found = [span.total_seconds() * 1000 for span in spans]
    return round(median(found)) if found else None


def _profits(user_id: int, *, since: datetime) -> list[dict[str, Any]]:
    """Return what orders of sources realised, by quote currency, largest first."""
    rows = Trade.objects.filter(
        user_id=user_id, owner__startswith=OWNER, profit_loss__isnull=False, created_at__gte=since
    )
    totals: dict[str, Decimal] = {}
    for row in rows.values("symbol").annotate(total=Sum("profit_loss")).order_by():
        quote = row["symbol"].partition("/")[2]
        totals[quote] = totals.get(quote, Decimal(0)) + row["total"]
    ordered = sorted(totals.items(), key=lambda item: -abs(item[1]))
    return [{"currency": currency, "amount": amount(total)} for currency, total in ordered]
