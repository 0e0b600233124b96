"""Derives the rows of `positions` from fills; part of the ledger, called inside its transaction only.

A change replays the fills of the live position (or from the earlier one into which a late fill belongs), so
the rows depend on the set of fills and not on the order in which they were learned. A fill is stored with its
place: none without one outlives the transaction that brought it.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from django.db.models import Q, Sum

from apps.orders import events, selectors
from apps.orders.locks import lock_position_key
from apps.orders.models import Fill, Position, Trade
from domain.markets import split_symbol
from domain.orders import FillReport, OrderStatus, Side
from domain.positions import DustRule, Execution, Holding, execution_order, replay, stored


def update_positions(trade: Trade, new: Sequence[Fill]) -> Sequence[Position]:
    """Bring the positions of this order's owner in line with the fills, and store those that are new.

    `trade.profit_loss` is set, not saved.

    Returns:
        The rows written, for `tell_positions` once the order is saved.
    """
    lock_position_key(broker_id=trade.broker_id, symbol=trade.symbol, owner=trade.owner)
    affected, carried = _affected(trade, since=min((fill.executed_at for fill in new), default=None))
    fills = _to_replay(trade, affected, new)
    if not fills:
        return ()
    base, quote = split_symbol(trade.symbol)
    dust = DustRule(step_size=trade.step_size, min_notional=trade.min_notional)
    holdings = replay(_executions(fills, trade), base=base, quote=quote, dust=dust, carried=carried)
    rows = _write_rows(trade, affected, holdings, fills)
    moved = _place_fills(fills, holdings, rows)
    _update_profits(trade, moved)
    events.wake_executor()  # what protects or leaves the position follows what is held
    return [row for row in rows if row is not None]


def tell_positions(trade: Trade, rows: Sequence[Position]) -> set[int]:
    """Tell of the rows that an order's fills moved, now that its own row is saved; return their ids."""
    if not rows:
        return set()
    total = None if trade.bot_id is None else selectors.realized_pnl(bot_id=trade.bot_id)
    for row in rows:
        events.position_changed(row, bot_realized_pnl=total)
    return {row.pk for row in rows}


def fill_report(fill: Fill) -> FillReport:
    """Return the stored fill as the domain sees it."""
    return FillReport(
        exchange_trade_id=fill.exchange_trade_id,
        exchange_order_id="",
        price=fill.price,
        quantity=fill.quantity,
        fee=fill.fee,
        fee_currency=fill.fee_currency,
        executed_at=fill.executed_at,
        is_maker=fill.is_maker,
    )


def _affected(trade: Trade, *, since: datetime | None) -> tuple[list[Position], Holding | None]:
    """Return the positions that may change, oldest first, and what the last one before them left over.

    Args:
        since: when the first new fill was executed, if there is any.
    """
    of_key = Position.objects.filter(broker_id=trade.broker_id, symbol=trade.symbol, owner=trade.owner)
    before = Q(status=Position.Status.CLOSED)
    wanted = Q(closed_at__isnull=True)
    if since is not None:
        before &= Q(closed_at__lt=since)
        wanted |= Q(closed_at__gte=since)
    last_before = of_key.filter(before).order_by("-closed_at", "-id").values("id")[:1]
    rows = list(of_key.filter(wanted | Q(id__in=last_before)).order_by("opened_at", "id"))
    affected = [row for row in rows if row.closed_at is None or (since is not None and row.closed_at >= since)]
    previous = next((row for row in rows if row not in affected), None)
    if previous is None or previous.quantity == 0:
        return affected, None
    return affected, Holding(quantity=previous.quantity, cost=previous.quantity * previous.entry_price)


def _to_replay(trade: Trade, affected: Sequence[Position], new: Sequence[Fill]) -> list[Fill]:
    """Return the fills of these positions and the new ones, in order of execution."""
    wanted = Q(position__in=affected)
    if new:  # sales whose purchase was not known yet
        wanted |= Q(position__isnull=True, executed_at__gte=min(fill.executed_at for fill in new))
    of_owner = Fill.objects.filter(
        trade__broker_id=trade.broker_id, trade__symbol=trade.symbol, trade__owner=trade.owner
    )
    fills = [*of_owner.filter(wanted).select_related("trade"), *new]
    return sorted(fills, key=lambda fill: execution_order(fill_report(fill)))


def _executions(fills: Sequence[Fill], trade: Trade) -> list[Execution]:
    last_of_order = {fill.trade_id: fill for fill in fills}
    result = []
    for fill in fills:
        order = trade if fill.trade_id == trade.id else fill.trade
        ends = last_of_order[fill.trade_id] is fill and OrderStatus(order.status).is_final
        result.append(Execution(side=Side(order.side), fill=fill_report(fill), ends_order=ends))
    return result


def _write_rows(
    trade: Trade, affected: list[Position], holdings: list[Holding], fills: list[Fill]
) -> list[Position | None]:
    """Write one row per holding (None for a sale of what was never bought here)."""
    kept = [holding for holding in holdings if not _is_foreign_sale(holding)]
    for surplus in affected[len(kept) :]:
        # A late fill joined two positions into one, which what protects or leaves them now belongs to.
        if kept:
            Trade.objects.filter(position=surplus).update(position=affected[len(kept) - 1])
        surplus.delete()
    rows: list[Position | None] = []
    reusable = iter(affected)
    start = 0
    for holding in holdings:
        own = fills[start : start + len(holding.realized_by_fill)]
        start += len(own)
        if _is_foreign_sale(holding):
            rows.append(None)
            continue
        row = next(reusable, None) or _new_row(trade)
        _fill_row(row, holding, own, before=[fill for fill in fills if row.id and fill.position_id == row.id])
        row.save()
        rows.append(row)
    return rows


def _is_foreign_sale(holding: Holding) -> bool:
    sold_only = all(realized is not None for realized in holding.realized_by_fill)
    return sold_only and holding.unmatched_sold > 0 and holding.realized_pnl == 0


def _new_row(trade: Trade) -> Position:
    return Position(
        user_id=trade.user_id,
        broker_id=trade.broker_id,
        bot_id=trade.bot_id,
        symbol=trade.symbol,
        owner=trade.owner,
    )


def _last_buy(fills: Sequence[Fill]) -> Fill | None:
    return next((fill for fill in reversed(fills) if fill.trade.side == Side.BUY), None)


def _fill_row(row: Position, holding: Holding, fills: Sequence[Fill], *, before: Sequence[Fill]) -> None:
    row.quantity = stored(holding.quantity)
    row.entry_price = holding.entry_price
    row.realized_pnl = stored(holding.realized_pnl)
    row.opened_at = holding.opened_at
    row.closed_at = holding.closed_at
    row.current_price = fills[-1].price
    last = _last_buy(fills)
    if last is not None and last != _last_buy(before):
        # The latest purchase sets the protection; what the user changed since then stays.
        row.stop_loss, row.take_profit = last.trade.stop_loss, last.trade.take_profit
    if holding.closed_at is not None:
        row.status, row.unrealized_pnl = Position.Status.CLOSED, None
        return
    row.unrealized_pnl = stored(holding.unrealized_pnl(fills[-1].price))
    if row.status == Position.Status.CLOSED:
        row.status = Position.Status.OPEN


def _place_fills(fills: Sequence[Fill], holdings: Sequence[Holding], rows: Sequence[Position | None]) -> list[Fill]:
    """Store each fill's position and profit; return those that are new or moved."""
    places = [
        (row, realized, entry_fee)
        for row, holding in zip(rows, holdings, strict=True)
        for realized, entry_fee in zip(holding.realized_by_fill, holding.entry_fee_by_fill, strict=True)
    ]
    new: list[Fill] = []
    moved: list[Fill] = []
    for fill, (row, realized, entry_fee) in zip(fills, places, strict=True):
        place = (None if row is None else row.id, None if realized is None else stored(realized), entry_fee)
        is_new = fill.pk is None
        if is_new or (fill.position_id, fill.realized_pnl, fill.entry_fee) != place:
            fill.position_id, fill.realized_pnl, fill.entry_fee = place
            (new if is_new else moved).append(fill)
    Fill.objects.bulk_create(new)
    Fill.objects.bulk_update(moved, ["position", "realized_pnl", "entry_fee"])
    return [*new, *moved]


def _update_profits(trade: Trade, moved: Sequence[Fill]) -> None:
    sales = {fill.trade_id for fill in moved if fill.trade.side == Side.SELL}
    if not sales:
        return
    sums = Trade.objects.filter(id__in=sales).annotate(
        profit_now=Sum("fills__realized_pnl"), entry_fee_now=Sum("fills__entry_fee")
    )
    for order in sums:
        now = (order.profit_now or Decimal(0), order.entry_fee_now or Decimal(0))
        if order.id == trade.id:
            trade.profit_loss, trade.entry_fee = now
        elif (order.profit_loss, order.entry_fee) != now:
            order.profit_loss, order.entry_fee = now
            order.save(update_fields=["profit_loss", "entry_fee", "updated_at"])
            events.trade_changed(order)
