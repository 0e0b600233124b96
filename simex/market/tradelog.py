"""The public trade log: what a feed gives, and how it is asked.

Invariant: within a feed, aggregate ids are contiguous and `first_id` of a trade is the
previous `last_id` + 1, whatever range is asked for and in whatever order.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from simex.market.klines import Kline

Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]


class AggTrade(NamedTuple):
    """One aggregate trade; price and quantity in units of 1e-8."""

    agg_id: int
    price8: int
    quantity8: int
    first_id: int
    last_id: int
    time_ms: int
    buyer_is_maker: bool


class RawTrade(NamedTuple):
    """One of the executions that an aggregate trade groups."""

    trade_id: int
    price8: int
    quantity8: int
    time_ms: int
    buyer_is_maker: bool


def split_raw(trade: AggTrade) -> list[RawTrade]:
    """Cut an aggregate trade into its executions: equal parts, the rest on the last one."""
    count = trade.last_id - trade.first_id + 1
    part, rest = divmod(trade.quantity8, count)
    return [
        RawTrade(
            trade.first_id + i,
            trade.price8,
            part + (rest if i == count - 1 else 0),
            trade.time_ms,
            trade.buyer_is_maker,
        )
        for i in range(count)
    ]


@dataclass(frozen=True)
class Block:
    """A run of consecutive aggregate trades, as columns."""

    agg_id: Ints
    price8: Ints
    quantity8: Ints
    first_id: Ints
    last_id: Ints
    time_ms: Ints
    maker: Bools

    def __len__(self) -> int:
        return len(self.agg_id)

    @cached_property
    def order_ms(self) -> Ints:
        """Times made non-decreasing, so that a search by time is a bisection."""
        return np.maximum.accumulate(self.time_ms) if len(self) else self.time_ms

    def index_at(self, time_ms: int) -> int:
        """Return the index of the first trade at or after a time."""
        return int(np.searchsorted(self.order_ms, time_ms, side="left"))

    def rows(self, start: int, stop: int) -> list[AggTrade]:
        """Return trades [start, stop) as objects."""
        cut = slice(max(start, 0), stop)
        columns = (
            self.agg_id[cut].tolist(),
            self.price8[cut].tolist(),
            self.quantity8[cut].tolist(),
            self.first_id[cut].tolist(),
            self.last_id[cut].tolist(),
            self.time_ms[cut].tolist(),
            self.maker[cut].tolist(),
        )
        return [AggTrade(*row) for row in zip(*columns, strict=True)]

    def row(self, index: int) -> AggTrade:
        """Return one trade."""
        return self.rows(index, index + 1)[0]


class Feed(Protocol):
    """A source of public trades for one symbol."""

    @property
    def symbol(self) -> str:
        """Binance's name of the market, e.g. BTCUSDT."""

    @property
    def first_ms(self) -> int:
        """Time from which the feed can be asked."""

    @property
    def last_ms(self) -> int | None:
        """Time of the last trade, None when the feed never ends."""

    @property
    def head(self) -> "Sequence[Kline]":
        """Candles that stand for the time before the first trade; none but in a relayed market."""

    def blocks(self, start_ms: int, end_ms: int) -> Iterator[Block]:
        """Yield the blocks that touch [start_ms, end_ms), oldest first."""

    def blocks_back(self, time_ms: int) -> Iterator[Block]:
        """Yield the blocks from the one at time_ms towards the past."""

    def block_with(self, agg_id: int) -> Block | None:
        """Return the block that holds an aggregate id, None when it is out of range."""


class TradeLog:
    """Questions about a feed, never answering with trades later than asked."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed

    def between(self, start_ms: int, end_ms: int, limit: int) -> list[AggTrade]:
        """Return the oldest `limit` trades with start_ms <= time < end_ms."""
        found: list[AggTrade] = []
        for block in self.feed.blocks(start_ms, end_ms):
            low, high = block.index_at(start_ms), block.index_at(end_ms)
            found += block.rows(low, min(high, low + limit - len(found)))
            if len(found) >= limit:
                break
        return found

    def from_id(self, agg_id: int, end_ms: int, limit: int) -> list[AggTrade]:
        """Return the oldest `limit` trades with id >= agg_id and time < end_ms."""
        newest = self.latest(end_ms - 1, 1)
        if not newest or agg_id > newest[0].agg_id:
            return []
        block = self.feed.block_with(agg_id)
        if block is None:
            oldest = next(iter(self.feed.blocks(self.feed.first_ms, end_ms)), None)
            if oldest is None or not len(oldest) or agg_id > int(oldest.agg_id[0]):
                return []
            block = oldest
        index = bisect_left(block.agg_id, agg_id)
        found = block.rows(index, min(block.index_at(end_ms), index + limit))
        if len(found) < limit and block.index_at(end_ms) == len(block):
            after = int(block.time_ms[-1]) + 1
            found += self.between(after, end_ms, limit - len(found))
        return found

    def from_raw_id(self, trade_id: int, end_ms: int, limit: int) -> list[AggTrade]:
        """Return the aggregates from the one that holds an execution id on, at most `limit`."""
        newest = self.latest(end_ms - 1, 1)
        if not newest or trade_id > newest[0].last_id:
            return []
        low, high = 0, newest[0].agg_id
        while low < high:
            middle = (low + high) // 2
            found = self.from_id(middle, end_ms, 1)
            if found and found[0].last_id >= trade_id:
                high = middle
            else:
                low = middle + 1
        return self.from_id(low, end_ms, limit)

    def latest(self, now_ms: int, limit: int) -> list[AggTrade]:
        """Return the newest `limit` trades with time <= now_ms, oldest first."""
        found: list[AggTrade] = []
        for block in self.feed.blocks_back(now_ms):
            high = block.index_at(now_ms + 1)
            found = block.rows(max(0, high - (limit - len(found))), high) + found
            if len(found) >= limit:
                break
        return found

    def last_at(self, now_ms: int) -> AggTrade | None:
        """Return the last trade at or before now_ms; before any, the first to come."""
        past = self.latest(now_ms, 1)
        if past:
            return past[0]
        for block in self.feed.blocks(self.feed.first_ms, self.feed.first_ms + 7 * 86_400_000):
            if len(block):
                return block.row(0)
        return None
