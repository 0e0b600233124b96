"""Derives the rows of `positions` from fills; part of the ledger, called inside its transaction only.

A change replays the fills of the live position (or from the earlier one into which a late fill belongs), so
the rows depend on the set of fills and not on the order in which they were learned.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from django.db.models import Min, Q, QuerySet, Sum

from apps.orders import events, selectors
from apps.orders.locks import lock_position_key
from apps.orders.models import Fill, Position, Trade
from domain.markets import split_symbol
from domain.orders import FillReport, OrderStatus, Side
from domain.positions import DustRule, Execution, Holding, execution_order, replay, stored


def update_positions(trade: Trade) -> None:
    """Bring the positions of this order's owner in line with the fills; `trade.profit_loss` is set, not saved."""
    lock_position_key(broker_id=trade.broker_id, symbol=trade.symbol, owner=trade.owner)
    affected, fills = _to_replay(trade)
    if not fills:
        return
    base, quote = split_symbol(trade.symbol)
    dust = DustRule(step_size=trade.step_size, min_notional=trade.min_notional)
    holdings = replay(
        _executions(fills, trade), base=base, quote=quote, dust=dust, carried=_carried(trade, affected)
    )
    rows = _write_rows(trade, affected, holdings, fills)
    _place_fills(fills, holdings, rows)
    _update_profits(trade, fills)
    total = None if trade.bot_id is None else _bot_total(trade)
    for row in rows:
        if row is not None:
            events.position_changed(row, bot_realized_pnl=total)
    events.wake_executor()  # what protects or leaves the position follows what is held


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


def _of_key(trade: Trade) -> "QuerySet[Position]":
    return Position.objects.filter(broker_id=trade.broker_id, symbol=trade.symbol, owner=trade.owner)


def _to_replay(trade: Trade) -> tuple[list[Position], list[Fill]]:
    """Return the positions that may change, oldest first, and their fills in order of execution."""
    of_owner = Fill.objects.filter(
        trade__broker_id=trade.broker_id, trade__symbol=trade.symbol, trade__owner=trade.owner
    )
    unplaced = Q(position__isnull=True, realized_pnl__isnull=True)
    earliest: datetime | None = of_owner.filter(unplaced).aggregate(first=Min("executed_at"))["first"]
    wanted = Q(closed_at__isnull=True)
    if earliest is not None:
        wanted |= Q(closed_at__gte=earliest)
        unplaced |= Q(position__isnull=True, executed_at__gte=earliest)  # sales whose purchase was not known yet
    affected = list(_of_key(trade).filter(wanted).order_by("opened_at", "id"))
    fills = list(of_owner.filter(unplaced | Q(position__in=affected)).select_related("trade"))
    return affected, sorted(fills, key=lambda fill: execution_order(fill_report(fill)))


def _executions(fills: Sequence[Fill], trade: Trade) -> list[Execution]:
    last_of_order = {fill.trade_id: fill.id for fill in fills}
    result = []
    for fill in fills:
        order = trade if fill.trade_id == trade.id else fill.trade
        ends = last_of_order[fill.trade_id] == fill.id and OrderStatus(order.status).is_final
        result.append(Execution(side=Side(order.side), fill=fill_report(fill), ends_order=ends))
    return result


def _carried(trade: Trade, affected: Sequence[Position]) -> Holding | None:
    closed = _of_key(trade).filter(status=Position.Status.CLOSED).exclude(id__in=[row.id for row in affected])
    previous = closed.order_by("-closed_at", "-id").first()
    if previous is None or previous.quantity == 0:
        return None
    return Holding(quantity=previous.quantity, cost=previous.quantity * previous.entry_price)


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


def _place_fills(fills: Sequence[Fill], holdings: Sequence[Holding], rows: Sequence[Position | None]) -> None:
    places = [
        (row, realized, entry_fee)
        for row, holding in zip(rows, holdings, strict=True)
        for realized, entry_fee in zip(holding.realized_by_fill, holding.entry_fee_by_fill, strict=True)
    ]
    moved = []
    for fill, (row, realized, entry_fee) in zip(fills, places, strict=True):
        value = None if realized is None else stored(realized)
        position_id = None if row is None else row.id
        if (fill.position_id, fill.realized_pnl, fill.entry_fee) != (position_id, value, entry_fee):
            fill.position_id, fill.realized_pnl, fill.entry_fee = position_id, value, entry_fee
            moved.append(fill)
    Fill.objects.bulk_update(moved, ["position", "realized_pnl", "entry_fee"])


def _update_profits(trade: Trade, fills: Sequence[Fill]) -> None:
    sales = {fill.trade_id for fill in fills if fill.trade.side == Side.SELL}
    if not sales:
        return
    by_trade = Fill.objects.filter(trade_id__in=sales).values("trade_id")
    totals = by_trade.annotate(profit=Sum("realized_pnl"), entry_fee=Sum("entry_fee"))
    sums = {row["trade_id"]: (row["profit"] or Decimal(0), row["entry_fee"] or Decimal(0)) for row in totals}
    if trade.id in sums:
        trade.profit_loss, trade.entry_fee = sums.pop(trade.id)
    for other in Trade.objects.filter(id__in=sums):
        if (other.profit_loss, other.entry_fee) != sums[other.id]:
            other.profit_loss, other.entry_fee = sums[other.id]
            other.save(update_fields=["profit_loss", "entry_fee", "updated_at"])
            events.trade_changed(other)


def _bot_total(trade: Trade) -> Decimal:
    stored_total = selectors.realized_pnl(bot_id=trade.bot_id)
    before = Trade.objects.filter(id=trade.id).values_list("profit_loss", flat=True).get()
    return stored_total - (before or Decimal(0)) + (trade.profit_loss or Decimal(0))
