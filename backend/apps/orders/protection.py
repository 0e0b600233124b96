"""Keeps what a position is protected by at its exchange in line with what is held: all of it, once, never more.

The wish is the position's own `stop_loss` and `take_profit`; what rests for it are the live orders of intent
`protection` that bear its id. `align` compares the two and takes one step, under the owner's lock and from the
rows alone, so that any process may call it at any time and a dead one leaves nothing undone:

- nothing rests and something should: it is placed (the exchange's OCO, its linked pair, or a single order);
- what rests is not what is held: it is cancelled, its final word awaited, and only then placed anew;
- it is refused again and again: the position is sold at market, and its user alerted;
- the exchange cannot hold it (kind of order, minimum): the engine watches the price.
"""

import enum
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import takewhile

from django.db import transaction

from apps.brokers.selectors import order_abilities
from apps.market_data.selectors import market_for, market_now
from apps.orders import cancellations, closing, desk, events, ownership, selectors
from apps.orders.models import OrderCommand, Position, Trade
from apps.orders.protection_state import guards_of, legs_of
from apps.orders.selectors import LIVE_COMMANDS, RESTING_STATUSES
from domain.errors import InvalidInput, NotFound
from domain.orders import OrderRequest, OrderStatus, OrderType, Side
from domain.protection import ProtectionPlan, plan_protection, reached

# While an entry still fills, what is held is protected at once and then not again before this.
_GROWS_AFTER = timedelta(seconds=5)
_BACK_OFF = tuple(timedelta(seconds=s) for s in (1, 3, 10, 30))
_SOLD_AFTER = 3  # refusals in a row
_COUNTED = 12


class Outcome(enum.StrEnum):
    """What `align` found or did."""

    NOTHING = "nothing"  # closed, being left, or no protection wanted
    HELD = "held"  # what should rest does
    WATCHED = "watched"  # the exchange cannot hold it: the engine watches the price
    WAITING = "waiting"  # a final word, a back-off, an entry that still fills
    PLACED = "placed"
    CANCELLED = "cancelled"  # to be placed anew for another quantity
    LEFT = "left"  # the position is being sold


def align(position_id: int, *, now: datetime) -> Outcome:
    """Take the next step towards the protection that a position should have.

    Args:
        now: wall time.
    """
    with transaction.atomic():
        position = ownership.locked_position(position_id)
        if position is None:
            return Outcome.NOTHING
        legs = legs_of(position.id)
        if position.status == Position.Status.CLOSED:
            return _end(legs, now=now)
        # Read again between the orders and the orders: what executes meanwhile is never taken for held.
        position = ownership.current(position_id)
        if position is None or position.status != Position.Status.OPEN:
            return Outcome.NOTHING
        plan = plan_for(position)
        if not legs:
            return _place(position, plan, now=now)
        return _compare(position, plan, legs_of(position.id), now=now)


def plan_for(position: Position) -> ProtectionPlan:
    """Return what should rest at the exchange for a position."""
    exchange = position.broker.exchange
    try:
        market = market_for(exchange, position.symbol)
    except NotFound as exc:
        return ProtectionPlan(None, reason=exc.message.rstrip("."))
    return plan_protection(
        guards_of(position),
        held=position.quantity,
        market=market,
        exchange=exchange,
        abilities=order_abilities(exchange),
    )


def ask_exchange(*, now: datetime) -> int:
    """Let every protection that rests be asked for at its exchange at once; return how many."""
    resting = Trade.objects.filter(
        intent=Trade.Intent.PROTECTION, position__isnull=False, status__in=RESTING_STATUSES, next_check_at__gt=now
    )
    count: int = resting.update(next_check_at=now)
    if count:
        events.wake_executor()
    return count


def _compare(position: Position, plan: ProtectionPlan, legs: Sequence[Trade], *, now: datetime) -> Outcome:
    if not legs or any(leg.filled_quantity for leg in legs):
        return Outcome.WAITING  # it executes: what is held follows
    if _covered(legs) == plan.quantity and _holds_kind(plan, legs):
        return Outcome.HELD
    unsettled = (OrderStatus.SENDING.value, OrderStatus.UNKNOWN.value)
    if any(leg.status in unsettled for leg in legs) or _cancels(legs):
        return Outcome.WAITING
    if _covered(legs) < plan.quantity and _still_filling(position) and not _is_settled(legs, now=now):
        return Outcome.WAITING
    cancellations.cancel_each([leg.id for leg in legs], now=now)
    return Outcome.CANCELLED


def _covered(legs: Sequence[Trade]) -> Decimal:
    """Return the quantity that the live legs sell: the two of a pair count once."""
    by_pair = {leg.link_id or str(leg.id): leg.quantity for leg in legs}
    return sum(by_pair.values(), Decimal(0))


def _holds_kind(plan: ProtectionPlan, legs: Sequence[Trade]) -> bool:
    """Tell whether what should rest does: of a pair, its stop loss alone when the take profit was refused."""
    kinds = {OrderType(leg.type) for leg in legs}
    if plan.kind is not OrderType.OCO:
        return kinds == {plan.kind}
    if kinds != {OrderType.STOP_LOSS}:
        return OrderType.STOP_LOSS in kinds
    refused = Trade.objects.filter(link_id__in=_links(legs), status=OrderStatus.REJECTED)
    return bool(refused.exists())


def _cancels(legs: Sequence[Trade]) -> bool:
    wishes = OrderCommand.objects.filter(trade__in=legs, kind=OrderCommand.Kind.CANCEL, status__in=LIVE_COMMANDS)
    return bool(wishes.exists())


def _still_filling(position: Position) -> bool:
    live = selectors.live_orders(broker_id=position.broker_id, symbol=position.symbol, owner=position.owner)
    return bool(live.filter(side=Side.BUY.value).exists())


def _is_settled(legs: Sequence[Trade], *, now: datetime) -> bool:
    return all(leg.acknowledged_at is not None and leg.acknowledged_at + _GROWS_AFTER <= now for leg in legs)


def _end(legs: Sequence[Trade], *, now: datetime) -> Outcome:
    """Cancel what still rests for a position that is closed; a pair of which one leg executed ends by itself."""
    executed = set(Trade.objects.filter(link_id__in=_links(legs), filled_quantity__gt=0).values_list("link_id"))
    stray = [leg.id for leg in legs if not leg.filled_quantity and (leg.link_id,) not in executed]
    if not stray or _cancels(legs) or Trade.objects.filter(id__in=stray, status=OrderStatus.UNKNOWN).exists():
        return Outcome.WAITING if stray else Outcome.NOTHING
    cancellations.cancel_each(stray, now=now)
    return Outcome.CANCELLED


def _links(legs: Sequence[Trade]) -> list[str]:
    return [leg.link_id for leg in legs if leg.link_id]


def _place(position: Position, plan: ProtectionPlan, *, now: datetime) -> Outcome:
    if plan.kind is None:
        return Outcome.WATCHED if plan.reason else Outcome.NOTHING
    if _is_being_sold(position):
        return Outcome.WAITING
    failed = _in_vain(position)
    refused = [trade for trade in failed if trade.status == OrderStatus.REJECTED]
    if len(refused) >= _SOLD_AFTER:
        return _give_up(position, refused[0], now=now)
    if failed and now < (failed[0].closed_at or now) + _BACK_OFF[min(len(failed), len(_BACK_OFF)) - 1]:
        return Outcome.WAITING
    price = position.entry_price if position.current_price is None else position.current_price
    side = reached(guards_of(position), price)
    if side is not None:  # beyond it already: an exchange takes no such trigger
        return _leave(position, side, price=price, now=now)
    try:
        _submit(position, plan, price=price, now=now)
    except InvalidInput:
        return Outcome.WATCHED  # the terms are those of the plan: what remains is a market that is closed
    return Outcome.PLACED


def _is_being_sold(position: Position) -> bool:
    """A sale that nobody placed for protection locks what is held: a bot's exit, or an order made by hand."""
    live = selectors.live_orders(broker_id=position.broker_id, symbol=position.symbol, owner=position.owner)
    return bool(live.filter(side=Side.SELL.value).exists())


def _in_vain(position: Position) -> list[Trade]:
    """Return the latest attempts that came to nothing, newest first, a pair counted once."""
    rows = Trade.objects.filter(position=position, intent=Trade.Intent.PROTECTION).order_by("-id")[:_COUNTED]
    failed = list(takewhile(_failed, rows))
    return list({trade.link_id or str(trade.id): trade for trade in failed}.values())


def _failed(trade: Trade) -> bool:
    expired = trade.status == OrderStatus.EXPIRED and trade.error_code != ""
    return not trade.filled_quantity and bool(trade.status == OrderStatus.REJECTED or expired)


def _submit(position: Position, plan: ProtectionPlan, *, price: Decimal, now: datetime) -> None:
    exchange = position.broker.exchange
    market = market_for(exchange, position.symbol)
    context = ownership.context_for(
        position, intent=Trade.Intent.PROTECTION, now=now, market_time=market_now(exchange, now=now)
    )
    kind = plan.kind or OrderType.STOP_LOSS
    request = OrderRequest(position.symbol, Side.SELL, kind, quantity=plan.quantity)
    if kind is OrderType.OCO:
        request = replace(request, stop_loss=position.stop_loss, take_profit=position.take_profit)
        desk.submit_pair(context, request, market=market, reference_price=price, record_refusal=False)
        return
    trigger = position.stop_loss if kind is OrderType.STOP_LOSS else position.take_profit
    request = replace(request, stop_price=trigger)
    desk.submit(context, request, market=market, reference_price=price, record_refusal=False)


def _give_up(position: Position, refused: Trade, *, now: datetime) -> Outcome:
    message = (
        f"Position sans protection ({position.symbol}, {events.amount(position.quantity)}) : l'exchange refuse "
        f"le stop loss ou le take profit ; la position est vendue au marché. Cause : {refused.error_message}"
    )
    events.alert(refused, code="protection_refused", message=message)
    price = position.entry_price if position.current_price is None else position.current_price
    return _leave(position, closing.UNPROTECTED, price=price, now=now)


def _leave(position: Position, reason: str, *, price: Decimal, now: datetime) -> Outcome:
    try:
        closing.begin(
            position.id,
            reason=reason,
            price=price,
            now=now,
            market_time=market_now(position.broker.exchange, now=now),
        )
    except InvalidInput:
        return Outcome.WAITING  # the refused sale is kept as a row; it is tried again
    return Outcome.LEFT
