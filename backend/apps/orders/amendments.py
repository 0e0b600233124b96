"""Wishes to change an order; part of the desk. Terminal 5 carries them out (`apps.orders.amend_steps`)."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from django.db import transaction

from apps.brokers.selectors import exchange_name, order_abilities
from apps.orders import admission, events, order_state
from apps.orders.models import OrderCommand, Trade
from apps.orders.selectors import LIVE_COMMANDS
from domain.errors import Conflict, InvalidInput, NotFound
from domain.french import number
from domain.markets import Market
from domain.order_terms import OrderTerms, order_terms
from domain.order_words import order_of_side, status_word
from domain.orders import OrderRequest, OrderSource, OrderStatus, OrderType, Side


@transaction.atomic
def amend(
    *,
    trade_id: int,
    user_id: int,
    market: Market,
    reference_price: Decimal,
    now: datetime,
    quantity: Decimal | None = None,
    price: Decimal | None = None,
    stop_price: Decimal | None = None,
    free: Decimal | None = None,
    balance_as_of: datetime | None = None,
    valid_for: timedelta = timedelta(seconds=20),
    client_order_id: str | None = None,
) -> OrderCommand:
    """Ask for an order to be replaced by one with another quantity, price or trigger.

    Args:
        now: wall time; nothing is begun after `now + valid_for`.
        quantity: the new total of the order, what has executed already included; None keeps it, as do the
            other two.
        free: free balance of the currency the order sets aside, read at `balance_as_of`; without it the
            money is not checked here, and an exchange that refuses the new order has ended the old one.
        client_order_id: of the replacement; given again, the command already made under it is returned.

    Returns:
        The durable command; `params["client_order_id"]` names the replacement.

    Raises:
        NotFound: no such order of this user.
        Conflict: the order is over, or another cancellation or change of it waits.
        InvalidInput: nothing would change, the new terms break a rule, or the money is missing (French, with
            values).
    """
    trade = _own_locked(trade_id, user_id)
    new_id = client_order_id or uuid4().hex
    made = _known(new_id, trade_id, user_id)
    if made is not None:
        return made
    _check_amendable(trade)
    total = trade.quantity if quantity is None else quantity
    terms = _new_terms(trade, market, reference_price, total=total, price=price, stop_price=stop_price)
    _check_changes(trade, terms)
    _check_money(trade, terms, admission.Purse(free, balance_as_of))
    command: OrderCommand = OrderCommand.objects.create(
        trade=trade,
        kind=OrderCommand.Kind.AMEND,
        params={
            "client_order_id": new_id,
            "valid_until": (now + valid_for).isoformat(),
            **_params(trade, terms, market, reference_price),
        },
    )
    events.wake_executor()
    return command


def _own_locked(trade_id: int, user_id: int) -> Trade:
    if not Trade.objects.filter(id=trade_id, user_id=user_id).exists():
        raise NotFound(f"Modification impossible : l'ordre {trade_id} n'existe pas.")
    return order_state.locked(trade_id)


def _params(trade: Trade, terms: OrderTerms, market: Market, reference_price: Decimal) -> dict[str, Any]:
    """Return what terminal 5 needs to replace the order; `quantity` is the whole, `planned` what is to come."""
    return {
        "quantity": events.amount(trade.filled_quantity + terms.quantity),
        "price": events.amount(terms.price),
        "stop_price": events.amount(terms.stop_price),
        "reference_price": events.amount(reference_price),
        "min_quantity": events.amount(market.min_quantity),
        "planned": events.amount(terms.quantity),  # what the reservation below is for
        "reserved_currency": terms.reserved_currency,
        "reserved_amount": str(terms.reserved_amount),
    }


def _known(client_order_id: str, trade_id: int, user_id: int) -> OrderCommand | None:
    taken = admission.known(client_order_id, user_id)
    amends = OrderCommand.objects.filter(kind=OrderCommand.Kind.AMEND, trade__user_id=user_id)
    made: OrderCommand | None = amends.filter(trade_id=trade_id, params__client_order_id=client_order_id).first()
    if made is None and taken is not None:
        raise Conflict(f"Modification refusée : identifiant client « {client_order_id} » déjà utilisé.")
    return made


def _check_amendable(trade: Trade) -> None:
    status = OrderStatus(trade.status)
    if status.is_final:
        raise Conflict(
            f"{_head(trade)} : l'ordre est déjà terminé (statut « {status_word(status)} »).",
            details={"status": status.value},
            code="order_already_final",
        )
    if trade.source == OrderSource.EXTERNAL:
        # Its report may not say all (a trigger): what would replace it could be another kind of order.
        raise InvalidInput(
            f"{_head(trade)} : un ordre placé hors d'Aristobot ne se modifie pas d'ici ; l'annuler puis le "
            "replacer.",
            code="external_not_amendable",
        )
    if trade.link_id:
        raise InvalidInput(
            f"{_head(trade)} : les deux ordres d'un stop loss + take profit ne se modifient pas ; les annuler "
            "puis les replacer.",
            code="pair_not_amendable",
        )
    if trade.type == OrderType.MARKET:
        raise InvalidInput(f"{_head(trade)} : un ordre au marché ne se modifie pas.", code="not_amendable")
    waiting = OrderCommand.objects.filter(trade=trade, status__in=LIVE_COMMANDS).first()
    if waiting is not None:
        wish = "une annulation" if waiting.kind == OrderCommand.Kind.CANCEL else "une autre modification"
        raise Conflict(f"{_head(trade)} : {wish} est déjà demandée.", code="command_waiting")


def _new_terms(
    trade: Trade,
    market: Market,
    reference_price: Decimal,
    *,
    total: Decimal,
    price: Decimal | None,
    stop_price: Decimal | None,
) -> OrderTerms:
    """Return the terms of what would still have to execute."""
    if not total.is_finite() or total <= trade.filled_quantity:
        raise InvalidInput(
            f"{_head(trade)} : quantité {total} demandée, {number(trade.filled_quantity)} {market.base} déjà "
            "exécutés.",
            details={"field": "quantity", "filled": str(trade.filled_quantity)},
            code="quantity_already_filled",
        )
    request = OrderRequest(
        symbol=trade.symbol,
        side=Side(trade.side),
        order_type=OrderType(trade.type),
        quantity=total - trade.filled_quantity,
        price=trade.price if price is None else price,
        stop_price=trade.stop_price if stop_price is None else stop_price,
    )
    exchange = trade.broker.exchange
    name, abilities = exchange_name(exchange), order_abilities(exchange)
    try:
        return order_terms(request, market, reference_price, exchange=name, abilities=abilities)
    except InvalidInput as exc:
        message = exc.message.replace("Ordre refusé avant envoi", "Modification refusée avant envoi", 1)
        raise InvalidInput(message, details=exc.details, code=exc.error_code) from exc


def _check_changes(trade: Trade, terms: OrderTerms) -> None:
    wanted = (trade.filled_quantity + terms.quantity, terms.price, terms.stop_price)
    if wanted == (trade.quantity, trade.price, trade.stop_price):
        raise InvalidInput(f"{_head(trade)} : rien ne change.", code="nothing_to_amend")


def _check_money(trade: Trade, terms: OrderTerms, purse: admission.Purse) -> None:
    """Refuse what the account cannot pay, for a replacement refused there leaves no order at all.

    The order's own money counts: it comes back when the order goes.
    """
    currency = terms.reserved_currency
    available = purse.available(trade.broker_id, currency)
    if available is None:
        return
    available = max(available, Decimal(0))
    if terms.reserved_amount <= trade.reserved_amount + available:
        return
    raise InvalidInput(
        f"{_head(trade)} : solde insuffisant, {number(terms.reserved_amount)} {currency} nécessaires, "
        f"{number(available)} {currency} disponibles et {number(trade.reserved_amount)} {currency} "
        "que cet ordre retient déjà. L'ordre reste tel quel.",
        details={"needed": str(terms.reserved_amount), "field": "quantity"},
        code="insufficient_funds",
    )


def _head(trade: Trade) -> str:
    return f"Modification refusée ({order_of_side(trade.side)} {trade.symbol} n° {trade.id})"
