"""Klines computed from the trade log in columns: an independent check of any candle builder."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

from simex.market.tradelog import AggTrade, Block, Feed, Ints
from simex.units import text8, text16

DAY_MS = 86_400_000
WEEK_OFFSET_MS = 4 * DAY_MS  # weeks start on Monday, the epoch was a Thursday
FIXED_MS = {
    "1s": 1_000,
    "1m": 60_000,
    "3m": 180_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
    "2h": 7_200_000,
    "4h": 14_400_000,
    "6h": 21_600_000,
    "8h": 28_800_000,
    "12h": 43_200_000,
    "1d": DAY_MS,
    "3d": 3 * DAY_MS,
    "1w": 7 * DAY_MS,
}
INTERVALS = (*FIXED_MS, "1M")
SAFE = 2**62


@dataclass
class Kline:
    """One candle; prices and volumes in 1e-8, quote volumes in 1e-16 units."""

    open_ms: int
    close_ms: int
    open8: int
    high8: int
    low8: int
    close8: int
    volume8: int = 0
    quote16: int = 0
    trades: int = 0
    taker8: int = 0
    taker_quote16: int = 0
    first_id: int = -1
    last_id: int = -1

    def add(self, trade: AggTrade) -> None:
        """Put one more trade into the candle."""
        if self.trades == 0:
            self.open8 = self.high8 = self.low8 = trade.price8
            self.first_id = trade.first_id
        self.high8 = max(self.high8, trade.price8)
        self.low8 = min(self.low8, trade.price8)
        self.close8 = trade.price8
        self.volume8 += trade.quantity8
        quote = trade.price8 * trade.quantity8
        self.quote16 += quote
        self.trades += trade.last_id - trade.first_id + 1
        self.last_id = trade.last_id
        if not trade.buyer_is_maker:
            self.taker8 += trade.quantity8
            self.taker_quote16 += quote

    def row(self) -> list[int | str]:
        """Return the array of Binance's REST klines."""
        return [
            self.open_ms,
            text8(self.open8),
            text8(self.high8),
            text8(self.low8),
            text8(self.close8),
            text8(self.volume8),
            self.close_ms - 1,
            text16(self.quote16),
            self.trades,
            text8(self.taker8),
            text16(self.taker_quote16),
            "0",
        ]


class Bounds(NamedTuple):
    """An interval of time: open inclusive, close exclusive."""

    open_ms: int
    close_ms: int


def bounds(interval: str, time_ms: int) -> Bounds:
    """Return the interval that holds a time, aligned as Binance does (UTC, Monday weeks)."""
    if interval == "1M":
        at = datetime.fromtimestamp(time_ms / 1000, tz=UTC)
        first = datetime(at.year, at.month, 1, tzinfo=UTC)
        after = datetime(at.year + at.month // 12, at.month % 12 + 1, 1, tzinfo=UTC)
        return Bounds(int(first.timestamp()) * 1000, int(after.timestamp()) * 1000)
    length = FIXED_MS[interval]
    offset = WEEK_OFFSET_MS if interval == "1w" else 0
    open_ms = (time_ms - offset) // length * length + offset
    return Bounds(open_ms, open_ms + length)


def _open_times(interval: str, times: Ints) -> Ints:
    if interval == "1M":
        months = times.astype("datetime64[ms]").astype("datetime64[M]")
        return months.astype("datetime64[ms]").astype(np.int64)
    length = FIXED_MS[interval]
    offset = WEEK_OFFSET_MS if interval == "1w" else 0
    opened: Ints = (times - offset) // length * length + offset
    return opened


def _products(block: Block, low: int, high: int) -> Ints:
    price, quantity = block.price8[low:high], block.quantity8[low:high]
    if int(price.max()) * int(quantity.max()) * len(price) < SAFE:
        return price * quantity
    exact: Ints = price.astype(object) * quantity.astype(object)
    return exact


def _summaries(block: Block, low: int, high: int, interval: str) -> list[Kline]:
    if high <= low:
        return []
    opened = _open_times(interval, block.order_ms[low:high])
    starts = np.flatnonzero(np.diff(opened, prepend=opened[0] - 1))
    ends = np.append(starts[1:], high - low) - 1
    price, quantity = block.price8[low:high], block.quantity8[low:high]
    taker = ~block.maker[low:high]
    quote = _products(block, low, high)
    first, last = block.first_id[low:high], block.last_id[low:high]
    columns = (
        opened[starts],
        price[starts],
        np.maximum.reduceat(price, starts),
        np.minimum.reduceat(price, starts),
        price[ends],
        np.add.reduceat(quantity, starts),
        np.add.reduceat(quote, starts),
        np.add.reduceat(last - first + 1, starts),
        np.add.reduceat(quantity * taker, starts),
        np.add.reduceat(quote * taker, starts),
        first[starts],
        last[ends],
    )
    return [
        Kline(row[0], bounds(interval, row[0]).close_ms, *row[1:])
        for row in zip(*(column.tolist() for column in columns), strict=True)
    ]


def _merge(into: Kline, more: Kline) -> None:
    into.high8 = max(into.high8, more.high8)
    into.low8 = min(into.low8, more.low8)
    into.close8 = more.close8
    into.volume8 += more.volume8
    into.quote16 += more.quote16
    into.trades += more.trades
    into.taker8 += more.taker8
    into.taker_quote16 += more.taker_quote16
    into.last_id = more.last_id


def traded_klines(feed: Feed, interval: str, start_ms: int, end_ms: int) -> list[Kline]:
    """Return the candles that hold trades of [start_ms, end_ms)."""
    found = _from_head(feed, interval, start_ms, end_ms)
    for block in feed.blocks(start_ms, end_ms):
        low, high = block.index_at(start_ms), block.index_at(end_ms)
        _gather(found, _summaries(block, low, high, interval))
    return found


def _from_head(feed: Feed, interval: str, start_ms: int, end_ms: int) -> list[Kline]:
    """Return the candles made of those that stand for the time before the feed's first trade."""
    found: list[Kline] = []
    for piece in feed.head:
        opened = bounds(interval, piece.open_ms)
        if piece.trades and start_ms <= piece.open_ms < end_ms and piece.close_ms <= opened.close_ms:
            _gather(found, [replace(piece, open_ms=opened.open_ms, close_ms=opened.close_ms)])
    return found


def _gather(found: list[Kline], more: Iterable[Kline]) -> None:
    """Add candles to those found so far; what is of the same interval becomes one."""
    for kline in more:
        if found and found[-1].open_ms == kline.open_ms:
            _merge(found[-1], kline)
        else:
            found.append(kline)


def flat(interval: str, open_ms: int, price8: int) -> Kline:
    """Return the candle of an interval in which nobody traded."""
    return Kline(open_ms, bounds(interval, open_ms).close_ms, price8, price8, price8, price8)


def fill_gaps(
    klines: Sequence[Kline], interval: str, start_ms: int, end_ms: int, before8: int | None
) -> Iterable[Kline]:
    """Yield the candles of [start_ms, end_ms), flat ones where nobody traded.

    Args:
        klines: candles with trades, oldest first.
        interval: their interval.
        start_ms: any time of the first candle.
        end_ms: exclusive.
        before8: last price before start_ms, None when there was none: nothing is invented then.
    """
    by_open = {kline.open_ms: kline for kline in klines}
    open_ms, close_ms = bounds(interval, start_ms)
    while open_ms < end_ms:
        kline = by_open.get(open_ms)
        if kline is None and before8 is not None:
            kline = flat(interval, open_ms, before8)
        if kline is not None:
            before8 = kline.close8
            yield kline
        open_ms, close_ms = bounds(interval, close_ms)
