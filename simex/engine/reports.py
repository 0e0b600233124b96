"""The events of a user-data stream: what happened to an order, a list, a balance.

Source: Binance Spot, "User Data Stream": executionReport, listStatus, outboundAccountPosition.
Each is a picture of the moment, taken when it happens; times are the market's.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from simex.engine.ledger import Balance
from simex.engine.lists import OrderList
from simex.engine.orders import Fill, Order
from simex.units import ZERO, money

Event = tuple[str, dict[str, Any]]  # (account, content)
EXECUTION = {"CANCELED": "CANCELED", "EXPIRED_IN_MATCH": "TRADE_PREVENTION"}


def cancel_id(order: Order) -> str:
    """Return the client id of a cancellation that was given none."""
    return f"cancel{order.order_id:016d}"


def execution_report(order: Order, execution: str, now_ms: int, fill: Fill | None = None) -> Event:
    """Return an executionReport; `execution` is NEW, TRADE, CANCELED, EXPIRED or TRADE_PREVENTION."""
    cancelled = execution == "CANCELED"
    content: dict[str, Any] = {
        "e": "executionReport",
        "E": now_ms,
        "s": order.symbol,
        "c": cancel_id(order) if cancelled else order.client_id,
        "S": order.side,
        "o": order.kind,
        "f": order.time_in_force,
        "q": money(order.quantity),
        "p": money(order.price),
        "P": money(order.stop_price),
        "F": money(ZERO),
        "g": order.list_id,
        "C": order.client_id if cancelled else "",
        "x": execution,
        "X": order.status,
        "r": "NONE",
        "i": order.order_id,
        "l": money(fill.quantity if fill else ZERO),
        "z": money(order.executed),
        "L": money(fill.price if fill else ZERO),
        "n": money(fill.commission) if fill else "0",
        "N": fill.commission_asset if fill else None,
        "T": now_ms,
        "t": fill.trade_id if fill else -1,
        "I": fill.trade_id if fill else order.order_id,
        "w": order.is_open and order.working,
        "m": fill.is_maker if fill else False,
        "M": False,
        "O": order.created_ms,
        "Z": money(order.quote_executed),
        "Y": money(fill.quote if fill else ZERO),
        "Q": money(order.quote_quantity),
        "V": "EXPIRE_MAKER",
    }
    if order.working:
        content["W"] = order.on_book_ms
    return order.account_id, content


def list_status(found: OrderList, orders: Mapping[int, Order], now_ms: int) -> Event:
    """Return a listStatus."""
    state = "ALL_DONE" if found.done else "EXECUTING"
    content = {
        "e": "listStatus",
        "E": now_ms,
        "s": found.symbol,
        "g": found.list_id,
        "c": "OCO",
        "l": "ALL_DONE" if found.done else "EXEC_STARTED",
        "L": state,
        "r": "NONE",
        "C": found.client_id,
        "T": found.updated_ms,
        "O": [{"s": found.symbol, "i": one, "c": orders[one].client_id} for one in found.order_ids],
    }
    return found.account_id, content


def account_position(account_id: str, held: Iterable[tuple[str, Balance]], now_ms: int) -> Event:
    """Return an outboundAccountPosition for the assets that moved."""
    balances = [{"a": asset, "f": money(one.free), "l": money(one.locked)} for asset, one in held]
    content = {"e": "outboundAccountPosition", "E": now_ms, "u": now_ms, "B": balances}
    return account_id, content
