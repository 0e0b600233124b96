"""The one door for an order: manual, strategy and webhook orders are submitted and cancelled here.

Synchronous functions that take part in the caller's transaction; terminal 5 is woken and browsers are told
only once it is committed. Nothing here talks to an exchange: a committed `pending` row is the request.

A refused order is kept as a `rejected` row (decision 25) and the error is raised. A caller that holds a
transaction open must catch the error *inside* its `atomic` block, or the row goes with the rollback.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import structlog
from django.db import IntegrityError, transaction

from apps.brokers.models import Broker
from apps.orders import events, ledger, selectors
from apps.orders.locks import lock_broker_money
from apps.orders.models import OrderCommand, Trade
from domain.errors import AristobotError, Conflict, InvalidInput, NotFound
from domain.markets import Market
from domain.orders import OrderRequest, OrderSource, OrderStatus, OrderType, Side

log = structlog.get_logger(__name__)

MARKET_PRICE_MARGIN = Decimal("0.005")  # how far a market buy may run above the reference, for the reservation
MAX_AMOUNT = Decimal(10) ** 18  # beyond any order; the tables hold 20 digits before the point
SUPPORTED_TYPES = (OrderType.MARKET, OrderType.LIMIT)
_CLIENT_ORDER_ID = re.compile(r"[a-zA-Z0-9_-]{1,36}")


@dataclass(frozen=True, slots=True)
class _Terms:
    """An order once rounded: what would be sent and what it holds back meanwhile."""

    quantity: Decimal
    price: Decimal | None
    reserved_currency: str
    reserved_amount: Decimal


def submit(
    *,
    user_id: int,
    broker_id: int,
    request: OrderRequest,
    source: OrderSource,
    owner: str,
    market: Market,
    reference_price: Decimal,
    now: datetime,
    intent: str = "entry",
    bot_id: int | None = None,
    strategy_id: int | None = None,
    webhook_id: int | None = None,
    market_time: datetime | None = None,
    valid_for: timedelta = timedelta(seconds=20),
    client_order_id: str | None = None,
    free: Decimal | None = None,
    balance_as_of: datetime | None = None,
    record_refusal: bool = True,
) -> Trade:
    """Commit an order as `pending`, rounded, checked and with its money reserved.

    Args:
        owner: key of the position: "manual", "bot:12", "webhook:3".
        reference_price: last price; sizes a market order and values it against the minimum notional.
        now: wall time; the order must leave before `now + valid_for`.
        market_time: time of the decision on the market's clock.
        client_order_id: given again, the order already made under it is returned and nothing is done.
        free: free balance of the currency to spend; checked against what other orders hold, under a lock.
        balance_as_of: wall time just before that balance was asked for (see `reserved_by_currency`).
        record_refusal: keep a refused order as a `rejected` row.

    Raises:
        InvalidInput: the request breaks a rule of the market or exceeds the free balance (French, with values).
        NotFound: the broker is not this user's.
    """
    broker = _own_broker(broker_id, user_id)
    if client_order_id is not None:
        known = _known(client_order_id, user_id)
        if known is not None:
            return known
    row: dict[str, Any] = {
        "user_id": user_id,
        "broker_id": broker_id,
        "bot_id": bot_id,
        "strategy_id": strategy_id,
        "webhook_id": webhook_id,
        "source": source.value,
        "owner": owner,
        "intent": intent,
        "client_order_id": client_order_id or uuid4().hex,
        "symbol": request.symbol,
        "side": request.side.value,
        "type": request.order_type.value,
        "stop_loss": request.stop_loss,
        "take_profit": request.take_profit,
        "step_size": market.step_size,
        "min_notional": market.min_notional,
        "reference_price": reference_price,
        "market_time": market_time,
        "valid_until": now + valid_for,
    }
    try:
        terms = _terms(request, market, reference_price, exchange=broker.exchange)
        return _insert_pending(row, terms, free=free, balance_as_of=balance_as_of, broker=broker)
    except InvalidInput as refusal:
        if record_refusal:
            _record_refusal(row, request, refusal, now=now)
        raise


def cancel(*, trade_id: int, user_id: int, now: datetime) -> Trade:
    """Ask for an order to be cancelled; asking twice is harmless.

    An order that has not been claimed is cancelled here and now; otherwise a command waits for terminal 5.

    Raises:
        NotFound: no such order of this user.
        Conflict: the order is already over.
    """
    with transaction.atomic():
        trade = Trade.objects.select_for_update().filter(id=trade_id, user_id=user_id).first()
        if trade is None:
            raise NotFound(f"Annulation impossible : l'ordre {trade_id} n'existe pas.")
        status = OrderStatus(trade.status)
        if status.is_final:
            raise Conflict(
                f"Annulation impossible : l'ordre {trade.side} {trade.symbol} n° {trade_id} est déjà terminé "
                f"(statut « {status} »).",
                details={"status": status.value},
                code="order_already_final",
            )
        if status is OrderStatus.PENDING:
            return ledger.cancel_pending(trade, now=now)
        waiting = (OrderCommand.Status.PENDING, OrderCommand.Status.CLAIMED)
        kind = OrderCommand.Kind.CANCEL
        if not OrderCommand.objects.filter(trade=trade, kind=kind, status__in=waiting).exists():
            OrderCommand.objects.create(trade=trade, kind=kind)
        events.wake_executor()
        return trade


def _own_broker(broker_id: int, user_id: int) -> Broker:
    broker = Broker.objects.filter(id=broker_id, user_id=user_id).first()
    if broker is None:
        raise NotFound(f"Ordre refusé : le broker {broker_id} n'existe pas.")
    return broker


def _known(client_order_id: str, user_id: int) -> Trade | None:
    if not _CLIENT_ORDER_ID.fullmatch(client_order_id):
        raise InvalidInput(
            f"Ordre refusé : identifiant client « {client_order_id[:60]} » invalide "
            "(1 à 36 lettres, chiffres, - ou _)."
        )
    trade = Trade.objects.filter(client_order_id=client_order_id).first()
    if trade is not None and trade.user_id != user_id:
        raise Conflict(f"Ordre refusé : identifiant client « {client_order_id} » déjà utilisé.")
    return trade


def _insert_pending(
    row: dict[str, Any], terms: _Terms, *, free: Decimal | None, balance_as_of: datetime | None, broker: Broker
) -> Trade:
    try:
        with transaction.atomic():
            lock_broker_money(broker.id)
            if free is not None:
                _check_money(terms, free, balance_as_of, broker=broker, symbol=row["symbol"])
            trade = Trade.objects.create(
                **row,
                quantity=terms.quantity,
                price=terms.price,
                reserved_currency=terms.reserved_currency,
                reserved_amount=terms.reserved_amount,
                status=OrderStatus.PENDING.value,
            )
            events.trade_changed(trade)
            events.wake_executor()
    except IntegrityError:
        # Another request with the same client id was committed between our look and our insert.
        known = _known(row["client_order_id"], row["user_id"])
        if known is None:
            raise
        return known
    log.info(
        "orders.submitted",
        user_id=trade.user_id,
        broker_id=trade.broker_id,
        symbol=trade.symbol,
        client_order_id=trade.client_order_id,
        side=trade.side,
        quantity=str(trade.quantity),
    )
    return trade


def _check_money(
    terms: _Terms, free: Decimal, balance_as_of: datetime | None, *, broker: Broker, symbol: str
) -> None:
    held = selectors.reserved_by_currency(broker.id, as_of=balance_as_of)
    reserved = held.get(terms.reserved_currency, Decimal(0))
    if terms.reserved_amount <= free - reserved:
        return
    currency = terms.reserved_currency
    raise InvalidInput(
        f"Ordre refusé avant envoi ({broker.exchange}, {symbol}) : solde insuffisant, "
        f"{events.amount(terms.reserved_amount)} {currency} nécessaires, {events.amount(free)} {currency} libres "
        f"dont {events.amount(reserved)} {currency} réservés par d'autres ordres.",
        details={"needed": str(terms.reserved_amount), "free": str(free), "reserved": str(reserved)},
        code="insufficient_funds",
    )


def _record_refusal(row: dict[str, Any], request: OrderRequest, refusal: AristobotError, *, now: datetime) -> None:
    with transaction.atomic():
        trade = Trade.objects.create(
            **{name: value if _is_storable(value) else None for name, value in row.items()},
            quantity=request.quantity if request.quantity is not None and _is_storable(request.quantity) else 0,
            price=request.price if _is_storable(request.price) else None,
            status=OrderStatus.REJECTED.value,
            error_code=refusal.error_code,
            error_message=refusal.message,
            closed_at=now,
        )
        events.trade_changed(trade)
    refusal.details["trade_id"] = trade.id
    log.info("orders.refused", user_id=trade.user_id, symbol=trade.symbol, code=refusal.error_code)


def _is_storable(value: Any) -> bool:
    return not isinstance(value, Decimal) or (value.is_finite() and Decimal(0) <= value < MAX_AMOUNT)


def _terms(request: OrderRequest, market: Market, reference_price: Decimal, *, exchange: str) -> _Terms:
    _check_request(request, market, reference_price, exchange=exchange)
    price = None if request.price is None else market.round_price(request.price, side=request.side)
    valued_at = reference_price if price is None else price
    wanted = request.quantity if request.quantity is not None else (request.quote_amount or Decimal(0)) / valued_at
    if wanted * valued_at >= MAX_AMOUNT:
        raise InvalidInput(f"Ordre refusé avant envoi ({exchange}, {request.symbol}) : montant démesuré.")
    quantity = market.round_quantity(wanted)
    market.check(quantity=quantity, price=valued_at, exchange=exchange)
    if request.side is Side.SELL:
        return _Terms(quantity, price, market.base, quantity)
    margin = MARKET_PRICE_MARGIN if price is None else Decimal(0)
    needed = quantity * valued_at * (1 + margin) * (1 + market.taker_fee_ratio)
    if request.quote_amount is not None:
        # Somebody who spends an amount means the fee and the price's run to come out of that amount.
        needed = min(needed, max(request.quote_amount, quantity * valued_at))
    return _Terms(quantity, price, market.quote, market.round_up(needed))


def _check_request(request: OrderRequest, market: Market, reference_price: Decimal, *, exchange: str) -> None:
    head = f"Ordre refusé avant envoi ({exchange}, {request.symbol})"
    if request.symbol != market.symbol or not market.active:
        raise InvalidInput(f"{head} : marché inconnu ou fermé.", code="market_closed")
    if request.order_type not in SUPPORTED_TYPES:
        raise InvalidInput(f"{head} : type « {request.order_type} » pas encore pris en charge.", code="unsupported")
    if (request.quantity is None) == (request.quote_amount is None):
        raise InvalidInput(f"{head} : indiquer soit une quantité, soit un montant, pas les deux.")
    if (request.order_type is OrderType.LIMIT) != (request.price is not None):
        raise InvalidInput(f"{head} : un prix est obligatoire pour un ordre limite et interdit au marché.")
    amounts = {
        "quantité": request.quantity,
        "montant": request.quote_amount,
        "prix": request.price,
        "prix de référence": reference_price,
        "stop loss": request.stop_loss,
        "take profit": request.take_profit,
    }
    for label, value in amounts.items():
        if value is not None and not (value.is_finite() and 0 < value < MAX_AMOUNT):
            raise InvalidInput(f"{head} : {label} {value} invalide (nombre positif attendu).")
