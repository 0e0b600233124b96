"""Writes the rows of orders placed outside Aristobot: at the exchange's own page, by another program.

One row per order, however often and by whichever way it is reported: its client id is made from the broker,
the symbol and the exchange's id, because the one it bears may be missing, too long, or used again. It holds
back no money: what it locks is already out of the exchange's `free`. From here on it is followed, cancelled
and shown like any other; its fills make positions of their own owner.
"""

import hashlib
from datetime import datetime, timedelta

import structlog
from django.db import IntegrityError, transaction

from apps.brokers.models import Broker
from apps.core.tracing import order_trace
from apps.market_data.models import ExchangeSymbol
from apps.orders import attribution, claims, events, ledger
from apps.orders.ledger import Applied
from apps.orders.models import Trade
from domain.orders import OrderReport, OrderSource, OrderStatus

log = structlog.get_logger(__name__)

OWNER = "external"


def external_client_id(broker_id: int, report: OrderReport) -> str:
    """Return the id under which the row of that order is unique."""
    name = f"{broker_id}|{report.symbol}|{report.exchange_order_id}"
    return "ext-" + hashlib.sha256(name.encode()).hexdigest()[:32]


def adopt(
    broker_id: int, report: OrderReport, *, now: datetime, check_after: timedelta = timedelta(seconds=2)
) -> Applied | None:
    """Make the row of an order that no row is known for, and apply the report to it.

    Args:
        now: wall time.

    Returns:
        What became of it, or None when nothing was written: the broker is gone, the order may be one of ours,
        it has no quantity yet, or somebody else wrote it at the same moment.
    """
    try:
        with transaction.atomic():
            return _adopt(broker_id, report, now=now, check_after=check_after)
    except IntegrityError:
        log.info("orders.external_known_meanwhile", broker_id=broker_id, symbol=report.symbol)
        return None


def _adopt(broker_id: int, report: OrderReport, *, now: datetime, check_after: timedelta) -> Applied | None:
    broker = Broker.objects.filter(id=broker_id).first()
    quantity = max(report.quantity, report.filled_quantity)
    if broker is None or quantity <= 0:
        return None
    if attribution.may_be_ours(broker_id, broker.exchange, report, now=now):
        return None
    trade = Trade.objects.create(**_row(broker, report), quantity=quantity, valid_until=now, next_check_at=now)
    log.info(
        "orders.external_found",
        user_id=trade.user_id,
        trace_id=trade.trace_id,
        broker_id=broker_id,
        symbol=trade.symbol,
        exchange_order_id=report.exchange_order_id,
    )
    own = attribution.as_of_row(claims.followed(trade), report)
    applied = ledger.apply_report(trade.id, own, now=now, check_after=check_after)
    if applied.fills_missing:
        Trade.objects.filter(id=trade.id).update(next_check_at=now)
        events.wake_executor()
    return applied


def _row(broker: Broker, report: OrderReport) -> dict[str, object]:
    market = ExchangeSymbol.objects.filter(exchange=broker.exchange, symbol=report.symbol).first()
    client_order_id = external_client_id(broker.id, report)
    return {
        "user_id": broker.user_id,
        "broker_id": broker.id,
        "source": OrderSource.EXTERNAL.value,
        "owner": OWNER,
        "client_order_id": client_order_id,
        "trace_id": order_trace(client_order_id),
        "symbol": report.symbol,
        "side": report.side.value,
        "type": report.order_type.value,
        "price": report.price,
        "status": OrderStatus.OPEN.value,
        "market_time": report.market_time,
        "step_size": None if market is None else market.amount_precision,
        "min_notional": None if market is None else market.min_notional,
    }
