"""How sources and calls look to a browser: the same bodies for the API and for events."""

from datetime import datetime
from typing import Any

from apps.brokers.selectors import trading_mode
from apps.orders.events import amount, trade_body
from apps.orders.models import Trade
from apps.webhooks.models import Webhook, WebhookSource


def source_body(source: WebhookSource) -> dict[str, Any]:
    """Return the JSON body of a source; it comes with its broker and counts (`selectors.sources_of`)."""
    return {
        "id": source.id,
        "name": source.name,
        "broker": source.broker_id,
        "broker_name": source.broker.name,
        "mode": trading_mode(source.broker),
        "token_hint": source.token_hint,
        "has_secret": bool(source.secret),
        "tradingview_only": source.tradingview_only,
        "is_enabled": source.is_enabled,
        "revoked_at": iso(source.revoked_at),
        "allowed_symbols": source.allowed_symbols,
        "max_quote_amount": amount(source.max_quote_amount),
        "default_quote_amount": amount(source.default_quote_amount),
        "default_percent": amount(source.default_percent),
        "rate_per_minute": source.rate_per_minute,
        "max_age_s": source.max_age_s,
        "duplicate_window_s": source.duplicate_window_s,
        "created_at": iso(source.created_at),
    }


def call_body(call: Webhook) -> dict[str, Any]:
    """Return the JSON body of a call with its orders, without the text that came."""
    broker = None if call.origin is None else call.origin.broker
    return {
        "id": call.id,
        "source": call.origin_id,
        "source_name": call.source,
        "broker_name": "" if broker is None else broker.name,
        "status": call.status,
        "code": call.code,
        "reason": call.reason,
        "symbol": call.symbol,
        "action": call.action,
        "payload": call.payload,
        "call_id": call.call_id,
        "duplicate_of": call.duplicate_of_id,
        "remote_address": call.remote_address,
        "is_test": call.is_test,
        "created_at": iso(call.created_at),
        "processed_at": iso(call.processed_at),
        "left_position": call.left_position_id,
        "trades": [trade_body(trade) for trade in _trades(call)],
    }


def _trades(call: Webhook) -> list[Trade]:
    """Return the orders that a call led to, oldest first: its own, and the exits of the position it left."""
    own = list(call.trades.all())
    if call.left_position is not None:
        exits = [trade for trade in call.left_position.orders.all() if trade.intent == Trade.Intent.EXIT]
        own += [trade for trade in exits if trade.created_at >= call.created_at]
    return sorted({trade.id: trade for trade in own}.values(), key=lambda trade: trade.id)


def iso(moment: datetime | None) -> str | None:
    """Return an instant as the API writes it."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
