"""What a call from outside asks for, once read."""

import enum
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from domain.orders import OrderType


class Action(enum.StrEnum):
    BUY = "buy"
    SELL = "sell"
    CLOSE = "close"  # leave the position of this source
    CANCEL = "cancel"  # its live orders
    TARGET = "target"  # hold that much, whatever is held now: doing it twice changes nothing


class Unit(enum.StrEnum):
    QUOTE = "quote_amount"
    BASE = "quantity"
    PERCENT = "percent"


@dataclass(frozen=True, slots=True)
class Size:
    """How much: of the quote currency, of the base, or a share (0 to 100) of what there is."""

    value: Decimal
    unit: Unit


@dataclass(frozen=True, slots=True)
class Level:
    """Where a protection lies: a price, or a distance from the entry in percent."""

    value: Decimal
    is_percent: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A call as its sender means it. `size` None: the source's default, or all that is held.

    Args:
        ticker: as written; `symbols.resolve` names the market.
        call_id: the sender's own name for this call, "" when there is none.
        sent_at: when the sender says it was sent.
        secret: what the body gave as proof, "" when nothing.
        ignored: fields that were there and mean nothing here.
        is_short: the sender holds a short position, which on spot is none at all.
    """

    action: Action
    ticker: str
    order_type: OrderType = OrderType.MARKET
    size: Size | None = None
    price: Decimal | None = None
    stop_loss: Level | None = None
    take_profit: Level | None = None
    call_id: str = ""
    sent_at: datetime | None = None
    secret: str = ""
    ignored: tuple[str, ...] = ()
    is_short: bool = False
