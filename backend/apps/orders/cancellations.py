"""Wishes to cancel. The legs of a stop loss + take profit are cancelled together."""

from collections.abc import Collection, Sequence
from datetime import datetime

from django.db import transaction

from apps.orders import admission, amend_steps, ledger, order_state, pair_book, selectors
from apps.orders.models import Trade
from domain.errors import Conflict, NotFound
from domain.order_words import order_of_side, status_word
from domain.orders import OrderSource, OrderStatus


@transaction.atomic
def cancel(*, trade_id: int, user_id: int, now: datetime) -> Trade:
    """Ask for an order to be cancelled; asking twice is harmless.

    An order that has not been claimed is cancelled here and now; otherwise a command waits for terminal 5.
    The other leg of a pair is cancelled with it. The protection of a position traded by hand is given up with
    its order; a bot's or a webhook's is placed again.

    Raises:
        NotFound: no such order of this user.
        Conflict: the order is already over.
    """
    if not Trade.objects.filter(id=trade_id, user_id=user_id).exists():
        raise NotFound(f"Annulation impossible : l'ordre {trade_id} n'existe pas.")
    trade = order_state.locked(trade_id)
    status = OrderStatus(trade.status)
    if status.is_final:
        raise Conflict(
            f"Annulation impossible : l'{order_of_side(trade.side)} {trade.symbol} n° {trade_id} est déjà terminé "
            f"(statut « {status_word(status)} »).",
            details={"status": status.value},
            code="order_already_final",
        )
    _cancel_locked(trade, now=now)
    if trade.position_id is not None and trade.source == OrderSource.MANUAL:
        ledger.give_up_protection(trade.position_id)  # what he placed by hand, he may take away
    trade.refresh_from_db()
    return trade


@transaction.atomic
def cancel_all(
    *, user_id: int, broker_id: int, now: datetime, symbol: str | None = None, owner: str | None = None
) -> list[Trade]:
    """Ask for every live order of a broker to be cancelled; return them as they are then, oldest first.

    Args:
        symbol: only of that market.
        owner: only of that key of position ("manual", "bot:12" …).

    Raises:
        NotFound: the broker is not this user's.
    """
    admission.own_broker(broker_id, user_id)
    wanted = selectors.live_orders(broker_id=broker_id, symbol=symbol, owner=owner).filter(user_id=user_id)
    ids = list(wanted.values_list("id", flat=True))
    cancel_each(ids, now=now)
    return list(Trade.objects.filter(id__in=ids).order_by("id"))


def cancel_each(trade_ids: Collection[int], *, now: datetime) -> None:
    """Ask for several orders to be cancelled, those already over left alone; in the caller's transaction."""
    order_state.lock_all(trade_ids)
    for trade_id in sorted(trade_ids):
        trade = order_state.locked(trade_id)
        if not OrderStatus(trade.status).is_final:
            _cancel_locked(trade, now=now)


def _cancel_locked(trade: Trade, *, now: datetime) -> None:
    twin = order_state.twin_of(trade)
    legs: Sequence[Trade] = [trade] if twin is None else [trade, twin]
    live = [leg for leg in legs if not OrderStatus(leg.status).is_final]
    unsent = [leg for leg in live if leg.status == OrderStatus.PENDING]
    for leg in live:
        amend_steps.supersede(leg, now=now)
        if leg not in unsent:
            pair_book.ask_cancel(leg)
    for leg in unsent[:1]:
        ledger.cancel_pending(leg, now=now)  # which ends the other leg too, were it unsent
