"""Events of the orders room: how rows look to a browser, and their sending once the transaction is committed."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

import structlog
from django.db import transaction
from django.utils import timezone

from apps.alerts.services import recording
from apps.orders.models import OrderCommand, Position, Trade
from apps.orders.protection_state import protection_body
from apps.orders.signals import order_event, orders_waiting
from domain.alerts import AlertKind

log = structlog.get_logger(__name__)


def amount(value: Decimal | None) -> str | None:
    """Return a plain decimal string without the table's trailing zeros, or None."""
    if value is None:
        return None
    return f"{value.normalize():f}" if value else "0"


def trade_body(trade: Trade) -> dict[str, Any]:
    """Return the JSON body of a trade, as in the API."""
    return {
        "id": trade.id,
        "client_order_id": trade.client_order_id,
        "broker": trade.broker_id,
        "bot": trade.bot_id,
        "strategy": trade.strategy_id,
        "webhook": trade.webhook_id,
        "position": trade.position_id,
        "trace_id": trade.trace_id,
        "source": trade.source,
        "owner": trade.owner,
        "intent": trade.intent,
        "symbol": trade.symbol,
        "side": trade.side,
        "type": trade.type,
        "quantity": amount(trade.quantity),
        "price": amount(trade.price),
        "stop_price": amount(trade.stop_price),
        "quote_amount": amount(trade.quote_amount),
        "link_id": trade.link_id,
        "link_mode": trade.link_mode,
        "replaces": trade.replaces_id,
        "average_price": amount(trade.average_price),
        "filled_quantity": amount(trade.filled_quantity),
        "fee": amount(trade.fee),
        "fee_currency": trade.fee_currency,
        "status": trade.status,
        "error_message": trade.error_message,
        "profit_loss": amount(trade.profit_loss),
        "created_at": _iso(trade.created_at),
        "market_time": _iso(trade.market_time),
    }


def position_body(position: Position, legs: Sequence[Trade] | None = None) -> dict[str, Any]:
    """Return the JSON body of a position, as in the API.

    Args:
        legs: its live protection orders; None looks them up.
    """
    amounts = (
        "quantity",
        "entry_price",
        "current_price",
        "stop_loss",
        "take_profit",
        "realized_pnl",
        "unrealized_pnl",
    )
    return {
        "id": position.id,
        "broker": position.broker_id,
        "bot": position.bot_id,
        "symbol": position.symbol,
        "owner": position.owner,
        "side": position.side,
        **{name: amount(getattr(position, name)) for name in amounts},
        "status": position.status,
        "closing_reason": position.closing_reason,
        "protection": protection_body(position, legs),
        "opened_at": _iso(position.opened_at),
        "closed_at": _iso(position.closed_at),
    }


def trade_changed(trade: Trade, *, told: Collection[int] = ()) -> None:
    """Send the trade to its user's browsers after the commit, and the position that it protects.

    Args:
        told: positions that were sent as they are now.
    """
    _emit("orders", "trade", trade_body(trade), trade.user_id)
    if trade.position_id is not None and trade.position_id not in told and trade.intent == Trade.Intent.PROTECTION:
        position = Position.objects.filter(id=trade.position_id).first()
        if position is not None:
            position_changed(position)


def position_changed(
    position: Position, *, bot_realized_pnl: Decimal | None = None, legs: Sequence[Trade] | None = None
) -> None:
    """Send the position after the commit, and to the bots page what moves there when a bot owns it.

    Args:
        legs: its live protection orders; None looks them up.
    """
    body = position_body(position, legs)
    _emit("orders", "position", body, position.user_id)
    if position.bot_id is None:
        return
    is_live = position.status != Position.Status.CLOSED
    bot = {
        "id": position.bot_id,
        "position": body if is_live else None,
        "unrealized_pnl": body["unrealized_pnl"] if is_live else None,
    }
    if bot_realized_pnl is not None:
        bot["realized_pnl"] = amount(bot_realized_pnl)
    _emit("bots", "bot", bot, position.user_id)


def alert(trade: Trade, *, code: str, message: str) -> None:
    """Tell the user, after the commit, of something he should look at: in his browser and at his addresses."""
    recording.record(
        trade.user_id,
        kind=AlertKind.ORDER,
        code=code,
        subject=f"trade:{trade.pk}",
        message=message,
        now=timezone.now(),
        trace_id=trade.trace_id,
    )
    body = {
        "code": code,
        "message": message,
        "trace_id": trade.trace_id,
        "trade": trade.id,
        "broker": trade.broker_id,
        "bot": trade.bot_id,
        "symbol": trade.symbol,
        "client_order_id": trade.client_order_id,
    }
    _emit("orders", "alert", body, trade.user_id)


def command_ended(command: OrderCommand) -> None:
    """Tell the user, after the commit, what became of a wish to cancel or to change an order."""
    body = {
        "id": command.id,
        "trade": command.trade_id,
        "broker": command.trade.broker_id,
        "kind": command.kind,
        "status": command.status,
        "error_message": command.error_message,
    }
    _emit("orders", "command", body, command.trade.user_id)


def wake_executor() -> None:
    """Say after the commit that rows wait; only a wake-up, the rows are the truth."""
    transaction.on_commit(partial(_send, orders_waiting))


def _emit(topic: str, event_type: str, data: Mapping[str, Any], user_id: int) -> None:
    transaction.on_commit(
        partial(_send, order_event, topic=topic, event_type=event_type, data=data, user_id=user_id)
    )


def _send(signal: Any, **arguments: Any) -> None:
    for receiver, outcome in signal.send_robust(sender=Trade, **arguments):
        if isinstance(outcome, Exception):
            log.error("orders.event_receiver_failed", receiver=repr(receiver), exc_info=outcome)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
