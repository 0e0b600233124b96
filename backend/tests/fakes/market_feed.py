"""A market in memory that speaks as Binance does and misbehaves on demand; its past is always true."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal

from domain.candles import Candle
from domain.errors import ExchangeUnavailable
from domain.market_feed import Batch, FeedIdentity, StreamEvent, TradeEvent
from domain.market_tracker import KlineEvent
from domain.ports import Clock
from domain.timeframes import Timeframe, from_ms
from domain.trade_sequence import AggTrade

MINUTE_MS = 60_000


def minute_kline(symbol: str, trades: Sequence[AggTrade], open_ms: int, *, at_ms: int) -> KlineEvent:
    """Return the kline of the minute `open_ms` as known at `at_ms`, final once the minute is over."""
    end_ms = min(at_ms, open_ms + MINUTE_MS - 1)
    inside = [t for t in trades if open_ms <= t.time_ms <= end_ms]
    before = [t for t in trades if t.time_ms < open_ms]
    price = before[-1].price if before else Decimal(0)
    prices = [t.price for t in inside] or [price]
    return KlineEvent(
        symbol=symbol,
        event_ms=at_ms,
        open_ms=open_ms,
        is_final=at_ms >= open_ms + MINUTE_MS,
        last_trade_id=inside[-1].last_id if inside else -1,
        open=prices[0],
        high=max(prices),
        low=min(prices),
        close=prices[-1],
        volume=sum((t.quantity for t in inside), Decimal(0)),
        trade_count=sum(t.executions for t in inside),
    )


@dataclass(frozen=True)
class Cut:
    """The stream ends here; messages until `until_ms` of market time are never delivered."""

    until_ms: int
    is_stall: bool = False  # nothing comes, the connection stays open


Item = StreamEvent | Cut


@dataclass
class FakeMarketFeed:
    """One market.

    Args:
        trades: the complete log, ascending.
        script: what the stream delivers, in order; a `Cut` ends a connection.
        batch: messages handed over together.
    """

    symbol: str
    trades: Sequence[AggTrade]
    script: Sequence[Item]
    clock: Clock
    batch: int = 7
    name: str = "simex:test"
    rest_failures: int = 0
    market_ms: int = 0
    connections: int = 0
    questions: list[str] = field(default_factory=list)
    _at: int = 0

    @property
    def is_over(self) -> bool:
        return self._at >= len(self.script)

    @asynccontextmanager
    async def connect(self, symbols: Sequence[str]) -> AsyncIterator["FakeMarketFeed"]:
        self.connections += 1
        yield self

    async def next_batch(self, timeout_s: float) -> Batch:
        if self.is_over:
            await self.clock.sleep(timeout_s)
            return Batch(received_s=self.clock.monotonic())
        item = self.script[self._at]
        if isinstance(item, Cut):
            self.market_ms = max(self.market_ms, item.until_ms)
            if item.is_stall:
                await self.clock.sleep(timeout_s)
                return Batch(received_s=self.clock.monotonic())
            self._at += 1
            raise ExchangeUnavailable("coupé")
        events: list[StreamEvent] = []
        while len(events) < self.batch and not self.is_over:
            event = self.script[self._at]
            if isinstance(event, Cut):
                break
            events.append(event)
            self.market_ms = max(self.market_ms, event.event_ms)
            self._at += 1
        return Batch(events, received_s=self.clock.monotonic())

    async def identity(self) -> FeedIdentity:
        if not self.is_over and isinstance(self.script[self._at], Cut):
            self._at += 1  # a stall lasts until somebody asks
        return FeedIdentity(self.name, self.market_ms or None, self.is_over)

    async def trades_from_id(self, symbol: str, from_id: int, *, limit: int = 1000) -> list[AggTrade]:
        self._fail("trades_from_id")
        return [t for t in self._known() if t.id >= from_id][:limit]

    async def trades_since(self, symbol: str, start_ms: int, *, limit: int = 1000) -> list[AggTrade]:
        self._fail("trades_since")
        return [t for t in self._known() if t.time_ms >= start_ms][:limit]

    async def newest_trade(self, symbol: str) -> AggTrade | None:
        return next(reversed(self._known()), None)

    async def minutes(self, symbol: str, *, start_ms: int, end_ms: int) -> list[Candle]:
        found = []
        for open_ms in range(start_ms, end_ms, MINUTE_MS):
            k = minute_kline(symbol, self._known(), open_ms, at_ms=open_ms + MINUTE_MS)
            values = (k.open, k.high, k.low, k.close, k.volume, k.trade_count)
            found.append(Candle(symbol, Timeframe.M1, from_ms(open_ms), *values))
        return found

    def _known(self) -> list[AggTrade]:
        return [t for t in self.trades if t.time_ms <= self.market_ms]

    def _fail(self, question: str) -> None:
        self.questions.append(question)
        if self.rest_failures > 0:
            self.rest_failures -= 1
            raise ExchangeUnavailable("REST en panne")


def perfect_stream(
    symbol: str, trades: Sequence[AggTrade], *, kline_every_ms: int, end_ms: int
) -> list[StreamEvent]:
    """Return what a faultless exchange sends: every trade, a kline at each tick, final at each minute."""
    start_ms = trades[0].time_ms // MINUTE_MS * MINUTE_MS
    events: list[StreamEvent] = [TradeEvent(symbol, t.time_ms, t, b"{}") for t in trades]
    for at_ms in range(start_ms + kline_every_ms, end_ms + 1, kline_every_ms):
        open_ms = (at_ms - 1) // MINUTE_MS * MINUTE_MS
        events.append(minute_kline(symbol, trades, open_ms, at_ms=at_ms))
    return sorted(events, key=lambda event: (event.event_ms, isinstance(event, KlineEvent)))
