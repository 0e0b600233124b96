"""Orders and fills: what is asked, what the exchange says, and how a status may move.

Invariants: a status never goes back; the cumulative filled quantity never decreases; applying the same
report twice changes nothing.
"""

import enum
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


class Side(enum.StrEnum):
    BUY = "buy"
    SELL = "sell"


class OrderType(enum.StrEnum):
    MARKET = "market"
    LIMIT = "limit"
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    STOP_LIMIT = "stop_limit"
    OCO = "oco"


class OrderSource(enum.StrEnum):
    MANUAL = "manual"
    STRATEGY = "strategy"
    WEBHOOK = "webhook"
    EXTERNAL = "external"


class OrderStatus(enum.StrEnum):
    PENDING = "pending"  # committed, nobody has sent it
    SENDING = "sending"  # claimed by terminal 5; it may or may not have left
    UNKNOWN = "unknown"  # the answer was no proof: looked up by client id
    OPEN = "open"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"

    @property
    def is_final(self) -> bool:
        return self in FINAL_STATUSES

    @property
    def rests_at_exchange(self) -> bool:
        return self in (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED)


FINAL_STATUSES = frozenset({OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.EXPIRED})
# Orders that wait for the price to touch their trigger.
TRIGGERED_TYPES = frozenset({OrderType.STOP_LOSS, OrderType.TAKE_PROFIT, OrderType.STOP_LIMIT})
_LIVE = {
    OrderStatus.OPEN,
    OrderStatus.PARTIALLY_FILLED,
    OrderStatus.FILLED,
    OrderStatus.CANCELLED,
    OrderStatus.REJECTED,
    OrderStatus.EXPIRED,
}

# sending -> pending exists for one case only: the exchange proved that it did not execute (429, -1021 …).
TRANSITIONS: dict[OrderStatus, frozenset[OrderStatus]] = {
    OrderStatus.PENDING: frozenset(
        {OrderStatus.SENDING, OrderStatus.EXPIRED, OrderStatus.CANCELLED, OrderStatus.REJECTED}
    ),
    OrderStatus.SENDING: frozenset({OrderStatus.UNKNOWN, OrderStatus.PENDING, *_LIVE}),
    OrderStatus.UNKNOWN: frozenset(_LIVE),
    OrderStatus.OPEN: frozenset(_LIVE - {OrderStatus.OPEN, OrderStatus.REJECTED}),
    OrderStatus.PARTIALLY_FILLED: frozenset({OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.EXPIRED}),
    OrderStatus.FILLED: frozenset(),
    OrderStatus.CANCELLED: frozenset(),
    OrderStatus.REJECTED: frozenset(),
    OrderStatus.EXPIRED: frozenset(),
}


def may_become(current: OrderStatus, new: OrderStatus) -> bool:
    """Tell whether the transition table allows `current` → `new` (the same status is no transition)."""
    return new in TRANSITIONS[current]


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """What somebody wants, before it is rounded and committed.

    Exactly one of `quantity` (base) and `quote_amount` (quote, market buys) is given.
    `price` is given for limit orders only. `stop_loss` / `take_profit` are prices of the protection that
    the position will carry once the order filled, or None.
    """

    symbol: str
    side: Side
    order_type: OrderType
    quantity: Decimal | None = None
    quote_amount: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None


@dataclass(frozen=True, slots=True)
class OrderTicket:
    """What is sent to an exchange: rounded, with the id under which it can be found again.

    `stop_price` triggers a stop loss, a take profit or a stop limit; `price` is the limit of a limit or a stop
    limit. `quote_amount` is what a market buy may spend, given only where the exchange sizes it in quote
    (`OrderAbilities.market_buy_in_quote`): `quantity` is then an estimate.
    """

    client_order_id: str  # 32 lowercase hex digits (uuid4().hex), accepted by Binance, OKX, Kraken, Bitget
    symbol: str
    side: Side
    order_type: OrderType
    quantity: Decimal
    price: Decimal | None = None
    stop_price: Decimal | None = None
    quote_amount: Decimal | None = None


@dataclass(frozen=True, slots=True)
class PairTicket:
    """A stop loss and a take profit over the same quantity: the execution of one cancels the other.

    Both legs bear their trigger in `stop_price`; how the exchange words them is the adapter's business.
    """

    link_id: str  # 32 lowercase hex digits, the name of the pair
    stop_loss: OrderTicket
    take_profit: OrderTicket


@dataclass(frozen=True, slots=True)
class OrderHandle:
    """What names an order at its exchange. One of the two ids may be missing, not both.

    `order_type` tells where to look: some exchanges keep orders with a trigger in lists of their own.
    `link_id` names the pair of a leg: some exchanges hold both legs as one order under that name.
    """

    symbol: str
    client_order_id: str = ""  # empty: an order that was not placed by us and bears none
    exchange_order_id: str | None = None
    order_type: OrderType = OrderType.LIMIT
    link_id: str = ""


@dataclass(frozen=True, slots=True)
class FillReport:
    """One execution as the exchange reports it. `fee` is in `fee_currency`, positive when paid."""

    exchange_trade_id: str
    exchange_order_id: str
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_currency: str
    executed_at: datetime  # market time
    is_maker: bool = False


@dataclass(frozen=True, slots=True)
class OrderReport:
    """What an exchange says of an order. `fills` may be empty although filled (fetch trades then)."""

    exchange_order_id: str
    client_order_id: str | None
    symbol: str
    side: Side
    order_type: OrderType
    status: OrderStatus
    quantity: Decimal
    filled_quantity: Decimal
    average_price: Decimal | None
    price: Decimal | None
    fills: tuple[FillReport, ...]
    market_time: datetime | None  # the exchange's own time of this state
    stop_price: Decimal | None = None  # the trigger, when the exchange says it


def position_quantity_change(side: Side, fill: FillReport, *, base: str) -> Decimal:
    """Return the signed change of base holdings by a fill, net of a fee taken in the base currency."""
    fee_in_base = fill.fee if fill.fee_currency == base else Decimal(0)
    return fill.quantity - fee_in_base if side is Side.BUY else -fill.quantity - fee_in_base
