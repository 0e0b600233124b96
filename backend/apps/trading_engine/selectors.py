"""Reads for the bots' pages."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import F, Prefetch, Q, QuerySet, Sum, Window
from django.db.models.functions import RowNumber

from apps.market_data.selectors import market_now
from apps.orders.events import amount
from apps.orders.models import Position, Trade
from apps.trading_engine.bodies import bot_body, bot_settings_body
from apps.trading_engine.models import ActiveStrategy, BotDecision, ParityDifference, ParityRun
from domain.orders import OrderStatus

SHOWN_TRADES = 10
EQUITY_POINTS = 500


def bots_of(user_id: int) -> "QuerySet[ActiveStrategy]":
    """Return the user's bots, newest first."""
    return ActiveStrategy.objects.filter(user_id=user_id).select_related("strategy", "broker").order_by("-id")


def parity_runs_of(bot_id: int) -> "QuerySet[ParityRun]":
    """Return the replayed market days of a bot, with their differences in the order of time."""
    ordered = ParityDifference.objects.order_by("close_time")
    return ParityRun.objects.filter(bot_id=bot_id).prefetch_related(Prefetch("differences", queryset=ordered))


def decisions_of(bot_id: int) -> "QuerySet[BotDecision]":
    """Return what a bot decided, newest close first."""
    return BotDecision.objects.filter(bot_id=bot_id).order_by("-id")


def active_count(*, except_bot: int | None = None) -> int:
    """Return how many bots are switched on, all users together."""
    return int(ActiveStrategy.objects.filter(is_active=True).exclude(id=except_bot).count())


def bodies(bots: Iterable[ActiveStrategy], *, now: datetime) -> list[dict[str, Any]]:
    """Return the whole bodies of some bots, in a fixed number of queries."""
    bots = list(bots)
    ids = [bot.id for bot in bots]
    decisions = {
        row.bot_id: row
        for row in BotDecision.objects.filter(bot_id__in=ids).order_by("bot_id", "-close_time").distinct("bot_id")
    }
    positions = {
        row.bot_id: row for row in Position.objects.filter(bot_id__in=ids).exclude(status=Position.Status.CLOSED)
    }
    realized = _realized(ids)
    trades = _last_trades(ids)
    clocks = {exchange: market_now(exchange, now=now) for exchange in {bot.broker.exchange for bot in bots}}
    return [
        bot_body(
            bot,
            market_now=clocks[bot.broker.exchange],
            last_decision=decisions.get(bot.id),
            position=positions.get(bot.id),
            realized_pnl=realized.get(bot.id, Decimal(0)),
            trades=trades.get(bot.id, []),
        )
        for bot in bots
    ]


def equity_of(bot: ActiveStrategy) -> dict[str, Any]:
    """Return what a bot realised, sale after sale, oldest first, and what its open position is worth."""
    sales = Trade.objects.filter(bot=bot, profit_loss__isnull=False)
    total = Window(Sum("profit_loss"), order_by=[F("market_time").asc(nulls_first=True), F("id").asc()])
    rows = sales.annotate(total=total).order_by("-market_time", "-id")[:EQUITY_POINTS]
    position = Position.objects.filter(bot=bot).exclude(status=Position.Status.CLOSED).first()
    points = [
        {"at": at, "profit_loss": amount(profit), "total": amount(so_far)}
        for at, profit, so_far in rows.values_list("market_time", "profit_loss", "total")
    ]
    return {
        "strategy_name": bot.strategy.name,
        "quote_currency": bot.symbol.partition("/")[2],
        "realized_pnl": amount(_realized([bot.id]).get(bot.id, Decimal(0))),
        "unrealized_pnl": None if position is None else amount(position.unrealized_pnl),
        "points": points[::-1],
    }


def event_body(bot_id: int, *, now: datetime) -> tuple[int, dict[str, Any]] | None:
    """Return (user, settings and state) of a bot for an event, None when it was deleted."""
    bot = ActiveStrategy.objects.select_related("strategy", "broker").filter(id=bot_id).first()
    if bot is None:
        return None
    return bot.user_id, bot_settings_body(bot, market_now=market_now(bot.broker.exchange, now=now))


def _realized(bot_ids: list[int]) -> dict[int, Decimal]:
    sums = Trade.objects.filter(bot_id__in=bot_ids).values("bot_id").annotate(total=Sum("profit_loss")).order_by()
    return {row["bot_id"]: row["total"] or Decimal(0) for row in sums}


def _last_trades(bot_ids: list[int]) -> Mapping[int, list[Trade]]:
    rank = Window(RowNumber(), partition_by=[F("bot_id")], order_by=F("id").desc())
    shown = Trade.objects.filter(bot_id__in=bot_ids).exclude(
        ~Q(status=OrderStatus.UNKNOWN.value),
        intent=Trade.Intent.PROTECTION,
        filled_quantity=0,  # placed, moved and cancelled: told by the position
    )
    rows = shown.annotate(rank=rank).filter(rank__lte=SHOWN_TRADES)
    found: dict[int, list[Trade]] = {}
    for trade in rows.order_by("-id"):
        found.setdefault(trade.bot_id, []).append(trade)
    return found
