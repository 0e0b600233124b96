"""The one door for an order: manual, strategy and webhook orders are submitted, changed and cancelled here.

Synchronous functions that take part in the caller's transaction; terminal 5 is woken and browsers are told
only once it is committed. Nothing here talks to an exchange: a committed `pending` row is the request.

A refused order is kept as a `rejected` row (decision 25) and the error is raised. A caller that holds a
transaction open must catch the error *inside* its `atomic` block, or the row goes with the rollback.
"""

from decimal import Decimal
from typing import Any

from django.db import IntegrityError, transaction

from apps.brokers.models import Broker
from apps.brokers.selectors import exchange_name, order_abilities
from apps.orders import admission, events, pairs
from apps.orders.admission import PURSE_UNSEEN, Purse
from apps.orders.amendments import amend as amend
from apps.orders.cancellations import cancel as cancel
from apps.orders.cancellations import cancel_all as cancel_all
from apps.orders.context import OrderContext
from apps.orders.locks import lock_broker_money
from apps.orders.models import Trade
from apps.orders.order_batch import OrderBatch as OrderBatch
from apps.orders.preview import Preview, preview_of
from domain.errors import InvalidInput
from domain.markets import Market
from domain.order_terms import OrderTerms, order_terms, pair_terms
from domain.orders import OrderRequest, OrderType


def preview(
    *,
    user_id: int,
    broker_id: int,
    request: OrderRequest,
    market: Market,
    reference_price: Decimal,
    purse: Purse = PURSE_UNSEEN,
) -> Preview:
    """Return what `submit` (or `submit_pair`, for an OCO) would commit; writes nothing.

    Args and errors are those of `submit`.
    """
    broker = admission.own_broker(broker_id, user_id)
    if request.order_type is OrderType.OCO:
        legs = _pair_terms(request, market, reference_price, broker=broker)
        admission.check_money(legs, purse, broker=broker, symbol=request.symbol)
        return preview_of(legs[0], purse.available(broker_id, legs[0].reserved_currency), legs=legs)
    terms = _terms(request, market, reference_price, broker=broker)
    admission.check_money([terms], purse, broker=broker, symbol=request.symbol)
    return preview_of(terms, purse.available(broker_id, terms.reserved_currency))


def submit(
    context: OrderContext,
    request: OrderRequest,
    *,
    market: Market,
    reference_price: Decimal,
    record_refusal: bool = True,
) -> Trade:
    """Commit an order as `pending`, rounded, checked and with its money reserved.

    Args:
        reference_price: last price; sizes a market order, values it against the minimum notional, and a
            trigger must lie on the right side of it.
        record_refusal: keep a refused order as a `rejected` row.

    Raises:
        InvalidInput: the request breaks a rule of the market or of the exchange, or exceeds the free balance
            (French, with values).
        NotFound: the broker is not this user's.
    """
    broker = admission.own_broker(context.broker_id, context.user_id)
    if context.client_order_id is not None:
        made = admission.known(context.client_order_id, context.user_id)
        if made is not None:
            return made
    row = context.row(request, market, reference_price, intent=Trade.Intent.ENTRY)
    try:
        terms = _terms(request, market, reference_price, broker=broker)
        protection = {"stop_loss": request.stop_loss, "take_profit": request.take_profit}
        return _insert_pending({**row, **protection}, terms, purse=context.purse, broker=broker)
    except InvalidInput as refusal:
        if record_refusal:
            admission.record_refusal(row, request, refusal, now=context.now)
        raise


def submit_pair(
    context: OrderContext,
    request: OrderRequest,
    *,
    market: Market,
    reference_price: Decimal,
    record_refusal: bool = True,
) -> tuple[Trade, Trade]:
    """Commit a stop loss and a take profit over the same quantity as two linked `pending` orders.

    Only the stop loss reserves the quantity. A refusal is kept as one `rejected` row of type "oco".

    Args:
        request: an OCO sale of `quantity` with `stop_loss` and `take_profit` as its triggers.

    Returns:
        The stop loss's row and the take profit's.

    Raises:
        InvalidInput, NotFound: as `submit`; also when the exchange cannot hold such a pair.
    """
    broker = admission.own_broker(context.broker_id, context.user_id)
    row = context.row(request, market, reference_price, intent=Trade.Intent.PROTECTION)
    made = pairs.known(row["client_order_id"], context.user_id)
    if made is not None:
        return made
    try:
        legs = _pair_terms(request, market, reference_price, broker=broker)
        return pairs.insert(row, legs, purse=context.purse, broker=broker)
    except InvalidInput as refusal:
        if record_refusal:
            admission.record_refusal(row, request, refusal, now=context.now)
        raise


def _terms(request: OrderRequest, market: Market, reference_price: Decimal, *, broker: Broker) -> OrderTerms:
    abilities = order_abilities(broker.exchange)
    name = exchange_name(broker.exchange)
    return order_terms(request, market, reference_price, exchange=name, abilities=abilities)


def _pair_terms(
    request: OrderRequest, market: Market, reference_price: Decimal, *, broker: Broker
) -> tuple[OrderTerms, OrderTerms]:
    abilities = order_abilities(broker.exchange)
    name = exchange_name(broker.exchange)
    return pair_terms(request, market, reference_price, exchange=name, abilities=abilities)


def _insert_pending(row: dict[str, Any], terms: OrderTerms, *, purse: Purse, broker: Broker) -> Trade:
    try:
        with transaction.atomic():
            lock_broker_money(broker.id)
            admission.check_money([terms], purse, broker=broker, symbol=row["symbol"])
            trade = admission.insert(row, terms)
            events.wake_executor()
            return trade
    except IntegrityError:
        # Another request with the same client id was committed between our look and our insert.
        made = admission.known(row["client_order_id"], row["user_id"])
        if made is None:
            raise
        return made
