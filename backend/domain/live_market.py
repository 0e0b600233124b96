"""What a trader watches while it moves: order book, last trades, the day's ticker, the candle still open.

Public data of one market, the same for every account there: no user and no broker is in it. Amounts are
exact; on the wire they are text without an exponent, except a candle's, which charts read as numbers.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

from domain.candles import Candle
from domain.orders import Side
from domain.timeframes import Timeframe, to_ms

Level = tuple[Decimal, Decimal]  # price, quantity


@dataclass(frozen=True, slots=True)
class OrderBook:
    """What is offered at one moment; bids from the highest price down, asks from the lowest up."""

    symbol: str
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    at: datetime

    def to_wire(self) -> dict[str, Any]:
        return {
            "symbol": self.symbol,
            "bids": _levels_to_wire(self.bids),
            "asks": _levels_to_wire(self.asks),
            "at": self.at.isoformat(),
        }

    @classmethod
    def from_wire(cls, message: Mapping[str, Any]) -> "OrderBook":
        return cls(
            symbol=str(message["symbol"]),
            bids=_levels_from_wire(message["bids"]),
            asks=_levels_from_wire(message["asks"]),
            at=datetime.fromisoformat(message["at"]),
        )


@dataclass(frozen=True, slots=True)
class Ticker:
    """The last price and the last 24 hours; None where the exchange does not say."""

    symbol: str
    last: Decimal
    change_24h_ratio: Decimal | None
    high: Decimal | None
    low: Decimal | None
    volume: Decimal | None  # in base
    at_ms: int | None = None  # market time

    def to_wire(self) -> dict[str, Any]:
        return {
            "symbol": self.symbol,
            "last": amount_text(self.last),
            "change_24h_ratio": _optional_text(self.change_24h_ratio),
            "high": _optional_text(self.high),
            "low": _optional_text(self.low),
            "volume": _optional_text(self.volume),
            "at": self.at_ms,
        }


@dataclass(frozen=True, slots=True)
class TapeTrade:
    """One trade of the market: who took it, at what price."""

    at_ms: int
    price: Decimal
    quantity: Decimal
    side: Side  # of the one who took the offer


@dataclass(frozen=True, slots=True)
class Tape:
    """The last trades of the market, the newest first."""

    symbol: str
    trades: tuple[TapeTrade, ...]

    def to_wire(self) -> dict[str, Any]:
        rows = [
            [each.at_ms, amount_text(each.price), amount_text(each.quantity), each.side.value]
            for each in self.trades
        ]
        return {"symbol": self.symbol, "trades": rows}


@dataclass(frozen=True, slots=True)
class LiveCandle:
    """A candle as it stands; `closed` once a later one has begun."""

    candle: Candle
    closed: bool

    def to_wire(self) -> dict[str, Any]:
        each = self.candle
        numbers = [float(value) for value in (each.open, each.high, each.low, each.close, each.volume)]
        return {
            "symbol": each.symbol,
            "timeframe": each.timeframe.value,
            "candle": [to_ms(each.open_time), *numbers],
            "closed": self.closed,
        }


class StreamKind(enum.StrEnum):
    """What of a market is followed; the name of its events."""

    BOOK = "book"
    TICKER = "ticker"
    CANDLE = "candle"
    TAPE = "tape"


@dataclass(frozen=True, slots=True)
class MarketStreamKey:
    """One stream of one market, shared by everybody who looks at it.

    Args:
        exchange_key: exchange and host, see `exchange_key`.
        timeframe: of candles, else None.
    """

    exchange_key: str
    symbol: str
    kind: StreamKind
    timeframe: Timeframe | None = None


class FeedState(enum.StrEnum):
    """How fresh what a trader sees is, from the best to the worst."""

    LIVE = "live"  # pushed by the exchange
    POLLING = "polling"  # asked for every second or two
    STALLED = "stalled"  # connected, but the exchange says something else than the stream
    DOWN = "down"  # nothing arrives


_FEED_STATES = tuple(FeedState)


def worst(states: list[FeedState]) -> FeedState:
    return max(states, key=_FEED_STATES.index)


@dataclass(frozen=True, slots=True)
class Interest:
    """Somebody looks at a market of a broker, with candles when a timeframe is given."""

    broker_id: int
    symbol: str
    timeframe: Timeframe | None = None


def exchange_key(exchange: str, *, is_testnet: bool) -> str:
    """Return the name of an exchange and host: accounts with the same one see the same market."""
    return f"{exchange}-testnet" if is_testnet else exchange


def market_group(exchange_key: str, symbol: str) -> str:
    """Return the Channels group of a market's live events (any symbol, in the few characters allowed there)."""
    return f"market.{sha256(f'{exchange_key} {symbol}'.encode()).hexdigest()[:32]}"


def amount_text(amount: Decimal) -> str:
    """Return the amount in full, never as 1E-7."""
    return f"{amount:f}"


def _optional_text(amount: Decimal | None) -> str | None:
    return None if amount is None else amount_text(amount)


def _levels_to_wire(levels: tuple[Level, ...]) -> list[list[str]]:
    return [[amount_text(price), amount_text(quantity)] for price, quantity in levels]


def _levels_from_wire(rows: list[list[str]]) -> tuple[Level, ...]:
    return tuple((Decimal(price), Decimal(quantity)) for price, quantity in rows)
