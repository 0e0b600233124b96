"""The queue that the tables are: what is due, and claims by conditional update (zero rows: somebody else won).

Synchronous; each function is one short transaction.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.db.models import F

from apps.orders import events, ledger, order_state
from apps.orders.models import OrderCommand, Trade
from apps.orders.selectors import LIVE_STATUSES, RESTING_STATUSES
from domain.order_abilities import PairMode
from domain.orders import OrderHandle, OrderSource, OrderStatus, OrderTicket, OrderType, PairTicket, Side

Key = tuple[int, str, str]  # broker, symbol, owner: orders of one key leave one after the other


@dataclass(frozen=True, slots=True)
class Leg:
    """One of the orders of a request."""

    trade_id: int
    ticket: OrderTicket


@dataclass(frozen=True, slots=True)
class Claimed:
    """What this process alone may send, once: one order, or the stop loss and the take profit of an OCO."""

    legs: tuple[Leg, ...]
    valid_until: datetime
    key: Key
    link_id: str = ""
    trace_id: str = ""
    user_id: int | None = None
    by: str | None = None  # the process that claimed it; None: by the command that replaces another order

    @property
    def trade_ids(self) -> list[int]:
        return [leg.trade_id for leg in self.legs]

    @property
    def pair(self) -> PairTicket | None:
        """Return the two tickets of an OCO, None for a single order."""
        if len(self.legs) == 1:
            return None
        stop_loss, take_profit = (leg.ticket for leg in self.legs)
        return PairTicket(link_id=self.link_id, stop_loss=stop_loss, take_profit=take_profit)


@dataclass(frozen=True, slots=True)
class Followed:
    """An order whose state at the exchange is to be asked."""

    trade_id: int
    broker_id: int
    symbol: str
    client_order_id: str
    exchange_order_id: str
    order_type: OrderType
    status: OrderStatus
    quantity: Decimal
    quote_amount: Decimal | None
    filled_quantity: Decimal
    absent_after: datetime | None
    sending_at: datetime | None
    market_time: datetime | None
    check_count: int
    link_id: str = ""
    is_external: bool = False
    trace_id: str = ""
    user_id: int | None = None

    @property
    def handle(self) -> OrderHandle:
        """What names it at the exchange: an order placed elsewhere bears no client id of ours there."""
        return OrderHandle(
            symbol=self.symbol,
            client_order_id="" if self.is_external else self.client_order_id,
            exchange_order_id=self.exchange_order_id or None,
            order_type=self.order_type,
            link_id=self.link_id,
        )


@dataclass(frozen=True, slots=True)
class Survey:
    """What is to be done now."""

    sendable: Sequence[Key]  # one for each waiting order, oldest first
    followed: Sequence[Followed]
    commands: Sequence[tuple[int, int]]  # cancellations: broker, command
    amends: Sequence[tuple[Key, int]]  # changes: key, command
    claimed: Sequence[Key]  # of orders claimed long ago, by whomever


# Written out: this is the path from a signal to its order, where building a query costs more than running it.
_SENDABLE = """t.status = 'pending' AND t.valid_until > %(now)s
    AND (t.next_check_at IS NULL OR t.next_check_at <= %(now)s)
    AND NOT EXISTS (
        SELECT 1 FROM order_commands c
        WHERE c.trade_id = t.id AND c.kind = 'cancel' AND c.status IN ('pending', 'claimed'))
    -- The legs of an OCO leave in one request, led by the stop loss; linked ones one after the other.
    AND (t.link_mode <> 'oco' OR t.type = 'stop_loss' AND EXISTS (
        SELECT 1 FROM trades o WHERE o.link_id = t.link_id AND o.id <> t.id AND o.status = 'pending'))
    AND (t.link_mode <> 'linked' OR t.type = 'stop_loss' OR EXISTS (
        SELECT 1 FROM trades o WHERE o.link_id = t.link_id AND o.id <> t.id AND o.status = 'open'))
    -- What replaces another order leaves by that order's own command as long as it lives.
    AND (t.replaces_id IS NULL OR NOT EXISTS (
        SELECT 1 FROM order_commands c
        WHERE c.trade_id = t.replaces_id AND c.kind = 'amend' AND c.status IN ('pending', 'claimed')))"""

_DUE = f"""
    SELECT 'overdue', t.id, t.broker_id, t.symbol, t.owner FROM trades t
    WHERE t.status = 'pending' AND t.valid_until <= %(now)s
    UNION ALL
    SELECT 'send', t.id, t.broker_id, t.symbol, t.owner FROM trades t WHERE {_SENDABLE}
    UNION ALL
    SELECT 'claimed', t.id, t.broker_id, t.symbol, t.owner FROM trades t
    WHERE t.status = 'sending' AND t.sending_at <= %(stray)s
    UNION ALL
    SELECT 'follow', t.id, t.broker_id, t.symbol, t.owner FROM trades t
    WHERE t.status IN ('open', 'partially_filled', 'unknown')
        AND (t.next_check_at IS NULL OR t.next_check_at <= %(now)s)
    UNION ALL
    -- What may not exist at the exchange cannot be cancelled there yet.
    SELECT 'command', c.id, t.broker_id, t.symbol, t.owner FROM order_commands c JOIN trades t ON t.id = c.trade_id
    WHERE c.status = 'pending' AND c.kind = 'cancel' AND t.status NOT IN ('sending', 'unknown')
        AND (c.next_attempt_at IS NULL OR c.next_attempt_at <= %(now)s)
    UNION ALL
    SELECT 'amend', c.id, t.broker_id, t.symbol, t.owner FROM order_commands c JOIN trades t ON t.id = c.trade_id
    WHERE c.status = 'pending' AND c.kind = 'amend' AND (c.next_attempt_at IS NULL OR c.next_attempt_at <= %(now)s)
    ORDER BY 2
"""  # noqa: S608 — constants only

# The oldest order of each key that has none on its way. Whoever changes a leg holds both rows, the stop loss's
# first: the update never waits for the other one in vain.
_CLAIM = f"""
    WITH next AS MATERIALIZED (
        SELECT t.id, t.link_id, t.link_mode FROM trades t
        WHERE t.status = 'pending' AND (%(lease)s = '' OR EXISTS (
            SELECT 1 FROM sender_lease WHERE holder = %(lease)s))
        AND t.id IN (
            SELECT DISTINCT ON (t.symbol, t.owner) t.id FROM trades t
            WHERE t.broker_id = %(broker)s AND {_SENDABLE}
                AND (t.symbol, t.owner) NOT IN (SELECT * FROM unnest(%(symbols)s::text[], %(owners)s::text[]))
            ORDER BY t.symbol, t.owner, t.id)
        ORDER BY t.id FOR UPDATE SKIP LOCKED)
    UPDATE trades SET status = 'sending', sending_at = %(now)s, claimed_by = %(by)s, updated_at = %(now)s
    WHERE status = 'pending' AND id IN (
        SELECT next.id FROM next
        UNION ALL
        SELECT o.id FROM trades o JOIN next ON o.link_id = next.link_id
        WHERE next.link_mode = 'oco' AND o.link_id <> '' AND o.id <> next.id)
    RETURNING id, valid_until, link_id, link_mode, owner, trace_id, user_id, client_order_id, symbol, side, type,
        quantity, price, stop_price, quote_amount
"""  # noqa: S608 — constants only


def survey(now: datetime, *, stray_after: timedelta) -> Survey:
    """Close what was not sent in time and tell what is due."""
    with connection.cursor() as cursor:
        cursor.execute(_DUE, {"now": now, "stray": now - stray_after})
        due: dict[str, list[tuple[int, Key]]] = defaultdict(list)
        for kind, row_id, *key in cursor.fetchall():
            due[kind].append((row_id, tuple(key)))
    for trade_id, _ in due["overdue"]:
        ledger.mark_expired(trade_id, now=now)
    due_ids = [trade_id for trade_id, _ in due["follow"]]
    return Survey(
        sendable=[key for _, key in due["send"]],
        followed=[followed(trade) for trade in Trade.objects.filter(id__in=due_ids)] if due_ids else [],
        commands=[(key[0], command_id) for command_id, key in due["command"]],
        amends=[(key, command_id) for command_id, key in due["amend"]],
        claimed=[key for _, key in due["claimed"]],
    )


def claim_all(broker_id: int, *, busy: Iterable[Key], by: str, lease: str, now: datetime) -> list[Claimed]:
    """Claim (`pending` → `sending`) the oldest sendable order of each key of a broker; both legs of an OCO.

    Nothing is claimed by a process that was replaced and does not know it yet, whatever its clocks say.

    Args:
        busy: keys that have an order on its way: their next one waits.
        by: the process that claims.
        lease: its mark in the lease's row; "" where there is none.
    """
    taken = [(symbol, owner) for _, symbol, owner in busy]
    terms = {
        "now": now,
        "by": by,
        "lease": lease,
        "broker": broker_id,
        "symbols": [symbol for symbol, _ in taken],
        "owners": [owner for _, owner in taken],
    }
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, terms)
        rows = sorted(cursor.fetchall())  # by id: the stop loss of an OCO is the older row
    requests: dict[object, list[tuple[Any, ...]]] = defaultdict(list)
    for row in rows:
        trade_id, _, link_id, link_mode, *_ = row
        requests[link_id if link_mode == PairMode.OCO else trade_id].append(row)
    return [_claimed(broker_id, legs, by=by) for legs in requests.values()]


def _claimed(broker_id: int, rows: Sequence[tuple[Any, ...]], *, by: str) -> Claimed:
    trade_id, valid_until, link_id, link_mode, owner, trace_id, user_id, _, symbol, *_ = rows[0]
    if (link_mode == PairMode.OCO) != (len(rows) > 1):
        raise ValueError(f"order {trade_id} was claimed without the other leg of its pair")
    legs = tuple(Leg(trade_id=row[0], ticket=_ticket(*row[7:])) for row in rows)
    key = (broker_id, symbol, owner)
    return Claimed(
        legs=legs, valid_until=valid_until, key=key, link_id=link_id, trace_id=trace_id, user_id=user_id, by=by
    )


def ticket_of(trade: Trade) -> OrderTicket:
    """Return what is sent of an order's row."""
    amounts = (trade.quantity, trade.price, trade.stop_price, trade.quote_amount)
    return _ticket(trade.client_order_id, trade.symbol, trade.side, trade.type, *amounts)


def _ticket(
    client_order_id: str,
    symbol: str,
    side: str,
    kind: str,
    quantity: Decimal,
    price: Decimal | None,
    stop_price: Decimal | None,
    quote_amount: Decimal | None,
) -> OrderTicket:
    return OrderTicket(
        client_order_id=client_order_id,
        symbol=symbol,
        side=Side(side),
        order_type=OrderType(kind),
        quantity=_plain(quantity),
        price=None if price is None else _plain(price),
        stop_price=None if stop_price is None else _plain(stop_price),
        quote_amount=None if quote_amount is None else _plain(quote_amount),
    )


def oldest_pending(broker_id: int) -> int | None:
    """Return the id of the oldest order of a broker that waits to be sent."""
    waiting = Trade.objects.filter(broker_id=broker_id, status=OrderStatus.PENDING)
    found: int | None = waiting.order_by("id").values_list("id", flat=True).first()
    return found


def postpone(trade_id: int, *, until: datetime) -> None:
    """Note a look-up without news and when the next is due."""
    live = Trade.objects.filter(id=trade_id, status__in=LIVE_STATUSES)
    live.update(next_check_at=until, check_count=F("check_count") + 1)


def check_now(broker_id: int, *, now: datetime) -> int:
    """Let everything of a broker that rests or is unknown be asked for at once; return how many."""
    wanted = (*RESTING_STATUSES, OrderStatus.UNKNOWN.value)
    due: int = Trade.objects.filter(broker_id=broker_id, status__in=wanted).update(next_check_at=now)
    return due


def look_up(trade_id: int) -> Followed | None:
    """Return what a look-up needs to know of an order, or None when it is gone."""
    trade = Trade.objects.filter(id=trade_id).first()
    return None if trade is None else followed(trade)


@transaction.atomic
def claim_command(command_id: int, *, now: datetime) -> Followed | None:
    """Claim a cancellation and return its order, or None when nothing is left to ask of the exchange."""
    command = OrderCommand.objects.filter(id=command_id).first()
    if command is None:
        return None
    trade = order_state.locked(command.trade_id)
    if trade.status == OrderStatus.PENDING:  # it came back without having been executed
        ledger.cancel_pending(trade, now=now)
    if OrderStatus(trade.status).is_final:
        finish_command(command_id, now=now)
        return None
    waiting = OrderCommand.objects.filter(id=command_id, status=OrderCommand.Status.PENDING)
    claimed = waiting.update(status=OrderCommand.Status.CLAIMED, claimed_at=now, attempts=F("attempts") + 1)
    return followed(trade) if claimed else None


@transaction.atomic
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
    events.command_ended(command)


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


def _plain(value: Decimal) -> Decimal:
    """Drop the table's trailing zeros: exchanges refuse more decimals than their step has."""
    return Decimal(f"{value.normalize():f}")


def followed(trade: Trade) -> Followed:
    """Return what a look-up needs to know of an order."""
    return Followed(
        trade_id=trade.id,
        broker_id=trade.broker_id,
        symbol=trade.symbol,
        client_order_id=trade.client_order_id,
        exchange_order_id=trade.exchange_order_id,
        order_type=OrderType(trade.type),
        status=OrderStatus(trade.status),
        quantity=trade.quantity,
        quote_amount=trade.quote_amount,
        filled_quantity=trade.filled_quantity,
        absent_after=trade.absent_after,
        sending_at=trade.sending_at,
        market_time=trade.market_time,
        check_count=trade.check_count,
        link_id=trade.link_id,
        is_external=trade.source == OrderSource.EXTERNAL,
        trace_id=trade.trace_id,
        user_id=trade.user_id,
    )
