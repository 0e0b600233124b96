"""Leaving a position: its own persisted state, taken up again at any step by whoever comes next.

What rests at an exchange locks what is to be sold, so a position is left in steps. Each is one transaction
under the owner's lock, decided from the rows alone, and may be repeated:

1. whatever of the owner may still execute in that market is asked to be cancelled (its protection and other
   sales; a bot's or a webhook's purchases too), together with the state `closing` and its reason;
2. its final word is awaited: it may have executed;
3. what remains is sold at market, by one live exit at most; an exit that ended in vain is tried again, later
   and later, one that never reached the exchange at once;
4. the ledger closes the position once nothing that can be sold remains.

A position without anything to cancel goes to step 3 at once. `begin` is for whoever wants out (a user, a
signal, a price reached), in any process, inside his own transaction if he has one; `advance` is for the
driver, `apps.orders.keeper` in terminal 5, which takes the later steps as soon as rows change.
"""

import enum
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import takewhile

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet, Subquery

from apps.alerts.services import recording
from apps.market_data.selectors import market_for
from apps.orders import cancellations, desk, events, ledger, ownership, selectors
from apps.orders.models import Fill, Position, Trade
from domain.alerts import AlertKind
from domain.errors import Conflict, InvalidInput, NotFound
from domain.orders import OrderRequest, OrderSource, OrderStatus, OrderType, Side

USER, SIGNAL, UNPROTECTED = "user", "signal", "unprotected"
# After an exit in vain the next one waits, so that a lasting refusal does not flood the exchange.
_RETRY_AFTER = timedelta(seconds=15)
_COUNTED = 8  # 15 s × 2⁷ = 32 min at most
_IN_VAIN = (OrderStatus.REJECTED.value, OrderStatus.EXPIRED.value, OrderStatus.CANCELLED.value)
# Nobody could send it as long as it was valid, or its absence took long to prove: the exchange saw nothing of it.
_NEVER_ARRIVED = ("order_expired", "order_absent", "lease_lost", "database_down")
_LONGEST_UNSEEN = timedelta(minutes=1)  # an outage may last; what it held up is sold soon after it


class Step(enum.StrEnum):
    """What a call did, or what the position waits for."""

    GONE = "gone"  # closed already, or not there
    CANCELLING = "cancelling"  # orders that rest are being cancelled, or an exit is on its way
    SELLING = "selling"  # the exit was committed
    DELAYED = "delayed"  # the last exit came to nothing; the next one waits


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the leaving is. `trade`: the exit committed by this call."""

    step: Step
    trade: Trade | None = None


def close(position_id: int, *, user_id: int, price: Decimal, now: datetime) -> Progress:
    """Leave a position because its user asks for it.

    Args:
        price: last price, by which the sale is checked against the exchange's minimum.

    Raises:
        NotFound: no such position of this user.
        Conflict: it is closed, or being left already.
        InvalidInput: nothing was to be cancelled, and the exchange's filters refuse the sale.
    """
    position = Position.objects.filter(id=position_id, user_id=user_id).first()
    if position is None:
        raise NotFound(f"Clôture impossible : la position {position_id} n'existe pas.")
    if position.status != Position.Status.OPEN:
        state = "en cours de clôture" if position.status == Position.Status.CLOSING else "fermée"
        raise Conflict(
            f"Clôture impossible ({position.symbol}) : la position est déjà {state}.",
            details={"status": position.status},
            code="position_not_open",
        )
    return begin(position_id, reason=USER, price=price, now=now)


def begin(
    position_id: int, *, reason: str, price: Decimal, now: datetime, market_time: datetime | None = None
) -> Progress:
    """Begin to leave a position, or take the next step of one that is being left already.

    Args:
        reason: `USER`, `SIGNAL`, `UNPROTECTED`, "stop_loss" or "take_profit"; the first one given stays.
        market_time: time of the wish on the market's clock.

    Raises:
        InvalidInput: the sale of an open position is refused by the exchange's filters. The position stays
            open and the refused attempt is kept as a row.
    """
    return _step(position_id, reason=reason, price=price, now=now, market_time=market_time)


def leaving_at_once(broker_id: int, owners: Collection[str]) -> "QuerySet[Position]":
    """Return the live positions of those owners, each with what tells whether it can be left in one step.

    `is_plain`: nothing of its owner is alive in that market and no exit was tried yet. `last_fill_at`: market time.
    One statement, hence one snapshot: no fill can come between an order and the position it changes.
    """
    same = {"broker_id": OuterRef("broker_id"), "symbol": OuterRef("symbol"), "owner": OuterRef("owner")}
    live = Trade.objects.filter(**same, status__in=selectors.LIVE_STATUSES)
    exits = Trade.objects.filter(position=OuterRef("pk"), intent=Trade.Intent.EXIT)
    last = Fill.objects.filter(position=OuterRef("pk")).order_by("-executed_at").values("executed_at")[:1]
    rows = Position.objects.filter(broker_id=broker_id, owner__in=owners).exclude(status=Position.Status.CLOSED)
    return rows.annotate(is_plain=~Exists(live) & ~Exists(exits), last_fill_at=Subquery(last))


def advance(
    position_id: int, *, now: datetime, price: Decimal | None = None, market_time: datetime | None = None
) -> Progress:
    """Take the next step of a position that is being left; any other is left alone.

    Args:
        price: last price; None takes the one that the position was last valued at.
    """
    return _step(position_id, reason="", price=price, now=now, market_time=market_time)


def _step(
    position_id: int, *, reason: str, price: Decimal | None, now: datetime, market_time: datetime | None
) -> Progress:
    refusal: InvalidInput | None = None
    with transaction.atomic():
        try:
            progress = _locked_step(position_id, reason=reason, price=price, now=now, market_time=market_time)
        except InvalidInput as exc:
            refusal = exc  # raised once the refused attempt is committed
    if refusal is not None:
        raise refusal
    return progress


def _locked_step(
    position_id: int, *, reason: str, price: Decimal | None, now: datetime, market_time: datetime | None
) -> Progress:
    position = ownership.locked_position(position_id)
    if position is None or not _is_concerned(position, reason):
        return Progress(Step.GONE)
    # The orders first: once none is alive no fill can change the position that is read next. Read the other
    # way round, a sale that fills in between would be made a second time.
    live = list(selectors.live_orders(broker_id=position.broker_id, symbol=position.symbol, owner=position.owner))
    in_the_way = [order for order in live if _must_end(order)]
    if in_the_way:
        cancellations.cancel_each([order.id for order in in_the_way if not _is_exit(order)], now=now)
        ledger.mark_closing(position_id, reason=reason)
        return Progress(Step.CANCELLING)
    position = ownership.current(position_id)
    if position is None or not _is_concerned(position, reason):
        return Progress(Step.GONE)
    if not may_retry(position, now=now):
        return Progress(Step.DELAYED)
    try:
        trade = _sell(position, price=price, now=now, market_time=market_time)
    except InvalidInput as exc:
        if position.status == Position.Status.OPEN:
            raise
        _alert_refused(position, exc, now=now)
        return Progress(Step.DELAYED)
    ledger.mark_closing(position_id, reason=reason)
    return Progress(Step.SELLING, trade)


def may_retry(position: Position, *, now: datetime) -> bool:
    """Tell whether an exit may be tried; after each one that ended in vain the wait doubles."""
    exits = Trade.objects.filter(position=position, intent=Trade.Intent.EXIT).order_by("-id")[:_COUNTED]
    in_vain = list(takewhile(lambda trade: trade.status in _IN_VAIN and not trade.filled_quantity, exits))
    if not in_vain:
        return True
    return (in_vain[0].closed_at or in_vain[0].created_at) < now - _wait_after(in_vain)


def _wait_after(in_vain: Sequence[Trade]) -> timedelta:
    """Return how long the next exit waits after those, the last one first."""
    last, count = in_vain[0], len(in_vain)
    wait = _RETRY_AFTER * 2 ** (count - 1)
    if last.status != OrderStatus.EXPIRED or last.error_code not in _NEVER_ARRIVED:
        return wait
    return min(wait, _LONGEST_UNSEEN) if count > 1 else timedelta(0)


def _is_concerned(position: Position, reason: str) -> bool:
    return position.status == Position.Status.CLOSING or (position.status == Position.Status.OPEN and reason != "")


def _is_exit(order: Trade) -> bool:
    """Tell whether an order is itself the sale that leaves the position: it is awaited, not cancelled."""
    return bool(order.intent == Trade.Intent.EXIT and order.type == OrderType.MARKET)


def _must_end(order: Trade) -> bool:
    """A purchase that a person placed by hand has nothing to do with what he sells now."""
    return bool(order.side == Side.SELL or order.source != OrderSource.MANUAL)


def _sell(position: Position, *, price: Decimal | None, now: datetime, market_time: datetime | None) -> Trade:
    market = market_for(position.broker.exchange, position.symbol)
    known = next(each for each in (price, position.current_price, position.entry_price) if each is not None)
    request = OrderRequest(
        symbol=position.symbol, side=Side.SELL, order_type=OrderType.MARKET, quantity=position.quantity
    )
    context = ownership.context_for(position, intent=Trade.Intent.EXIT, now=now, market_time=market_time)
    return desk.submit(context, request, market=market, reference_price=known)


def _alert_refused(position: Position, refusal: InvalidInput, *, now: datetime) -> None:
    message = f"Clôture retardée ({position.symbol}, {events.amount(position.quantity)}) : {refusal.message}"
    recording.record(
        position.user_id,
        kind=AlertKind.ORDER,
        code="exit_refused",
        subject=f"position:{position.pk}",
        message=message,
        now=now,
    )
