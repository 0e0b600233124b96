"""Every type of request of `/ws/trading/`: its shape, and what carries it out.

Reads give `data`; writes give a `Reply`, the same one however often the request comes (see services.replies).
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from apps.core.adapters.database import read_database
from apps.market_data.selectors import market_for
from apps.trading_manual import selectors
from apps.trading_manual import serializers as shapes
from apps.trading_manual.services import (
    brokers_page,
    charts,
    closings,
    order_changes,
    order_lists,
    portfolio,
    tickets,
)
from apps.trading_manual.services.replies import Asked, Reply
from apps.trading_manual.services.terminal import Terminal
from apps.trading_manual.watching import Selection
from domain.errors import InvalidInput
from domain.timeframes import Timeframe

Params = Mapping[str, Any]
Read = Callable[[Terminal, int, Params], Awaitable[Mapping[str, Any]]]
Write = Callable[[Terminal, Asked, Params], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of request: `read` or `write` carries it out."""

    shape: type[shapes.BrokerRequest]
    read: Read | None = None
    write: Write | None = None


def checked(kind: Kind, content: Params) -> Params:
    """Return the validated parameters of a request.

    Raises:
        InvalidInput: French, with the first field at fault in `details["field"]`.
    """
    params = _validated(kind.shape, content)
    if kind.shape is shapes.SubmitRequest and not params.get("validation_id"):
        return {"ticket": shapes.ticket_of(_validated(shapes.TicketRequest, content)), "broker": params["broker"]}
    return params


def _validated(shape: type[shapes.BrokerRequest], content: Params) -> Params:
    serializer = shape(data=dict(content))
    if serializer.is_valid():
        found: Params = serializer.validated_data
        return found
    fields = {str(name): [str(each) for each in _flat(errors)] for name, errors in serializer.errors.items()}
    field, messages = next(iter(fields.items()))
    head = shapes.FIELD_NAMES.get(field, field)
    raise InvalidInput(f"{head} : {messages[0]}", details={"field": field, "fields": fields})


def _flat(errors: Any) -> list[Any]:
    return list(errors) if isinstance(errors, list) else [errors]


def asked(user_id: int, request_id: str, content: Params) -> Asked:
    """Name a request that does something by its id and its content."""
    facts = {name: value for name, value in content.items() if name != "request_id"}
    return Asked.of(user_id, request_id, facts)


async def _select(terminal: Terminal, user_id: int, p: Params) -> Mapping[str, Any]:
    return await read_database(brokers_page.selection_body, user_id, p["broker"])


async def selection(user_id: int, params: Params) -> Selection:
    """Return what a `select` chooses.

    Raises:
        NotFound: the broker is not this user's, or its exchange has no such market.
        InvalidInput: the timeframe is not one of ours.
    """
    symbol, named = params.get("symbol") or "", params.get("timeframe") or ""
    timeframe = Timeframe.parse(named) if named else None
    broker = await read_database(selectors.broker_of, user_id, params["broker"])
    if symbol:
        await read_database(market_for, broker.exchange, symbol)
    return Selection(broker, symbol, timeframe)


async def _symbols(terminal: Terminal, user_id: int, p: Params) -> Mapping[str, Any]:
    wanted = {name: p[name] for name in ("quote", "search", "limit", "offset")}
    return await read_database(brokers_page.symbols_body, user_id, p["broker"], **wanted)


async def _market(terminal: Terminal, user_id: int, p: Params) -> Mapping[str, Any]:
    return await read_database(brokers_page.market_body, user_id, p["broker"], p["symbol"])


async def _portfolio(terminal: Terminal, user_id: int, p: Params) -> Mapping[str, Any]:
    return await portfolio.portfolio(terminal, user_id, p["broker"])


async def _preview(terminal: Terminal, user_id: int, p: Params) -> Mapping[str, Any]:
    return await tickets.preview(terminal, user_id, p["broker"], shapes.ticket_of(p))


async def _validate(terminal: Terminal, user_id: int, p: Params) -> Mapping[str, Any]:
    return await tickets.validate(terminal, user_id, p["broker"], shapes.ticket_of(p))


async def _orders(terminal: Terminal, user_id: int, p: Params) -> Mapping[str, Any]:
    return await read_database(order_lists.open_orders, user_id, p["broker"], symbol=p.get("symbol") or None)


async def _history(terminal: Terminal, user_id: int, p: Params) -> Mapping[str, Any]:
    return await read_database(
        order_lists.history,
        user_id,
        p["broker"],
        symbol=p.get("symbol") or None,
        before=p.get("before"),
        limit=p["limit"],
        now=terminal.clock.now(),
    )


async def _positions(terminal: Terminal, user_id: int, p: Params) -> Mapping[str, Any]:
    return await order_lists.positions(terminal, user_id, p["broker"])


async def _book(terminal: Terminal, user_id: int, p: Params) -> Mapping[str, Any]:
    return await charts.book(terminal, user_id, p["broker"], symbol=p["symbol"], depth=p["depth"])


async def _candles(terminal: Terminal, user_id: int, p: Params) -> Mapping[str, Any]:
    return await charts.candles(
        terminal,
        user_id,
        p["broker"],
        symbol=p["symbol"],
        timeframe=p["timeframe"],
        since=p.get("since"),
        until=p.get("until"),
        limit=p["limit"],
    )


async def _submit(terminal: Terminal, asked: Asked, p: Params) -> Reply:
    return await tickets.submit(
        terminal, asked, p["broker"], validation_id=p.get("validation_id"), ticket=p.get("ticket")
    )


async def _cancel(terminal: Terminal, asked: Asked, p: Params) -> Reply:
    return await order_changes.cancel(terminal, asked, p["broker"], trade_id=p["trade"])


async def _cancel_all(terminal: Terminal, asked: Asked, p: Params) -> Reply:
    return await order_changes.cancel_all(
        terminal, asked, p["broker"], symbol=p.get("symbol") or None, everybody=p["everybody"]
    )


async def _amend(terminal: Terminal, asked: Asked, p: Params) -> Reply:
    wanted = {name: p.get(name) for name in ("quantity", "price", "stop_price")}
    return await order_changes.amend(terminal, asked, p["broker"], trade_id=p["trade"], **wanted)


async def _close(terminal: Terminal, asked: Asked, p: Params) -> Reply:
    return await closings.close(terminal, asked, p["broker"], position_id=p["position"])


KINDS: Mapping[str, Kind] = {
    "select": Kind(shapes.SelectRequest, read=_select),
    "symbols": Kind(shapes.SymbolsRequest, read=_symbols),
    "market": Kind(shapes.MarketRequest, read=_market),
    "portfolio": Kind(shapes.BrokerRequest, read=_portfolio),
    "preview": Kind(shapes.TicketRequest, read=_preview),
    "validate": Kind(shapes.TicketRequest, read=_validate),
    "submit": Kind(shapes.SubmitRequest, write=_submit),
    "cancel": Kind(shapes.TradeRequest, write=_cancel),
    "cancel_all": Kind(shapes.CancelAllRequest, write=_cancel_all),
    "amend": Kind(shapes.AmendRequest, write=_amend),
    "close": Kind(shapes.CloseRequest, write=_close),
    "orders": Kind(shapes.OrdersRequest, read=_orders),
    "history": Kind(shapes.HistoryRequest, read=_history),
    "positions": Kind(shapes.BrokerRequest, read=_positions),
    "book": Kind(shapes.BookRequest, read=_book),
    "candles": Kind(shapes.CandlesRequest, read=_candles),
}


def parse(text: str) -> Params | None:
    """Return a message's fields, None when it is not a JSON object (NaN and infinities are not JSON)."""
    try:
        content = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return content if isinstance(content, dict) else None
