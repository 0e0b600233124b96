"""Which row a report from an exchange is about, when all that is known is the report.

Every order of ours is a committed row with its client id before it leaves. So a report with a client id that
no row bears is of an order placed by something else; one without a client id proves nothing while an order of
ours waits for its answer in that market.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from django.db.models import Q

from apps.orders import claims
from apps.orders.claims import Followed
from apps.orders.models import Trade
from apps.orders.selectors import LIVE_STATUSES
from domain.orders import TRIGGERED_TYPES, OrderReport, OrderSource, OrderStatus

# These run a triggered order under the id it was placed with; others make a new order out of it.
_KEEP_THE_ID = frozenset({"binance", "binanceus", "simex"})
_JUST_NOW = timedelta(minutes=10)


def find(broker_id: int, report: OrderReport) -> Followed | None:
    """Return the order that the report is about: by its client id, else by the exchange's."""
    rows = Trade.objects.filter(broker_id=broker_id, symbol=report.symbol)
    if report.client_order_id:
        named = rows.filter(client_order_id=report.client_order_id).first()
        if named is not None:
            return claims.followed(named)
    same_id = rows.filter(exchange_order_id=report.exchange_order_id)
    if report.client_order_id:
        # Ids are not for ever (a simulated exchange begins again): another client id is another order.
        same_id = same_id.filter(source=OrderSource.EXTERNAL)
    trade = same_id.order_by("-id").first()
    return None if trade is None else claims.followed(trade)


def as_of_row(order: Followed, report: OrderReport) -> OrderReport:
    """Return the report under the client id that the row bears: an external row has one of our making."""
    return replace(report, client_order_id=None) if order.is_external else report


def may_be_ours(broker_id: int, exchange: str, report: OrderReport, *, now: datetime) -> bool:
    """Tell whether a report that `find` knows no row for may still be about an order of ours."""
    if report.client_order_id and Trade.objects.filter(client_order_id=report.client_order_id).exists():
        return True  # sent by Aristobot to the same account through another broker
    here = Trade.objects.filter(broker_id=broker_id, symbol=report.symbol).exclude(source=OrderSource.EXTERNAL)
    unanswered = (OrderStatus.SENDING.value, OrderStatus.UNKNOWN.value)
    if not report.client_order_id and here.filter(status__in=unanswered).exists():
        return True
    if exchange in _KEEP_THE_ID:
        return False
    triggered = here.filter(type__in=[kind.value for kind in TRIGGERED_TYPES], side=report.side.value)
    recent = Q(status__in=LIVE_STATUSES) | Q(closed_at__gte=now - _JUST_NOW)
    return triggered.filter(recent, quantity=report.quantity).exists()
