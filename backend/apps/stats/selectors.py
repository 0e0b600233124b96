"""Sums for the panels of the page, from the daily results. Writes nothing."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any

from django.db.models import (
    Case,
    Count,
    DateTimeField,
    DecimalField,
    F,
    Max,
    Min,
    Q,
    QuerySet,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Coalesce, Concat, TruncDate

from apps.orders.models import Fill, Position, Trade
from apps.stats.scope import Scope
from apps.strategies.models import Strategy
from domain.closed_trade import ClosedTrade
from domain.orders import OrderSource, Side
from domain.performance import Tally, deepest_drawdown

# Up to here the line has a point for each trade, beyond one for each day.
MAX_TRADE_POINTS = 2_000
# When an order was closed on the market's clock; the rollup and an index of `trades` say it in SQL.
_MOMENT = Coalesce("market_time", "created_at", output_field=DateTimeField())
_PRODUCT = DecimalField(max_digits=60, decimal_places=36)
_ZERO = Decimal(0)
_TALLY = {name: Sum(name) for name in ("trade_count", "win_count", "loss_count", "gross_profit", "gross_loss")}

Row = Mapping[str, Any]


def summary(scope: Scope) -> dict[str, Any]:
    """Return the figures of the whole scope; amounts are Decimals."""
    days = _days(scope)
    results = [{"day": row["day"], "net": _tally(row).net} for row in days if row["trade_count"]]
    return {
        "tally": _tally({name: sum((row[name] for row in days), getattr(Tally(), name)) for name in _TALLY}),
        "order_count": sum(row["order_count"] for row in days),
        "refused_count": sum(row["refused_count"] for row in days),
        "volume": sum((row["volume"] for row in days), _ZERO),
        "fees": sum((row["fees"] or _ZERO for row in days), _ZERO),
        "other_fees": _other_fees(scope),
        "best_trade": max((row["best"] for row in days if row["trade_count"]), default=None),
        "worst_trade": min((row["worst"] for row in days if row["trade_count"]), default=None),
        "best_day": max(results, key=lambda day: day["net"], default=None),
        "worst_day": min(results, key=lambda day: day["net"], default=None),
        "drawdown": _drawdown(scope),
        "open": _open_positions(scope),
    }


def _days(scope: Scope) -> list[Row]:
    """Every sum of each day in one pass; a few hundred rows a year, whatever the number of trades."""
    rows = (
        scope.results()
        .values("day")
        .annotate(
            **_TALLY,
            order_count=Sum("order_count"),
            refused_count=Sum("refused_count"),
            volume=Sum("volume"),
            fees=Sum("closed_fee"),
            best=Max("best_trade"),
            worst=Min("worst_trade"),
        )
    )
    return list(rows.order_by("day"))


def daily(scope: Scope) -> list[dict[str, Any]]:
    """Return each day with an order, oldest first."""
    rows = scope.results().values("day").annotate(**_TALLY, fees=Sum("closed_fee")).order_by("day")
    return [{"day": row["day"], **_group(row)} for row in rows]


def by_strategy(scope: Scope) -> list[dict[str, Any]]:
    """Return the results of each strategy, and those of manual and external orders, the best first."""
    rows = scope.results().exclude(source=OrderSource.WEBHOOK.value)
    rows = rows.values("source", "strategy_id").annotate(**_TALLY, fees=Sum("closed_fee")).order_by()
    names = dict(Strategy.objects.filter(user_id=scope.user_id).values_list("id", "name"))
    found = [
        {
            "source": row["source"],
            "strategy": row["strategy_id"],
            "name": names.get(row["strategy_id"], ""),
            **_group(row),
        }
        for row in rows
    ]
    return _best_first(found)


def by_webhook(scope: Scope) -> list[dict[str, Any]]:
    """Return the results of each webhook source, the best first."""
    rows = scope.results().filter(source=OrderSource.WEBHOOK.value)
    rows = rows.values("owner").annotate(**_TALLY, fees=Sum("closed_fee")).order_by()
    return _best_first(
        [{"owner": row["owner"], "name": webhook_name(scope.user_id, row["owner"]), **_group(row)} for row in rows]
    )


def by_symbol(scope: Scope) -> list[dict[str, Any]]:
    """Return the results of each market, the best first."""
    rows = scope.results().values("symbol").annotate(**_TALLY, fees=Sum("closed_fee")).order_by()
    return _best_first([{"symbol": row["symbol"], **_group(row)} for row in rows])


def equity(scope: Scope) -> dict[str, Any]:
    """Return the cumulated net result and each source's share of it.

    Returns:
        `step` ("trade" or "day") and `points`, oldest first: time, net, how far it is below its highest point so
        far (the line begins at zero), and one amount by source.
    """
    step, moves = _moves(scope)
    totals: defaultdict[str, Decimal] = defaultdict(Decimal)
    net = peak = _ZERO
    points: list[dict[str, Any]] = []
    for moment, together in groupby(moves, key=lambda move: move.moment):  # of one moment the last state counts
        for move in together:
            totals[move.source] += move.amount
            net += move.amount
        peak = max(peak, net)
        points.append({"time": moment, "net": net, "drawdown": peak - net, "sources": dict(totals)})
    return {"step": step, "points": points}


def trades(scope: Scope) -> "QuerySet[Trade]":
    """Return the orders with a realised result in scope."""
    quoted = Q(symbol__endswith=f"/{scope.quote}") | Q(symbol__contains=f"/{scope.quote}:")
    found = Trade.objects.filter(
        quoted,
        user_id=scope.user_id,
        broker_id__in=scope.broker_ids,
        source__in=scope.sources,
        profit_loss__isnull=False,
    )
    if scope.since is not None or scope.until is not None:
        found = found.annotate(market_day=TruncDate(_MOMENT, tzinfo=UTC)).filter(scope.days("market_day"))
    return found.select_related("strategy", "broker")


@dataclass(frozen=True, slots=True)
class _Move:
    """A step of the line of gains; `day` is the one it is shown under."""

    moment: datetime
    day: date
    source: str
    amount: Decimal


def _moves(scope: Scope) -> tuple[str, list[_Move]]:
    """Return the steps of the line, which its chart and its drawdown share: by trade while there are few."""
    rows = scope.results().values("day", "source").annotate(**_TALLY).order_by("day", "source")
    by_day = [(row, _tally(row)) for row in rows]
    if sum(tally.trade_count for _, tally in by_day) > MAX_TRADE_POINTS:
        moves = [_Move(_end_of(row["day"]), row["day"], row["source"], tally.net) for row, tally in by_day]
        return "day", moves
    closed = trades(scope).annotate(moment=_MOMENT).order_by("moment", "id")
    found = closed.values_list("moment", "source", "profit_loss")
    return "trade", [_Move(moment, moment.astimezone(UTC).date(), source, net) for moment, source, net in found]


def _drawdown(scope: Scope) -> dict[str, Any]:
    step, moves = _moves(scope)
    steps = [list(together) for _, together in groupby(moves, key=lambda move: move.moment)]
    line = [(step_moves[0].day, sum((move.amount for move in step_moves), _ZERO)) for step_moves in steps]
    deepest = deepest_drawdown(line)
    return {"step": step, "day_count": deepest.day_count, **asdict(deepest)}


def _end_of(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), UTC)


def _other_fees(scope: Scope) -> list[dict[str, Any]]:
    rows = scope.results().filter(fee_in_quote__isnull=True).values("fee_currency").annotate(total=Sum("fee"))
    return [{"currency": row["fee_currency"], "amount": row["total"]} for row in rows.order_by("fee_currency")]


def _open_positions(scope: Scope) -> dict[str, Any]:
    quoted = Q(symbol__endswith=f"/{scope.quote}") | Q(symbol__contains=f"/{scope.quote}:")
    live = Position.objects.filter(quoted, user_id=scope.user_id, broker_id__in=scope.broker_ids)
    sums = live.exclude(status=Position.Status.CLOSED).aggregate(count=Count("id"), total=Sum("unrealized_pnl"))
    return {"count": sums["count"], "unrealized_pnl": sums["total"] or _ZERO, "fees": _held_fees(live, scope.quote)}


def _held_fees(positions: "QuerySet[Position]", quote: str) -> Decimal:
    """Return what the purchases of what is held paid in fees, in quote: the sales to come will carry it."""
    in_base = When(symbol__startswith=Concat("fee_currency", Value("/")), then=F("fee") * F("price"))
    paid = Case(When(fee_currency=quote, then=F("fee")), in_base, default=Value(_ZERO), output_field=_PRODUCT)
    fills = Fill.objects.filter(position__in=positions.exclude(status=Position.Status.CLOSED))
    sums = fills.aggregate(paid=Sum(paid, filter=Q(trade__side=Side.BUY.value)), carried=Sum("entry_fee"))
    return (sums["paid"] or _ZERO) - (sums["carried"] or _ZERO)


def closed_trade(trade: Trade) -> ClosedTrade:
    """Return an order with a realised result as the domain counts it."""
    return ClosedTrade(
        symbol=trade.symbol,
        quantity=trade.filled_quantity,
        exit_price=trade.average_price,
        exit_fee=trade.fee,
        fee_currency=trade.fee_currency,
        entry_fee=trade.entry_fee or _ZERO,
        result=trade.profit_loss or _ZERO,
    )


def position_of(trade: Trade) -> Position | None:
    """Return the position that an order reduced or closed; None when what it sold was never bought here."""
    return Position.objects.filter(fills__trade=trade).order_by("-id").first()


def orders_of(position: Position) -> "QuerySet[Trade]":
    """Return every order that was executed in a position, oldest first."""
    executed = Trade.objects.filter(fills__position=position).distinct()
    return executed.annotate(moment=_MOMENT).order_by("moment", "id")


def _group(row: Row) -> dict[str, Any]:
    tally = _tally(row)
    return {
        "trade_count": tally.trade_count,
        "win_count": tally.win_count,
        "loss_count": tally.loss_count,
        "net": tally.net,
        "win_ratio": tally.win_ratio,
        "profit_factor": tally.profit_factor,
        "fees": row["fees"] or _ZERO,
    }


def webhook_name(user_id: int, owner: str) -> str:
    """Return what the source was called at its latest order; sources are few."""
    orders = Trade.objects.filter(user_id=user_id, owner=owner, webhook__isnull=False).order_by("-created_at")
    return orders.values_list("webhook__source", flat=True).first() or ""


def _tally(row: Row) -> Tally:
    return Tally(**{name: row[name] if row[name] is not None else getattr(Tally(), name) for name in _TALLY})


def _best_first(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted((row for row in rows if row["trade_count"] or row["fees"]), key=lambda row: -row["net"])
