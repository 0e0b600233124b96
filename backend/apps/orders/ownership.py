"""Who owns a position, and in whose name its protection and its sale are asked for."""

from datetime import datetime

from django.db.models import Max

from apps.core.tracing import current_trace
from apps.orders.context import OrderContext
from apps.orders.locks import lock_owner
from apps.orders.models import Position, Trade
from apps.orders.selectors import BOT_OWNER
from domain.orders import OrderSource, Side

_WEBHOOK_OWNER = "webhook:"


def source_of(owner: str) -> OrderSource:
    """Return the source of the orders of an owner."""
    if owner.startswith(BOT_OWNER):
        return OrderSource.STRATEGY
    return OrderSource.WEBHOOK if owner.startswith(_WEBHOOK_OWNER) else OrderSource.MANUAL


def locked_position(position_id: int) -> Position | None:
    """Lock what the owner of a position may decide about it; return it as it is then, None when it is gone."""
    key = Position.objects.filter(id=position_id).values("broker_id", "symbol", "owner").first()
    if key is None:
        return None
    lock_owner(**key)
    return current(position_id)


def current(position_id: int) -> Position | None:
    """Return a position as committed, with its broker and bot."""
    rows = Position.objects.select_related("broker", "bot").filter(id=position_id)
    found: Position | None = rows.first()
    return found


def context_for(
    position: Position, *, intent: str, now: datetime, market_time: datetime | None = None
) -> OrderContext:
    """Return the context of an order that protects or leaves a position.

    Args:
        market_time: time of the wish on the market's clock, as far as it is known: what is stored of a fast
            market lags behind its executions, and no order is older than what it protects or leaves.
    """
    return OrderContext(
        user_id=position.user_id,
        broker_id=position.broker_id,
        source=source_of(position.owner),
        owner=position.owner,
        now=now,
        intent=intent,
        trace_id=_trace_of(position, intent),
        bot_id=position.bot_id,
        strategy_id=None if position.bot is None else position.bot.strategy_id,
        position_id=position.id,
        market_time=None if market_time is None else max(market_time, _last_fill_at(position) or market_time),
    )


def _trace_of(position: Position, intent: str) -> str:
    """What protects a position goes by the trace that opened it; what leaves it, by that of who wanted out."""
    wanted_out = position.closing_trace or current_trace()
    if intent == Trade.Intent.EXIT and wanted_out:
        return wanted_out
    opened = Trade.objects.filter(fills__position=position, side=Side.BUY.value).order_by("-id")
    return opened.values_list("trace_id", flat=True).first() or ""


def _last_fill_at(position: Position) -> datetime | None:
    found: datetime | None = position.fills.aggregate(at=Max("executed_at"))["at"]
    return found
