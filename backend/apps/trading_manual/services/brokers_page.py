"""The broker chosen on the page: what its exchange takes from us, its symbols and their facts."""

from collections.abc import Mapping
from typing import Any

from apps.brokers.models import Broker, Exchange
from apps.brokers.selectors import order_abilities, trading_mode
from apps.market_data.selectors import market_for
from apps.orders.events import amount
from apps.trading_manual import selectors
from domain.order_abilities import OrderAbilities, PairMode
from domain.orders import OrderType
from domain.rollup import source_timeframe
from domain.timeframes import Timeframe

LABELS: Mapping[OrderType, str] = {
    OrderType.MARKET: "Marché",
    OrderType.LIMIT: "Limite",
    OrderType.STOP_LOSS: "Stop Loss",
    OrderType.TAKE_PROFIT: "Take Profit",
    OrderType.OCO: "SL + TP",
    OrderType.STOP_LIMIT: "Stop Limite",
}
_NOT_KNOWN = "Le service CCXT (terminal 5) n'a pas encore décrit cet exchange."
_NO_PAIR = "L'exchange bloquerait deux fois la quantité : poser l'un des deux."


def selection_body(user_id: int, broker_id: int) -> dict[str, Any]:
    """Describe a broker of the user for the page. Raises NotFound."""
    broker = selectors.broker_of(user_id, broker_id)
    exchange = selectors.exchange_of(broker)
    return {
        "broker": {
            "id": broker.pk,
            "name": broker.name,
            "exchange": broker.exchange,
            "exchange_name": exchange.name if exchange is not None else broker.exchange,
            "mode": trading_mode(broker),
            "market_count": exchange.market_count if exchange is not None else 0,
        },
        "abilities": _abilities(broker),
        "candle_timeframes": _timeframes(exchange),
    }


def symbols_body(
    user_id: int, broker_id: int, *, quote: str, search: str, limit: int, offset: int
) -> dict[str, Any]:
    """Return a page of the symbols that match. Raises NotFound for the broker."""
    broker = selectors.broker_of(user_id, broker_id)
    page = selectors.find_symbols(broker.exchange, quote=quote, search=search, limit=limit, offset=offset)
    return {"results": list(page.rows), "total": page.total}


def market_body(user_id: int, broker_id: int, symbol: str) -> dict[str, Any]:
    """Return the facts of one market. Raises NotFound for the broker and for the symbol."""
    broker = selectors.broker_of(user_id, broker_id)
    market = market_for(broker.exchange, symbol)
    return {
        "symbol": market.symbol,
        "base": market.base,
        "quote": market.quote,
        "tick_size": amount(market.tick_size),
        "step_size": amount(market.step_size),
        "min_quantity": amount(market.min_quantity),
        "max_quantity": amount(market.max_quantity),
        "min_notional": amount(market.min_notional),
        "maker_fee_ratio": amount(market.maker_fee_ratio),
        "taker_fee_ratio": amount(market.taker_fee_ratio),
        "active": market.active,
    }


def _abilities(broker: Broker) -> dict[str, Any]:
    known = order_abilities(broker.exchange)
    abilities = known or OrderAbilities()
    return {
        "order_types": [_order_type(kind, label, known) for kind, label in LABELS.items()],
        "pair": abilities.pair.value,
        "amend": abilities.amend.value,
        "market_buy_in_quote": abilities.market_buy_in_quote,
    }


def _order_type(kind: OrderType, label: str, abilities: OrderAbilities | None) -> dict[str, Any]:
    reason = _refusal(kind, abilities)
    return {"type": kind.value, "label": label, "supported": not reason, "reason": reason}


def _refusal(kind: OrderType, abilities: OrderAbilities | None) -> str:
    if abilities is None:
        return "" if kind in (OrderType.MARKET, OrderType.LIMIT) else _NOT_KNOWN
    if kind is OrderType.OCO and abilities.pair is PairMode.NONE:
        return abilities.refusal(kind) or _NO_PAIR
    return abilities.refusal(kind) or ""


def _timeframes(exchange: Exchange | None) -> list[str]:
    """Return ours that the exchange offers or that roll up from one it offers."""
    offered = [] if exchange is None else [str(name) for name in exchange.timeframes]
    return [each.value for each in Timeframe if source_timeframe(each, offered) is not None]
