"""Reads of the orders room: reservations, orders in the way, positions, lists. Writes nothing."""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from decimal import Decimal

from django.db.models import Exists, OuterRef, Q, QuerySet, Sum

from apps.orders.models import OrderCommand, Position, Trade
from domain.order_abilities import PairMode
from domain.orders import FINAL_STATUSES, OrderStatus

LIVE_STATUSES = tuple(status.value for status in OrderStatus if status not in FINAL_STATUSES)
BOT_OWNER = "bot:"  # how owners that are bots begin
LIVE_COMMANDS = (OrderCommand.Status.PENDING, OrderCommand.Status.CLAIMED)
RESTING_STATUSES = tuple(status.value for status in OrderStatus if status.rests_at_exchange)


def reserved_by_currency(broker_id: int, *, as_of: datetime | None = None) -> dict[str, Decimal]:
    """Return what orders hold of a broker's money, by currency: available = exchange's free − this.

    Args:
        as_of: wall time just before the balance was asked for. With it nothing is counted twice or missed:
            orders that rested at the exchange by then are already out of its `free`, and orders that ended
            since then still count, because that balance did not know it. Without it every live order counts.
            The legs of a linked pair always count: an exchange without OCO locks nothing before a trigger.

    A change that waits counts with what it needs beyond the order it changes.
    """
    held = _held_by_amends(broker_id)  # first: a change that becomes an order meanwhile counts twice, never not
    wanted = Q(status__in=LIVE_STATUSES)
    if as_of is not None:
        linked = Q(link_mode=PairMode.LINKED.value)
        locked_there = Q(status__in=RESTING_STATUSES, acknowledged_at__lt=as_of) & ~linked
        wanted = (wanted & ~locked_there) | (Q(closed_at__gte=as_of) & (Q(filled_quantity__gt=0) | linked))
    rows = (
        Trade.objects.filter(wanted, broker_id=broker_id)
        .exclude(reserved_currency="")
        .values("reserved_currency")
        .annotate(total=Sum("reserved_amount"))
        .order_by()
    )
    for row in rows:
        held[row["reserved_currency"]] += row["total"]
    return dict(held)


def money_moved_since(broker_id: int, as_of: datetime) -> bool:
    """Tell whether orders ended since a balance was asked for: what they set free is not in it."""
    ended = Trade.objects.filter(broker_id=broker_id, closed_at__gte=as_of)
    return ended.exclude(reserved_currency="").exists()


def _held_by_amends(broker_id: int) -> defaultdict[str, Decimal]:
    wishes = OrderCommand.objects.filter(
        kind=OrderCommand.Kind.AMEND, status__in=LIVE_COMMANDS, trade__broker_id=broker_id
    )
    begun = Trade.objects.filter(replaces_id=OuterRef("trade_id"), closed_at=None)
    held: defaultdict[str, Decimal] = defaultdict(Decimal)
    for wish in wishes.exclude(Exists(begun)).select_related("trade"):
        needed = Decimal(wish.params["reserved_amount"])
        ended = OrderStatus(wish.trade.status).is_final
        extra = needed if ended else max(needed - wish.trade.reserved_amount, Decimal(0))
        if extra:
            held[wish.params["reserved_currency"]] += extra
    return held


def live_orders(
    *, broker_id: int | None = None, bot_id: int | None = None, symbol: str | None = None, owner: str | None = None
) -> "QuerySet[Trade]":
    """Return the orders that are not final, oldest first."""
    criteria = {"broker_id": broker_id, "bot_id": bot_id, "symbol": symbol, "owner": owner}
    given = {name: value for name, value in criteria.items() if value is not None}
    return Trade.objects.filter(status__in=LIVE_STATUSES, **given).order_by("id")


def blocks_symbol(broker_id: int, symbol: str, owner: str) -> Trade | None:
    """Return the order that forbids this owner another one in that market, unknown ones first, or None.

    Its own live orders do; for a bot, so does an unknown order of anybody: what the account holds is not known.
    """
    orders = list(live_orders(broker_id=broker_id, symbol=symbol, owner=owner))
    unknown = [order for order in orders if order.status == OrderStatus.UNKNOWN]
    if owner.startswith(BOT_OWNER):
        unknown += list(unknown_orders([(broker_id, symbol)]).values())
    return next(iter(unknown + orders), None)


def unknown_orders(markets: Collection[tuple[int, str]]) -> dict[tuple[int, str], Trade]:
    """Return, for each (broker, symbol) that has one, the oldest order whose outcome nobody knows yet."""
    brokers = {broker_id for broker_id, _ in markets}
    rows = Trade.objects.filter(broker_id__in=brokers, status=OrderStatus.UNKNOWN).order_by("-id")
    return {(row.broker_id, row.symbol): row for row in rows if (row.broker_id, row.symbol) in markets}


def live_position(broker_id: int, symbol: str, owner: str) -> Position | None:
    """Return the owner's position in that market that is open or being closed, or None."""
    rows = Position.objects.filter(broker_id=broker_id, symbol=symbol, owner=owner)
    found: Position | None = rows.exclude(status=Position.Status.CLOSED).first()
    return found


def realized_pnl(*, bot_id: int) -> Decimal:
    """Return what a bot has realised since its beginning, in quote, net of fees."""
    total = Trade.objects.filter(bot_id=bot_id).aggregate(total=Sum("profit_loss"))["total"]
    return Decimal(0) if total is None else total


def trades_of(user_id: int) -> "QuerySet[Trade]":
    """Return all the orders of a user, newest first."""
    return Trade.objects.filter(user_id=user_id).order_by("-id")


def positions_of(user_id: int) -> "QuerySet[Position]":
    """Return all the positions of a user, newest first."""
    return Position.objects.filter(user_id=user_id).order_by("-id")
