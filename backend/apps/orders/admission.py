"""What the desk needs to let an order in: whose broker, which money is left, how rows are written or refused.

Part of the desk. Functions that write take part in the caller's transaction.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import structlog
from django.db import transaction

from apps.brokers.models import Broker
from apps.brokers.selectors import exchange_name
from apps.core.tracing import current_trace, order_trace
from apps.orders import events, selectors
from apps.orders.models import Trade
from domain.errors import AristobotError, Conflict, InvalidInput, NotFound
from domain.french import number
from domain.order_terms import MAX_AMOUNT, OrderTerms
from domain.orders import OrderRequest, OrderStatus

log = structlog.get_logger(__name__)

_CLIENT_ORDER_ID = re.compile(r"[a-zA-Z0-9_-]{1,36}")


@dataclass(frozen=True, slots=True)
class Purse:
    """What the caller knows of the account's money.

    Args:
        free: free balance of the currency to spend; None checks nothing.
        as_of: wall time just before that balance was asked for (see `selectors.reserved_by_currency`).
    """

    free: Decimal | None = None
    as_of: datetime | None = None

    def available(self, broker_id: int, currency: str) -> Decimal | None:
        """Return free minus what committed orders hold, None when the balance is not known."""
        if self.free is None:
            return None
        return self.free - selectors.reserved_by_currency(broker_id, as_of=self.as_of).get(currency, Decimal(0))


PURSE_UNSEEN = Purse()


def own_broker(broker_id: int, user_id: int) -> Broker:
    """Raises NotFound when the broker is not this user's."""
    broker = Broker.objects.filter(id=broker_id, user_id=user_id).first()
    if broker is None:
        raise NotFound(f"Ordre refusé : le broker {broker_id} n'existe pas.")
    return broker


def known(client_order_id: str, user_id: int) -> Trade | None:
    """Return the order already made under a client id.

    Raises:
        InvalidInput: an exchange would not take that id.
        Conflict: it is another user's.
    """
    if not _CLIENT_ORDER_ID.fullmatch(client_order_id):
        raise InvalidInput(
            f"Ordre refusé : identifiant client « {client_order_id[:60]} » invalide "
            "(1 à 36 lettres, chiffres, - ou _)."
        )
    trade = Trade.objects.filter(client_order_id=client_order_id).first()
    if trade is not None and trade.user_id != user_id:
        raise Conflict(f"Ordre refusé : identifiant client « {client_order_id} » déjà utilisé.")
    return trade


def check_money(terms: Iterable[OrderTerms], purse: Purse, *, broker: Broker, symbol: str) -> None:
    """Raises InvalidInput when the first of the terms (the one that sets money aside) exceeds what is left."""
    first = next(iter(terms))
    available = purse.available(broker.id, first.reserved_currency)
    if purse.free is None or available is None or first.reserved_amount <= available:
        return
    currency, reserved = first.reserved_currency, purse.free - available
    held = f" dont {number(reserved)} {currency} réservés par d'autres ordres" if reserved else ""
    raise InvalidInput(
        f"Ordre refusé avant envoi ({exchange_name(broker.exchange)}, {symbol}) : solde insuffisant, "
        f"{number(first.reserved_amount)} {currency} nécessaires, {number(purse.free)} {currency} libres{held}.",
        details={"needed": str(first.reserved_amount), "free": str(purse.free), "reserved": str(reserved)},
        code="insufficient_funds",
    )


def insert(row: dict[str, Any], terms: OrderTerms, *, status: OrderStatus = OrderStatus.PENDING) -> Trade:
    """Write an order's row and, after the commit, tell its user's browsers."""
    trade = drawn_up(row, terms, status=status)
    trade.save(force_insert=True)
    announce(trade)
    return trade


def drawn_up(row: dict[str, Any], terms: OrderTerms, *, status: OrderStatus = OrderStatus.PENDING) -> Trade:
    """Return an order's row, not written yet."""
    return Trade(
        **row,
        type=terms.order_type.value,
        side=terms.side.value,
        quantity=terms.quantity,
        price=terms.price,
        stop_price=terms.stop_price,
        quote_amount=terms.quote_amount,
        reserved_currency=terms.reserved_currency,
        reserved_amount=terms.reserved_amount,
        status=status.value,
    )


def announce(trade: Trade) -> None:
    """Log an order that was written and, after the commit, tell its user's browsers."""
    events.trade_changed(trade)
    log.info(
        "orders.submitted",
        user_id=trade.user_id,
        trace_id=trade.trace_id,
        broker_id=trade.broker_id,
        symbol=trade.symbol,
        trade_id=trade.pk,
        client_order_id=trade.client_order_id,
        type=trade.type,
        side=trade.side,
        quantity=str(trade.quantity),
    )


def record_refusal(row: dict[str, Any], request: OrderRequest, refusal: AristobotError, *, now: datetime) -> None:
    """Keep a refused order as a `rejected` row and put its id into the refusal's details."""
    facts = {
        "trace_id": current_trace() or order_trace(row["client_order_id"]),
        **row,
        "price": request.price,
        "stop_price": request.stop_price,
        "stop_loss": request.stop_loss,
        "take_profit": request.take_profit,
    }
    with transaction.atomic():
        trade = Trade.objects.create(
            **{name: value if _is_storable(value) else None for name, value in facts.items()},
            type=request.order_type.value,
            side=request.side.value,
            quantity=request.quantity if request.quantity is not None and _is_storable(request.quantity) else 0,
            status=OrderStatus.REJECTED.value,
            error_code=refusal.error_code,
            error_message=refusal.message,
            closed_at=now,
        )
        events.trade_changed(trade)
    refusal.details["trade_id"] = trade.id
    log.info(
        "orders.refused",
        user_id=trade.user_id,
        trace_id=trade.trace_id,
        symbol=trade.symbol,
        code=refusal.error_code,
        reason=refusal.message,
    )


def _is_storable(value: Any) -> bool:
    return not isinstance(value, Decimal) or (value.is_finite() and Decimal(0) <= value < MAX_AMOUNT)
