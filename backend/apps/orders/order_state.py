"""How an order's row is locked and moves along `domain.orders.TRANSITIONS`; part of the ledger."""

from collections.abc import Collection
from datetime import datetime

import structlog
from django.db.models import Q, Subquery

from apps.core.metrics import ORDER_STATES
from apps.orders import events
from apps.orders.models import Trade
from domain.errors import NotFound
from domain.orders import OrderStatus, may_become

log = structlog.get_logger(__name__)


def locked(trade_id: int) -> Trade:
    """Lock an order and the other leg of its pair, if it is one; return the order. Raises as `locked_pair`."""
    return locked_pair(trade_id)[0]


def locked_pair(trade_id: int) -> tuple[Trade, Trade | None]:
    """Lock an order and the other leg of its pair, if it is one, in the order of their ids; return both.

    Both, because what happens to one leg is written into the other: whoever locks one holds both.

    Raises:
        NotFound: the order was deleted with its user.
    """
    own_link = Trade.objects.filter(id=trade_id).exclude(link_id="").values("link_id")
    rows = Trade.objects.select_for_update().filter(Q(id=trade_id) | Q(link_id=Subquery(own_link)))
    found = {row.id: row for row in rows.order_by("id")}
    trade = found.pop(trade_id, None)
    if trade is None:
        raise NotFound(f"L'ordre {trade_id} n'existe plus.")
    return trade, next(iter(found.values()), None)


def lock_all(trade_ids: Collection[int]) -> None:
    """Lock several orders and the other legs of their pairs at once, in the order of their ids."""
    links = Trade.objects.filter(id__in=trade_ids).exclude(link_id="").values("link_id")
    rows = Trade.objects.select_for_update().filter(Q(id__in=trade_ids) | Q(link_id__in=links))
    list(rows.order_by("id").values_list("id"))


def twin_of(trade: Trade) -> Trade | None:
    """Return the other leg of a pair, None when the order is none."""
    if not trade.link_id:
        return None
    twin: Trade | None = Trade.objects.filter(link_id=trade.link_id).exclude(id=trade.id).first()
    return twin


def finish(trade: Trade, status: OrderStatus, *, code: str, message: str, now: datetime) -> bool:
    """End an order by our own knowledge, if its state allows; return whether it ended by this."""
    if not may_become(OrderStatus(trade.status), status):
        return False
    trade.status = status.value
    trade.error_code, trade.error_message = code, message
    trade.closed_at, trade.next_check_at = now, None
    trade.save()
    events.trade_changed(trade)
    log_state(trade)
    return True


def log_state(trade: Trade) -> None:
    """Log and count where an order stands."""
    ORDER_STATES.labels(trade.status).inc()
    log.info(
        "orders.state",
        user_id=trade.user_id,
        trace_id=trade.trace_id,
        broker_id=trade.broker_id,
        symbol=trade.symbol,
        trade_id=trade.pk,
        client_order_id=trade.client_order_id,
        status=trade.status,
        filled=str(trade.filled_quantity),
    )
