"""The queue that the tables are: what is due, and claims by conditional update (zero rows: somebody else won).

Synchronous; each function is one short transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from apps.orders import ledger
from apps.orders.models import OrderCommand, Trade
from apps.orders.selectors import LIVE_STATUSES, RESTING_STATUSES
from domain.orders import OrderStatus, OrderTicket, OrderType, Side

Key = tuple[int, str]  # broker, symbol: orders of one key leave one after the other

_LIVE_COMMANDS = (OrderCommand.Status.PENDING, OrderCommand.Status.CLAIMED)


@dataclass(frozen=True, slots=True)
class Claimed:
    """An order that this process alone may send, once."""

    trade_id: int
    ticket: OrderTicket
    valid_until: datetime


@dataclass(frozen=True, slots=True)
class Followed:
    """An order whose state at the exchange is to be asked."""

    trade_id: int
    broker_id: int
    symbol: str
    client_order_id: str
    exchange_order_id: str
    status: OrderStatus
    quantity: Decimal
    filled_quantity: Decimal
    absent_after: datetime | None
    sending_at: datetime | None
    market_time: datetime | None
    check_count: int


@dataclass(frozen=True, slots=True)
class Survey:
    """What is to be done now."""

    sendable: Sequence[Key]
    followed: Sequence[Followed]
    commands: Sequence[tuple[int, int]]  # broker, command


def survey(now: datetime) -> Survey:
    """Close what was not sent in time and tell what is due."""
    overdue = Trade.objects.filter(status=OrderStatus.PENDING, valid_until__lte=now)
    for trade_id in list(overdue.order_by("id").values_list("id", flat=True)):
        ledger.mark_expired(trade_id, now=now)
    pending = _sendable(now).order_by("id").values_list("broker_id", "symbol")
    due = Trade.objects.filter(status__in=(*RESTING_STATUSES, OrderStatus.UNKNOWN.value))
    due = due.filter(Q(next_check_at__isnull=True) | Q(next_check_at__lte=now)).order_by("id")
    return Survey(
        sendable=list(dict.fromkeys(pending)),
        followed=[_followed(trade) for trade in due],
        commands=list(_due_commands(now).order_by("id").values_list("trade__broker_id", "id")),
    )


def claim_next(broker_id: int, symbol: str, *, now: datetime) -> Claimed | None:
    """Claim the oldest sendable order of a key (`pending` → `sending`), or None."""
    for trade in _sendable(now).filter(broker_id=broker_id, symbol=symbol).order_by("id")[:1]:
        waiting = _sendable(now).filter(id=trade.id)
        if waiting.update(status=OrderStatus.SENDING.value, sending_at=now, updated_at=now):
            return Claimed(trade_id=trade.id, ticket=_ticket(trade), valid_until=trade.valid_until)
    return None


def oldest_pending(broker_id: int, symbol: str) -> int | None:
    """Return the id of the oldest order of a key that waits to be sent."""
    waiting = Trade.objects.filter(broker_id=broker_id, symbol=symbol, status=OrderStatus.PENDING)
    found: int | None = waiting.order_by("id").values_list("id", flat=True).first()
    return found


def postpone(trade_id: int, *, until: datetime) -> None:
    """Note a look-up without news and when the next is due."""
    live = Trade.objects.filter(id=trade_id, status__in=LIVE_STATUSES)
    live.update(next_check_at=until, check_count=F("check_count") + 1)


def look_up(trade_id: int) -> Followed | None:
    """Return what a look-up needs to know of an order, or None when it is gone."""
    trade = Trade.objects.filter(id=trade_id).first()
    return None if trade is None else _followed(trade)


@transaction.atomic
def claim_command(command_id: int, *, now: datetime) -> Followed | None:
    """Claim a cancellation and return its order, or None when nothing is left to ask of the exchange."""
    command = OrderCommand.objects.filter(id=command_id).first()
    trade = None if command is None else Trade.objects.select_for_update().filter(id=command.trade_id).first()
    if command is None or trade is None:
        return None
    if trade.status == OrderStatus.PENDING:  # it came back without having been executed
        ledger.cancel_pending(trade, now=now)
    if OrderStatus(trade.status).is_final:
        finish_command(command_id, now=now)
        return None
    waiting = OrderCommand.objects.filter(id=command_id, status=OrderCommand.Status.PENDING)
    claimed = waiting.update(status=OrderCommand.Status.CLAIMED, claimed_at=now, attempts=F("attempts") + 1)
    return _followed(trade) if claimed else None


def finish_command(command_id: int, *, now: datetime, error: str = "") -> None:
    """Close a command: done, or failed when the order could not be cancelled any more."""
    command = OrderCommand.objects.select_related("trade").filter(id=command_id).first()
    if command is None:
        return
    if not error and command.trade.status == OrderStatus.FILLED:
        error = f"Annulation sans effet : l'ordre {command.trade.client_order_id} était déjà entièrement exécuté."
    command.status = OrderCommand.Status.FAILED if error else OrderCommand.Status.DONE
    command.error_message, command.done_at = error, now
    command.save()


def release_command(command_id: int, *, until: datetime) -> None:
    """Put a command back: cancelling is repeatable."""
    claimed = OrderCommand.objects.filter(id=command_id, status=OrderCommand.Status.CLAIMED)
    claimed.update(status=OrderCommand.Status.PENDING, next_attempt_at=until)


def attempts(command_id: int) -> int:
    """Return how often a command was tried."""
    found: int | None = OrderCommand.objects.filter(id=command_id).values_list("attempts", flat=True).first()
    return found or 0


def retry_delay(delays: Sequence[timedelta], count: int) -> timedelta:
    """Return the back-off after `count` attempts without an answer; the last delay repeats."""
    return delays[min(count, len(delays) - 1)]


def _sendable(now: datetime) -> "QuerySet[Trade]":
    cancelled = OrderCommand.objects.filter(trade=OuterRef("pk"), status__in=_LIVE_COMMANDS)
    pending = Trade.objects.filter(status=OrderStatus.PENDING.value, valid_until__gt=now)
    return pending.filter(Q(next_check_at__isnull=True) | Q(next_check_at__lte=now), ~Exists(cancelled))


def _due_commands(now: datetime) -> "QuerySet[OrderCommand]":
    unsure = [OrderStatus.SENDING.value, OrderStatus.UNKNOWN.value]
    waiting = OrderCommand.objects.filter(status=OrderCommand.Status.PENDING, kind=OrderCommand.Kind.CANCEL)
    due = waiting.filter(Q(next_attempt_at__isnull=True) | Q(next_attempt_at__lte=now))
    return due.exclude(trade__status__in=unsure)  # what may not exist cannot be cancelled yet


def _ticket(trade: Trade) -> OrderTicket:
    return OrderTicket(
        client_order_id=trade.client_order_id,
        symbol=trade.symbol,
        side=Side(trade.side),
        order_type=OrderType(trade.type),
        quantity=_plain(trade.quantity),
        price=None if trade.price is None else _plain(trade.price),
        stop_price=None if trade.stop_price is None else _plain(trade.stop_price),
    )


def _plain(value: Decimal) -> Decimal:
    """Drop the table's trailing zeros: exchanges refuse more decimals than their step has."""
    return Decimal(f"{value.normalize():f}")


def _followed(trade: Trade) -> Followed:
    return Followed(
        trade_id=trade.id,
        broker_id=trade.broker_id,
        symbol=trade.symbol,
        client_order_id=trade.client_order_id,
        exchange_order_id=trade.exchange_order_id,
        status=OrderStatus(trade.status),
        quantity=trade.quantity,
        filled_quantity=trade.filled_quantity,
        absent_after=trade.absent_after,
        sending_at=trade.sending_at,
        market_time=trade.market_time,
        check_count=trade.check_count,
    )
