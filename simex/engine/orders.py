"""Orders and fills, and how they are written to the journal and to the client."""

from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any

from simex.units import ZERO, money

OPEN = ("NEW", "PARTIALLY_FILLED")


@dataclass
class Order:
    """One order of an account. Amounts in Decimal, times in market milliseconds."""

    order_id: int
    account_id: str
    symbol: str
    client_id: str
    side: str
    kind: str
    time_in_force: str
    price: Decimal
    quantity: Decimal
    quote_quantity: Decimal
    created_ms: int
    updated_ms: int
    executed: Decimal = ZERO
    quote_executed: Decimal = ZERO
    locked: Decimal = ZERO
    status: str = "NEW"
    run: str = ""
    stop_price: Decimal = ZERO
    working: bool = True
    working_ms: int = 0
    list_id: int = -1

    @property
    def remaining(self) -> Decimal:
        """Quantity still to be filled."""
        return self.quantity - self.executed

    @property
    def is_open(self) -> bool:
        """Tell whether the order can still be filled or cancelled."""
        return self.status in OPEN

    @property
    def on_book_ms(self) -> int:
        """Time since which the order is on the book, -1 while its trigger is awaited."""
        return (self.working_ms or self.created_ms) if self.working else -1

    def describe(self) -> dict[str, Any]:
        """Return the fields that every order answer of Binance shares."""
        stop = {"stopPrice": money(self.stop_price)} if self.stop_price else {}
        return {
            "symbol": self.symbol,
            "orderId": self.order_id,
            "orderListId": self.list_id,
            "clientOrderId": self.client_id,
            "price": money(self.price),
            "origQty": money(self.quantity),
            "executedQty": money(self.executed),
            "origQuoteOrderQty": money(self.quote_quantity),
            "cummulativeQuoteQty": money(self.quote_executed),
            "status": self.status,
            "timeInForce": self.time_in_force,
            "type": self.kind,
            "side": self.side,
            **stop,
            "selfTradePreventionMode": "EXPIRE_MAKER",
        }

    def describe_query(self) -> dict[str, Any]:
        """Return the answer of GET order, openOrders and allOrders."""
        return {
            **self.describe(),
            "stopPrice": money(self.stop_price),
            "icebergQty": "0.00000000",
            "time": self.created_ms,
            "updateTime": self.updated_ms,
            "isWorking": self.working,
            "workingTime": self.on_book_ms,
        }


@dataclass(frozen=True)
class Fill:
    """One execution of one order."""

    trade_id: int
    order_id: int
    account_id: str
    symbol: str
    price: Decimal
    quantity: Decimal
    quote: Decimal
    commission: Decimal
    commission_asset: str
    time_ms: int
    is_buyer: bool
    is_maker: bool

    def describe_short(self) -> dict[str, Any]:
        """Return the fill as in a FULL order answer."""
        return {
            "price": money(self.price),
            "qty": money(self.quantity),
            "commission": money(self.commission),
            "commissionAsset": self.commission_asset,
            "tradeId": self.trade_id,
        }

    def describe_trade(self) -> dict[str, Any]:
        """Return the fill as in myTrades."""
        return {
            "symbol": self.symbol,
            "id": self.trade_id,
            "orderId": self.order_id,
            "orderListId": -1,
            "price": money(self.price),
            "qty": money(self.quantity),
            "quoteQty": money(self.quote),
            "commission": money(self.commission),
            "commissionAsset": self.commission_asset,
            "time": self.time_ms,
            "isBuyer": self.is_buyer,
            "isMaker": self.is_maker,
            "isBestMatch": True,
        }


def to_record(item: Order | Fill) -> dict[str, Any]:
    """Return an order or a fill as plain JSON values for the journal."""
    values = ((one.name, getattr(item, one.name)) for one in fields(item))
    return {name: str(v) if isinstance(v, Decimal) else v for name, v in values}


def _decimals(kind: type[Order] | type[Fill], record: dict[str, Any]) -> dict[str, Any]:
    names = {one.name for one in fields(kind) if one.type is Decimal}
    return {name: Decimal(v) if name in names else v for name, v in record.items()}


def order_from(record: dict[str, Any]) -> Order:
    """Read an order back from the journal."""
    return Order(**_decimals(Order, record))


def fill_from(record: dict[str, Any]) -> Fill:
    """Read a fill back from the journal."""
    return Fill(**_decimals(Fill, record))
