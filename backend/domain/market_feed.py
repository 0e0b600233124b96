"""What the heartbeat asks of an exchange: a live stream, and its past by questions."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from domain.candles import Candle
from domain.market_tracker import KlineEvent
from domain.trade_sequence import AggTrade


class TradeEvent(NamedTuple):
    """A trade of the stream, with the message's own bytes for whoever wants to look at them."""

    symbol: str
    event_ms: int
    trade: AggTrade
    raw: bytes


StreamEvent = TradeEvent | KlineEvent


@dataclass(frozen=True, slots=True)
class Batch:
    """What arrived together; `malformed` messages were counted and dropped."""

    events: Sequence[StreamEvent] = ()
    malformed: int = 0
    received_s: float = 0.0  # monotonic clock


@dataclass(frozen=True, slots=True)
class FeedIdentity:
    """Where the trades come from: "binance" or "simex:<run>".

    `market_ms` and `is_halted` are known only of a simulated market (its clock is not ours, a recording ends).
    """

    name: str
    market_ms: int | None = None
    is_halted: bool = False


class MarketStream(Protocol):
    """An open connection."""

    async def next_batch(self, timeout_s: float) -> Batch:
        """Return what is there, waiting for at least one message; empty after the time-out.

        Raises:
            ExchangeUnavailable: the connection is lost or must be renewed.
        """
        ...


class MarketFeed(Protocol):
    """A market's stream and its REST questions. Every method raises ExchangeUnavailable."""

    def connect(self, symbols: Sequence[str]) -> AbstractAsyncContextManager[MarketStream]: ...

    async def identity(self) -> FeedIdentity: ...

    async def trades_from_id(self, symbol: str, from_id: int, *, limit: int = 1000) -> Sequence[AggTrade]:
        """Trades with id >= from_id, ascending."""
        ...

    async def trades_since(self, symbol: str, start_ms: int, *, limit: int = 1000) -> Sequence[AggTrade]:
        """The oldest trades at or after a time, ascending."""
        ...

    async def newest_trade(self, symbol: str) -> AggTrade | None: ...

    async def minutes(self, symbol: str, *, start_ms: int, end_ms: int) -> Sequence[Candle]:
        """Minute candles with start_ms <= open < end_ms, ascending, at most 1000."""
        ...


class RawPublisher(Protocol):
    """The stream `StreamBrut`."""

    async def publish(self, messages: Sequence[bytes]) -> None:
        """Send raw messages at once; raises Unavailable."""
        ...


@dataclass(slots=True)
class FeedCounters:
    """What a connection counted, for the status panel."""

    messages: int = 0
    malformed: int = 0
    last_malformed: str = field(default="")
