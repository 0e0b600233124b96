"""The only writer of what an exchange says: trades' state, fills and positions.

Every function holds the order's row lock (and its pair's) for one short transaction and may be called again
with the same facts: nothing changes the second time. A status moves along `domain.orders.TRANSITIONS` only,
the filled quantity never decreases, and a final status waits until the fills known add up to what was reported.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection, transaction

from apps.core.tracing import current_trace
from apps.orders import events, order_state, pair_book
from apps.orders.models import Fill, Position, Trade
from apps.orders.order_state import locked, locked_pair, log_state, twin_of
from apps.orders.position_book import fill_report, tell_positions, update_positions
from domain.errors import AristobotError, InvalidInput
from domain.markets import split_symbol
from domain.orders import OrderReport, OrderStatus, Side, may_become
from domain.positions import Execution, average, fee_total, stored


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a report. `fills_missing`: fetch the order's fills and apply again."""

    status: OrderStatus
    changed: bool
    fills_missing: bool


@transaction.atomic
def apply_report(
    trade_id: int, report: OrderReport, *, now: datetime, check_after: timedelta = timedelta(seconds=2)
) -> Applied:
    """Apply what the exchange says of an order.

    Args:
        now: wall time.
        check_after: when an order that stays open is looked up again.

    Raises:
        NotFound: the order was deleted with its user.
        InvalidInput: the report is not about this order, or contradicts it.
    """
    trade, twin = locked_pair(trade_id)
    _check_same_order(trade, report)
    before, needs_nothing = _facts(trade), _is_settled(trade)
    fills = list(trade.fills.all())
    new = _new_fills(trade, report, known=fills)
    known = _fold_fills(trade, report, [*fills, *new])
    _acknowledge(trade, report, now=now)
    became_final = _move(trade, _reported_status(trade, report, known), now=now)
    moved = update_positions(trade, new) if new or became_final else ()
    changed = bool(new) or _facts(trade) != before
    if needs_nothing and not changed:  # most of what streams tell is known from the reply
        return Applied(OrderStatus(trade.status), changed, fills_missing=known < trade.filled_quantity)
    trade.check_count = 0 if changed else trade.check_count + 1
    trade.next_check_at = None if OrderStatus(trade.status).is_final else now + check_after
    trade.save()
    told = tell_positions(trade, moved)
    if changed:
        events.trade_changed(trade, told=told)
        log_state(trade)
        pair_book.follow(trade, twin, now=now)
    return Applied(OrderStatus(trade.status), changed, fills_missing=known < trade.filled_quantity)


@transaction.atomic
def apply_rejection(trade_id: int, error: AristobotError, *, now: datetime) -> OrderStatus:
    """Close an order that the exchange refused: it does not exist there."""
    trade = locked(trade_id)
    return _finish(trade, OrderStatus.REJECTED, code=error.error_code, message=error.message, now=now)


@transaction.atomic
def mark_unknown(trade_id: int, *, reason: str, absent_after: datetime, now: datetime) -> OrderStatus:
    """Note that nobody knows whether a sent order exists; it is looked up from now on.

    Args:
        absent_after: wall time before which "not found" proves nothing.
    """
    trade = locked(trade_id)
    if not may_become(OrderStatus(trade.status), OrderStatus.UNKNOWN):
        return OrderStatus(trade.status)
    trade.status = OrderStatus.UNKNOWN.value
    trade.error_code, trade.error_message = "order_outcome_unknown", reason
    trade.absent_after, trade.next_check_at, trade.check_count = absent_after, now, 0
    trade.save()
    events.trade_changed(trade)
    message = (
        f"Ordre {trade.side} {events.amount(trade.quantity)} {trade.symbol} : issue inconnue, recherche par son "
        f"identifiant {trade.client_order_id} ; {trade.symbol} est bloqué jusqu'à la réponse. Cause : {reason}"
    )
    events.alert(trade, code="order_unknown", message=message)
    log_state(trade)
    return OrderStatus.UNKNOWN


@transaction.atomic
def mark_not_executed(
    trade_id: int, error: AristobotError, *, by: str | None, now: datetime, retry_at: datetime
) -> OrderStatus:
    """Put back an order that certainly was not executed; past its validity it expires instead.

    Args:
        by: whose claim came to nothing; another one's claim of the same order is left alone.
    """
    trade = locked(trade_id)
    if trade.claimed_by != by:
        return OrderStatus(trade.status)
    if retry_at >= trade.valid_until:
        message = f"Ordre abandonné : l'exchange ne l'a pas pris à temps. Dernière cause : {error.message}"
        return _finish(trade, OrderStatus.EXPIRED, code=error.error_code, message=message, now=now)
    if may_become(OrderStatus(trade.status), OrderStatus.PENDING):
        trade.status = OrderStatus.PENDING.value
        trade.sending_at, trade.claimed_by, trade.next_check_at = None, None, retry_at
        trade.error_code, trade.error_message = error.error_code, error.message
        trade.save()
        events.trade_changed(trade)
        log_state(trade)
    return OrderStatus(trade.status)


@transaction.atomic
def mark_expired(trade_id: int, *, now: datetime) -> OrderStatus:
    """Close an order that never left before its deadline."""
    trade = locked(trade_id)
    if trade.status not in (OrderStatus.PENDING, OrderStatus.SENDING):
        return OrderStatus(trade.status)
    cause = f" Dernière cause : {trade.error_message}" if trade.error_message else ""
    message = f"Ordre jamais envoyé : délai dépassé le {trade.valid_until:%Y-%m-%d à %H:%M:%S} UTC.{cause}"
    return _finish(trade, OrderStatus.EXPIRED, code="order_expired", message=message, now=now)


@transaction.atomic
def mark_gone(trade_id: int, *, now: datetime) -> OrderStatus:
    """Close an order placed outside Aristobot that its exchange does not know any more."""
    trade = locked(trade_id)
    message = (
        f"Ordre externe n° {trade.exchange_order_id} introuvable chez l'exchange : il n'est plus suivi. "
        "Les clés du broker sont peut-être celles d'un autre compte."
    )
    return _finish(trade, OrderStatus.EXPIRED, code="order_gone", message=message, now=now)


@transaction.atomic
def mark_absent(trade_id: int, *, now: datetime) -> OrderStatus:
    """Close an unknown order of which it is proven that the exchange never took it."""
    trade = locked(trade_id)
    if trade.status != OrderStatus.UNKNOWN:
        return OrderStatus(trade.status)
    message = (
        f"Ordre absent de l'exchange : introuvable par son identifiant {trade.client_order_id}, parmi les ordres "
        f"ouverts et parmi les exécutions récentes. Il n'a pas été exécuté. Cause d'origine : {trade.error_message}"
    )
    status = _finish(trade, OrderStatus.EXPIRED, code="order_absent", message=message, now=now)
    events.alert(trade, code="order_absent", message=message)
    return status


@transaction.atomic
def together(change: Callable[..., OrderStatus], trade_ids: Iterable[int], *args: Any, **kwargs: Any) -> None:
    """Make the same change to several orders, all of them or none (the legs of one request)."""
    for trade_id in sorted(trade_ids):
        change(trade_id, *args, **kwargs)


def cancel_pending(trade: Trade, *, now: datetime) -> Trade:
    """Cancel an order that nobody has claimed; the caller holds its row lock."""
    _finish(trade, OrderStatus.CANCELLED, code="", message="", now=now)
    return trade


@transaction.atomic
def update_mark(position_id: int, price: Decimal) -> Position | None:
    """Value a live position at `price`; return it, or None when it is closed or gone."""
    position: Position | None = Position.objects.select_for_update().filter(id=position_id).first()
    if position is None or position.status == Position.Status.CLOSED:
        return None
    position.current_price = price
    position.unrealized_pnl = stored(position.quantity * (price - position.entry_price))
    position.save(update_fields=["current_price", "unrealized_pnl", "updated_at"])
    events.position_changed(position)
    return position


@transaction.atomic
def mark_closing(position_id: int, *, reason: str) -> bool:
    """Note that a position is being left; False when it is already being left, closed or gone."""
    rows = Position.objects.select_for_update().filter(id=position_id, status=Position.Status.OPEN)
    position = rows.first()
    if position is None:
        return False
    position.status, position.closing_reason = Position.Status.CLOSING, reason[:64]
    position.closing_trace = current_trace()
    position.save(update_fields=["status", "closing_reason", "closing_trace", "updated_at"])
    events.position_changed(position)
    return True


def mark_all_closing(traced: Sequence[tuple[Position, str]], *, reason: str, now: datetime) -> None:
    """Note that positions without any live order are being left; the caller holds their owners' locks.

    Args:
        traced: each with the trace of who wants out.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE positions p SET status = 'closing', closing_reason = %s, closing_trace = v.trace,"
            " updated_at = %s FROM unnest(%s::bigint[], %s::text[]) AS v(id, trace)"
            " WHERE p.id = v.id AND p.status = 'open'",
            [reason[:64], now, [position.id for position, _ in traced], [trace for _, trace in traced]],
        )
    for position, trace in traced:
        position.status, position.closing_reason = Position.Status.CLOSING, reason[:64]
        position.closing_trace = trace
        events.position_changed(position, legs=())


@transaction.atomic
def write_off(position_id: int, *, reason: str, now: datetime) -> bool:
    """Close a position that the account does not hold any more: it was sold where we did not see it.

    Args:
        now: market time.

    Returns:
        False when it is closed already, or gone.
    """
    position = Position.objects.select_for_update().filter(id=position_id).exclude(status=Position.Status.CLOSED)
    row = position.first()
    if row is None:
        return False
    row.status, row.closing_reason, row.closed_at = Position.Status.CLOSED, reason[:64], now
    row.quantity, row.unrealized_pnl = Decimal(0), None
    row.save(update_fields=["status", "closing_reason", "closed_at", "quantity", "unrealized_pnl", "updated_at"])
    events.position_changed(row)
    events.wake_executor()
    return True


@transaction.atomic
def give_up_protection(position_id: int) -> None:
    """Forget the stop loss and take profit of a position that stays open."""
    position = Position.objects.select_for_update().filter(id=position_id, status=Position.Status.OPEN).first()
    if position is None:
        return
    position.stop_loss = position.take_profit = None
    position.save(update_fields=["stop_loss", "take_profit", "updated_at"])
    events.position_changed(position)


def _check_same_order(trade: Trade, report: OrderReport) -> None:
    same_client_id = report.client_order_id in (None, "", trade.client_order_id)
    same_exchange_id = trade.exchange_order_id in ("", report.exchange_order_id)
    if not (same_client_id and same_exchange_id and report.symbol == trade.symbol and report.side == trade.side):
        raise InvalidInput(
            f"Réponse de l'exchange écartée : elle décrit l'ordre {report.exchange_order_id} "
            f"({report.client_order_id}), pas l'ordre {trade.exchange_order_id or '?'} ({trade.client_order_id}).",
            code="inconsistent_report",
        )


def _new_fills(trade: Trade, report: OrderReport, *, known: Sequence[Fill]) -> list[Fill]:
    """Return what the report tells that is not known yet; `update_positions` stores it, with its place."""
    offered = {fill.exchange_trade_id: fill for fill in report.fills}
    ids = {fill.exchange_trade_id for fill in known}
    return [
        Fill(
            trade=trade,
            broker_id=trade.broker_id,
            symbol=trade.symbol,
            exchange_trade_id=fill.exchange_trade_id,
            price=stored(fill.price),
            quantity=stored(fill.quantity),
            fee=stored(fill.fee),
            fee_currency=fill.fee_currency,
            is_maker=fill.is_maker,
            executed_at=fill.executed_at,
        )
        for fill in offered.values()
        if fill.exchange_trade_id not in ids and fill.exchange_order_id in ("", report.exchange_order_id)
    ]


def _fold_fills(trade: Trade, report: OrderReport, rows: Sequence[Fill]) -> Decimal:
    """Set the sums that follow from the fills; return the quantity they account for."""
    fills = [fill_report(row) for row in rows]
    known = sum((fill.quantity for fill in fills), Decimal(0))
    filled = max(trade.filled_quantity, report.filled_quantity, known)
    if filled > trade.quantity and trade.quote_amount is None:
        raise InvalidInput(
            f"Réponse de l'exchange écartée : {filled} exécutés sur l'ordre {trade.client_order_id} "
            f"de {events.amount(trade.quantity)} {trade.symbol}.",
            code="inconsistent_report",
        )
    trade.filled_quantity = filled
    if not fills:
        trade.average_price = trade.average_price or (report.average_price if filled else None)
        return known
    base, quote = split_symbol(trade.symbol)
    executions = [Execution(side=Side(trade.side), fill=fill, ends_order=False) for fill in fills]
    fee, trade.fee_currency = fee_total(executions, base=base, quote=quote)
    trade.fee = stored(fee)
    trade.average_price = average(sum((fill.price * fill.quantity for fill in fills), Decimal(0)), known)
    trade.market_time = max(fill.executed_at for fill in fills)
    return known


def _acknowledge(trade: Trade, report: OrderReport, *, now: datetime) -> None:
    trade.exchange_order_id = trade.exchange_order_id or report.exchange_order_id
    if trade.acknowledged_at is None:
        trade.acknowledged_at = now
        trade.error_code = trade.error_message = ""


def _reported_status(trade: Trade, report: OrderReport, known: Decimal) -> OrderStatus:
    """Return the status that the report proves, given the fills known."""
    if known == trade.quantity and trade.quote_amount is None:
        return OrderStatus.FILLED
    if report.status.is_final and known == report.filled_quantity == trade.filled_quantity:
        return report.status
    if trade.filled_quantity > 0:
        return OrderStatus.PARTIALLY_FILLED
    return OrderStatus.OPEN


def _move(trade: Trade, new: OrderStatus, *, now: datetime) -> bool:
    """Move along the transition table; return whether the order ended by this."""
    current = OrderStatus(trade.status)
    if new is current or not may_become(current, new):
        return False
    trade.status = new.value
    if new.is_final:
        trade.closed_at = now
        if trade.quote_amount is not None and trade.filled_quantity > 0:
            trade.quantity = trade.filled_quantity  # it was an estimate
    return new.is_final


def _finish(trade: Trade, status: OrderStatus, *, code: str, message: str, now: datetime) -> OrderStatus:
    if order_state.finish(trade, status, code=code, message=message, now=now):
        pair_book.follow(trade, twin_of(trade), now=now)
    return OrderStatus(trade.status)


def _is_settled(trade: Trade) -> bool:
    """Tell whether nothing more is expected of an order: a report that changes nothing need not be noted."""
    is_final = OrderStatus(trade.status).is_final
    return is_final and trade.acknowledged_at is not None and trade.next_check_at is None


def _facts(trade: Trade) -> tuple[object, ...]:
    return trade.status, trade.filled_quantity, trade.exchange_order_id, trade.average_price, trade.fee
