"""The one door for an order: manual, strategy and webhook orders are submitted, changed and cancelled here.

Synchronous functions that take part in the caller's transaction; terminal 5 is woken and browsers are told
only once it is committed. Nothing here talks to an exchange: a committed `pending` row is the request.

A refused order is kept as a `rejected` row (decision 25) and the error is raised. A caller that holds a
transaction open must catch the error *inside* its `atomic` block, or the row goes with the rollback.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from django.db import IntegrityError, transaction

from apps.brokers.models import Broker
from apps.brokers.selectors import order_abilities
from apps.orders import admission, events, pairs
from apps.orders.admission import Purse
from apps.orders.amendments import amend as amend
from apps.orders.cancellations import cancel as cancel
from apps.orders.cancellations import cancel_all as cancel_all
from apps.orders.locks import lock_broker_money
from apps.orders.models import Trade
from apps.orders.preview import Preview, preview_of
from domain.errors import InvalidInput
from domain.markets import Market
from domain.order_terms import OrderTerms, order_terms, pair_terms
from domain.orders import OrderRequest, OrderSource, OrderType


def preview(
    *,
    user_id: int,
    broker_id: int,
    request: OrderRequest,
    market: Market,
    reference_price: Decimal,
    free: Decimal | None = None,
    balance_as_of: datetime | None = None,
) -> Preview:
    """Return what `submit` (or `submit_pair`, for an OCO) would commit; writes nothing.

    Args and errors are those of `submit`.
    """
    broker = admission.own_broker(broker_id, user_id)
    purse = Purse(free, balance_as_of)
    if request.order_type is OrderType.OCO:
        legs = _pair_terms(request, market, reference_price, broker=broker)
        admission.check_money(legs, purse, broker=broker, symbol=request.symbol)
        return preview_of(legs[0], purse.available(broker_id, legs[0].reserved_currency), legs=legs)
    terms = _terms(request, market, reference_price, broker=broker)
    admission.check_money([terms], purse, broker=broker, symbol=request.symbol)
    return preview_of(terms, purse.available(broker_id, terms.reserved_currency))


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
        reference_price: last price; sizes a market order, values it against the minimum notional, and a
            trigger must lie on the right side of it.
        now: wall time; the order must leave before `now + valid_for`.
        market_time: time of the decision on the market's clock.
        client_order_id: given again, the order already made under it is returned and nothing is done.
        free: free balance of the currency to spend; checked against what other orders hold, under a lock.
        balance_as_of: wall time just before that balance was asked for (see `reserved_by_currency`).
        record_refusal: keep a refused order as a `rejected` row.

    Raises:
        InvalidInput: the request breaks a rule of the market or of the exchange, or exceeds the free balance
            (French, with values).
        NotFound: the broker is not this user's.
    """
    broker = admission.own_broker(broker_id, user_id)
    if client_order_id is not None:
        made = admission.known(client_order_id, user_id)
        if made is not None:
            return made
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
        "step_size": market.step_size,
        "min_notional": market.min_notional,
        "reference_price": reference_price,
        "market_time": market_time,
        "valid_until": now + valid_for,
    }
    try:
        terms = _terms(request, market, reference_price, broker=broker)
        protection = {"stop_loss": request.stop_loss, "take_profit": request.take_profit}
        return _insert_pending({**row, **protection}, terms, purse=Purse(free, balance_as_of), broker=broker)
    except InvalidInput as refusal:
        if record_refusal:
            admission.record_refusal(row, request, refusal, now=now)
        raise


def submit_pair(
    *,
    user_id: int,
    broker_id: int,
    request: OrderRequest,
    source: OrderSource,
    owner: str,
    market: Market,
    reference_price: Decimal,
    now: datetime,
    intent: str = "protection",
    bot_id: int | None = None,
    strategy_id: int | None = None,
    webhook_id: int | None = None,
    market_time: datetime | None = None,
    valid_for: timedelta = timedelta(seconds=20),
    client_order_id: str | None = None,
    free: Decimal | None = None,
    balance_as_of: datetime | None = None,
    record_refusal: bool = True,
) -> tuple[Trade, Trade]:
    """Commit a stop loss and a take profit over the same quantity as two linked `pending` orders.

    Only the stop loss reserves the quantity. A refusal is kept as one `rejected` row of type "oco".

    Args:
        request: an OCO sale of `quantity` with `stop_loss` and `take_profit` as its triggers.
        client_order_id: of the stop loss; the take profit's and the pair's are derived from it.
        free: free balance of the base currency.

    Returns:
        The stop loss's row and the take profit's.

    Raises:
        InvalidInput, NotFound: as `submit`; also when the exchange cannot hold such a pair.
    """
    broker = admission.own_broker(broker_id, user_id)
    first_id = client_order_id or uuid4().hex
    made = pairs.known(first_id, user_id)
    if made is not None:
        return made
    row: dict[str, Any] = {
        "user_id": user_id,
        "broker_id": broker_id,
        "bot_id": bot_id,
        "strategy_id": strategy_id,
        "webhook_id": webhook_id,
        "source": source.value,
        "owner": owner,
        "intent": intent,
        "client_order_id": first_id,
        "symbol": request.symbol,
        "step_size": market.step_size,
        "min_notional": market.min_notional,
        "reference_price": reference_price,
        "market_time": market_time,
        "valid_until": now + valid_for,
    }
    try:
        legs = _pair_terms(request, market, reference_price, broker=broker)
        return pairs.insert(row, legs, purse=Purse(free, balance_as_of), broker=broker)
    except InvalidInput as refusal:
        if record_refusal:
            admission.record_refusal(row, request, refusal, now=now)
        raise


def _terms(request: OrderRequest, market: Market, reference_price: Decimal, *, broker: Broker) -> OrderTerms:
    exchange = broker.exchange
    return order_terms(request, market, reference_price, exchange=exchange, abilities=order_abilities(exchange))


def _pair_terms(
    request: OrderRequest, market: Market, reference_price: Decimal, *, broker: Broker
) -> tuple[OrderTerms, OrderTerms]:
    exchange = broker.exchange
    return pair_terms(request, market, reference_price, exchange=exchange, abilities=order_abilities(exchange))


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
