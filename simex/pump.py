"""Moves the market forward: trades in order of time, books, fills, stream messages."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from heapq import merge

import orjson

from simex.clock import MarketClock
from simex.engine.exchange import Exchange
from simex.live.feed import LiveCursor, LiveFeed
from simex.market.klines import Kline, bounds, flat
from simex.market.query import current_kline
from simex.market.tradelog import AggTrade, Block, Feed, split_raw
from simex.streams import Hub, agg_trade_text, kline_text, trade_text
from simex.tickers import book_message, ticker_message

TICK_S = 0.01
MINUTE_MS = 60_000
JUMP_MS = 5 * MINUTE_MS  # how far a free market goes in one go: fewer, larger writes
END_MARGIN_MS = 5_000
YIELD_EVERY = 500  # trades between two turns given to requests and consumers
SLICE_WORTH = 20  # what a slice without trades costs, in trades


class Cursor:
    """Reads a feed's trades once, in order."""

    def __init__(self, feed: Feed, from_ms: int) -> None:
        self.feed = feed
        self.seek(from_ms)

    def seek(self, from_ms: int) -> None:
        """Continue with the first trade at or after a time."""
        self._from_ms = from_ms
        self._blocks: Iterator[Block] = iter(())
        self._block: Block | None = None
        self._index = 0

    def until(self, stop_ms: int) -> list[AggTrade]:
        """Return the next trades up to a time, inclusive."""
        found: list[AggTrade] = []
        while True:
            if self._block is None and not self._open(stop_ms):
                return found
            block = self._block
            if block is None:
                return found
            stop = block.index_at(stop_ms + 1)
            if stop > self._index:
                found += block.rows(self._index, stop)
                self._index = stop
            if stop < len(block):
                return found
            self._from_ms = max(self._from_ms, int(block.order_ms[-1]) + 1 if len(block) else 0)
            self._block = None

    def _open(self, stop_ms: int) -> bool:
        for block in self.feed.blocks(self._from_ms, stop_ms + 1):
            index = block.index_at(self._from_ms)
            if index < len(block):
                self._block, self._index = block, index
                return True
        return False


def cursor_of(feed: Feed, from_ms: int) -> Cursor | LiveCursor:
    """Return what reads a feed: by time, or as its trades arrive."""
    return LiveCursor(feed) if isinstance(feed, LiveFeed) else Cursor(feed, from_ms)


class Pump:
    """The market's engine room.

    What a trade does to orders is given to `keep` before the next trade is played. Tickers come at every kline
    tick, but not sooner after each other than `ticker_every_s` of wall time.
    """

    def __init__(
        self,
        feeds: Mapping[str, Feed],
        exchange: Exchange,
        hub: Hub,
        clock: MarketClock,
        kline_every_ms: int,
        keep: Callable[[], None] = lambda: None,
        ticker_every_s: float = 0.0,
    ) -> None:
        self._feeds = feeds
        self._exchange = exchange
        self._hub = hub
        self._clock = clock
        self._every_ms = kline_every_ms
        self._keep = keep
        self._ticker_every_s = ticker_every_s
        self._tickers_due_s = 0.0
        self._cursors = {name: cursor_of(feed, clock.now_ms) for name, feed in feeds.items()}
        self._live: dict[tuple[str, str], Kline] = {}
        self._since_yield = 0
        self._busy = asyncio.Lock()

    @property
    def end_ms(self) -> int | None:
        """Time of the last recorded trade, None when every market walks."""
        known = [feed.last_ms for feed in self._feeds.values() if feed.last_ms is not None]
        return max(known, default=None)

    @property
    def ended(self) -> bool:
        """Tell whether every recording has been played."""
        return self.end_ms is not None and self._clock.now_ms >= self.end_ms

    def rewind_prices(self, symbol: str) -> None:
        """Read a feed again from now on: its prices have changed."""
        self._cursors[symbol].seek(self._clock.now_ms + 1)

    async def advance(self, target_ms: int) -> None:
        """Bring the market to a time, slice by slice; a slice ends at a kline tick."""
        async with self._busy:
            while self._clock.now_ms < target_ms:
                tick_ms = (self._clock.now_ms // self._every_ms + 1) * self._every_ms
                stop_ms = min(tick_ms, target_ms)
                await self._play_until(stop_ms)
                self._set_time(stop_ms)
                if stop_ms == tick_ms:
                    self._send_klines(stop_ms)
                    self._send_tickers(stop_ms)
                self._since_yield += SLICE_WORTH
                if self._since_yield >= YIELD_EVERY:
                    await self._breathe()
            await self._breathe()

    def max_target_ms(self) -> int | None:
        """Return how far a free market may go now, None when it halts for good."""
        target = self._clock.capped(self._clock.now_ms + JUMP_MS)
        if self.end_ms is None:
            return target
        halt_ms = (self.end_ms // MINUTE_MS + 1) * MINUTE_MS + END_MARGIN_MS
        return min(target, halt_ms) if self._clock.now_ms < halt_ms else None

    async def _play_until(self, stop_ms: int) -> None:
        queues = [
            [(trade.time_ms, name, trade) for trade in cursor.until(stop_ms)]
            for name, cursor in self._cursors.items()
        ]
        waiting = queues[0] if len(queues) == 1 else merge(*queues, key=lambda item: item[0])
        for time_ms, symbol, trade in waiting:
            self._set_time(max(time_ms, self._clock.now_ms))
            self._play(symbol, trade)
            self._since_yield += 1
            if self._since_yield >= YIELD_EVERY:
                await self._breathe()

    def _play(self, symbol: str, trade: AggTrade) -> None:
        self._exchange.on_trade(symbol, trade)
        if self._exchange.has_changed:
            self._keep()
        lower = symbol.lower()
        hub = self._hub
        if hub.wanted(f"{lower}@aggTrade"):
            hub.publish(f"{lower}@aggTrade", agg_trade_text(symbol, trade))
        if hub.wanted(f"{lower}@trade"):
            for raw in split_raw(trade):
                hub.publish(f"{lower}@trade", trade_text(symbol, raw))
        if hub.wanted(f"{lower}@bookTicker"):
            book = self._exchange.books[symbol]
            hub.publish(f"{lower}@bookTicker", orjson.dumps(book_message(book)).decode())
        for (name, interval), kline in list(self._live.items()):
            if name == symbol:
                self._roll(name, interval, kline, trade.time_ms).add(trade)

    def _set_time(self, time_ms: int) -> None:
        self._clock.now_ms = time_ms
        self._exchange.now_ms = time_ms

    async def _breathe(self) -> None:
        self._since_yield = 0
        if self._clock.speed:
            self._hub.cut_laggards()
        else:
            await self._hub.room()
        await asyncio.sleep(0)

    def _send_tickers(self, now_ms: int) -> None:
        """Send a day's statistics, by the wall clock: at speed 3000 the market has 1500 ticks a second."""
        if time.monotonic() < self._tickers_due_s:
            return
        self._tickers_due_s = time.monotonic() + self._ticker_every_s
        for stream in self._hub.streams():
            name, _, kind = stream.upper().partition("@")
            if kind in ("TICKER", "MINITICKER") and name in self._feeds:
                book, mini = self._exchange.books[name], kind == "MINITICKER"
                message = ticker_message(self._feeds[name], book, now_ms, mini=mini)
                self._hub.publish(stream, orjson.dumps(message).decode())

    # klines

    def watch_kline(self, symbol: str, interval: str) -> None:
        """Keep the current candle of a stream from now on."""
        if (symbol, interval) not in self._live:
            kline = current_kline(self._feeds[symbol], interval, self._clock.now_ms)
            if kline is not None:
                self._live[symbol, interval] = kline

    def _roll(self, symbol: str, interval: str, kline: Kline, now_ms: int) -> Kline:
        """Close the candles that ended by now and return the current one."""
        stream = f"{symbol.lower()}@kline_{interval}"
        while kline.close_ms <= now_ms:
            if not (self._halted(symbol, kline.open_ms) and self._halted(symbol, kline.close_ms - 1)):
                self._hub.publish(stream, kline_text(symbol, interval, kline, kline.close_ms, True))
            kline = flat(interval, bounds(interval, kline.close_ms).open_ms, kline.close8)
            self._live[symbol, interval] = kline
        return kline

    def _known_ms(self, symbol: str, now_ms: int) -> int:
        """Return up to when the trades of a market are known: the relayed ones come in their own time."""
        feed = self._feeds[symbol]
        return min(now_ms, feed.known_ms) if isinstance(feed, LiveFeed) else now_ms

    def _halted(self, symbol: str, time_ms: int) -> bool:
        return self._exchange.is_halted(symbol, time_ms)

    def _send_klines(self, now_ms: int) -> None:
        for stream in self._hub.streams():
            name, _, kind = stream.partition("@")
            if kind.startswith("kline_") and name.upper() in self._feeds:
                self.watch_kline(name.upper(), kind.removeprefix("kline_"))
        for (symbol, interval), kline in list(self._live.items()):
            stream = f"{symbol.lower()}@kline_{interval}"
            if not self._hub.wanted(stream):
                del self._live[symbol, interval]
                continue
            known_ms = self._known_ms(symbol, now_ms)
            current = self._roll(symbol, interval, kline, known_ms)
            if current is kline and not self._halted(symbol, known_ms):
                text = kline_text(symbol, interval, current, known_ms, False)
                self._hub.publish(stream, text)
