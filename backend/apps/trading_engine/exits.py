"""Leaving a bot's position: one live exit order at most, whoever asks for it and however often."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import takewhile

from django.db import transaction

from apps.market_data.selectors import market_for
from apps.orders import desk, ledger
from apps.orders.context import OrderContext
from apps.orders.models import Position, Trade
from apps.trading_engine.jobs import live_orders
from apps.trading_engine.models import ActiveStrategy
from domain.errors import Conflict, InvalidInput
from domain.orders import OrderSource, OrderStatus
from domain.sizing import exit_request

STOP_LOSS = "stop_loss"
TAKE_PROFIT = "take_profit"
USER = "user"
# After a refused exit the next attempt waits, so that a lasting refusal does not flood the exchange.
_RETRY_AFTER = timedelta(seconds=15)
_COUNTED = 8  # 15 s × 2⁷ = 32 min at most
_IN_VAIN = (OrderStatus.REJECTED.value, OrderStatus.EXPIRED.value, OrderStatus.CANCELLED.value)


@dataclass(frozen=True, slots=True)
class Crossing:
    """A protection that the price reached."""

    reason: str  # stop_loss, take_profit
    limit: Decimal


def crossing(position: Position, price: Decimal) -> Crossing | None:
    """Return the protection of a long position that `price` has reached, the stop loss first."""
    if position.stop_loss is not None and price <= position.stop_loss:
        return Crossing(STOP_LOSS, position.stop_loss)
    if position.take_profit is not None and price >= position.take_profit:
        return Crossing(TAKE_PROFIT, position.take_profit)
    return None


def leave(
    position_id: int, *, reason: str, price: Decimal, now: datetime, market_time: datetime | None
) -> Trade | None:
    """Commit the order that sells the whole position and put it in `closing`.

    None when there is nothing to do: the position is closed, or an order of that bot is alive already.

    Raises:
        InvalidInput: the exchange's filters refuse that quantity; the refused attempt is kept as a row.
    """
    refusal: InvalidInput | None = None
    trade: Trade | None = None
    with transaction.atomic():
        position = _settled_position(position_id)
        if position is None:
            return None
        try:
            trade = _sell(position, price=price, now=now, market_time=market_time)
        except InvalidInput as exc:
            refusal = exc  # raised once the refused attempt is committed
        else:
            ledger.mark_closing(position.id, reason=reason)
    if refusal is not None:
        raise refusal
    return trade


def sell_now(bot: ActiveStrategy, *, now: datetime) -> Trade:
    """Sell the bot's open position at market because its user asks for it.

    Raises:
        Conflict: no open position, an order already alive, or no price known yet.
        InvalidInput: refused by the exchange's filters.
    """
    position = Position.objects.filter(bot=bot).exclude(status=Position.Status.CLOSED).first()
    target = f"Vente impossible (bot {bot.id}, {bot.symbol})"
    if position is None:
        raise Conflict(f"{target} : aucune position ouverte.", code="no_position")
    price = position.current_price or position.entry_price
    trade = leave(position.id, reason=USER, price=price, now=now, market_time=None)
    if trade is None:
        waiting = live_orders([bot.id]).get(bot.id, "position déjà fermée")
        raise Conflict(f"{target} : {waiting}.", code="order_in_progress")
    return trade


def may_retry(position: Position, *, now: datetime) -> bool:
    """Tell whether an exit may be tried; after each one that ended in vain the wait doubles."""
    exits = Trade.objects.filter(bot_id=position.bot_id, intent=Trade.Intent.EXIT).order_by("-id")[:_COUNTED]
    in_vain = list(takewhile(lambda trade: trade.status in _IN_VAIN, exits))
    if not in_vain:
        return True
    return (in_vain[0].closed_at or in_vain[0].created_at) < now - _RETRY_AFTER * 2 ** (len(in_vain) - 1)


def _settled_position(position_id: int) -> Position | None:
    """Lock the bot and read its position; None when it is closed, or while an order of the bot is alive.

    The orders are looked at first: once none is alive no fill can change the position that is read next. Read
    the other way round, a sale that fills in between would be made a second time. The position's own row is
    left to the ledger, whose locks are taken in another order.
    """
    bot_id = Position.objects.filter(id=position_id, bot__isnull=False).values_list("bot_id", flat=True).first()
    if bot_id is None:
        return None
    ActiveStrategy.objects.select_for_update(no_key=True).filter(id=bot_id).first()
    if live_orders([bot_id]):
        return None
    live = Position.objects.filter(id=position_id).exclude(status=Position.Status.CLOSED)
    position: Position | None = live.select_related("broker", "bot").first()
    return position


def _sell(position: Position, *, price: Decimal, now: datetime, market_time: datetime | None) -> Trade:
    market = market_for(position.broker.exchange, position.symbol)
    context = OrderContext(
        user_id=position.user_id,
        broker_id=position.broker_id,
        source=OrderSource.STRATEGY,
        owner=position.owner,
        now=now,
        intent=Trade.Intent.EXIT,
        bot_id=position.bot_id,
        strategy_id=position.bot.strategy_id,
        market_time=market_time,
    )
    request = exit_request(market, held=position.quantity)
    return desk.submit(context, request, market=market, reference_price=price)
