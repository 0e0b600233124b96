"""The trades of one relayed market: what arrived so far, and candles of what came before.

Invariant: the log begins at a whole minute (`first_ms`) and holds every trade from there on, ids without
a hole. `head` holds the candles of the time just before (days, then hours, then minutes), so that a candle
in which the log begins is whole too.
"""

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np

from simex.market.klines import DAY_MS, FIXED_MS, Kline, bounds, traded_klines
from simex.market.tradelog import AggTrade, Block

MINUTE_MS, HOUR_MS = FIXED_MS["1m"], FIXED_MS["1h"]
BLOCK_TRADES = 10_000
KEPT_TRADES = 600_000  # of one market; beyond it the oldest hours are forgotten
HEAD_MS = 40 * DAY_MS


class LiveFeed:
    """A market that grows as its upstream trades.

    A trade is in the log, and asked for, once it arrived; it meets orders when the market plays what is in
    `arrived`.
    """

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.last_ms: int | None = None
        self.arrived: deque[AggTrade] = deque()
        self.begin(0, None)

    def begin(
        self, since_ms: int, before: AggTrade | None, head: Sequence[Kline] = (), first_id: int | None = None
    ) -> None:
        """Forget everything and begin at a whole minute.

        Args:
            since_ms: market time; every trade from there on is to be appended.
            before: the last trade before it.
            head: candles of the time before, contiguous up to `since_ms`.
            first_id: aggregate id of the trade to come, None when nobody knows.
        """
        self.first_ms = self.known_ms = since_ms
        self.head: Sequence[Kline] = head
        self.newest = before
        self._first_id = first_id
        self.arrived.clear()
        self._blocks: list[Block] = [] if before is None else [_block([before])]
        self._has_before = before is not None
        self._tail: list[AggTrade] = []
        self._tail_block: Block | None = None

    @property
    def next_id(self) -> int | None:
        """Aggregate id of the trade to come, None as long as none is known."""
        return self._first_id if self.newest is None else self.newest.agg_id + 1

    def append(self, trade: AggTrade) -> None:
        """Add the next trade, which also waits for the market to play it.

        Raises:
            ValueError: it is not the next one.
        """
        if self.next_id is not None and trade.agg_id != self.next_id:
            raise ValueError(f"{self.symbol}: trade {trade.agg_id} after {self.next_id - 1}")
        self.newest = trade
        self._tail.append(trade)
        self._tail_block = None
        self.arrived.append(trade)
        self.hear(trade.time_ms)
        if len(self._tail) >= BLOCK_TRADES:
            self._blocks.append(_block(self._tail))
            self._tail = []
            self._forget_old()

    def hear(self, time_ms: int) -> None:
        """Note that everything up to a market time has arrived."""
        self.known_ms = max(self.known_ms, time_ms)

    # Feed

    def blocks(self, start_ms: int, end_ms: int) -> Iterator[Block]:
        """Yield the blocks that touch [start_ms, end_ms), oldest first."""
        for block in self._log():
            if int(block.order_ms[-1]) >= start_ms and int(block.order_ms[0]) < end_ms:
                yield block

    def blocks_back(self, time_ms: int) -> Iterator[Block]:
        """Yield the blocks that began by time_ms, newest first; the trade before the log comes last."""
        for block in reversed(self._all()):
            if int(block.order_ms[0]) <= time_ms:
                yield block

    def block_with(self, agg_id: int) -> Block | None:
        """Return the block that holds an aggregate id."""
        found = (b for b in self._log() if int(b.agg_id[0]) <= agg_id <= int(b.agg_id[-1]))
        return next(found, None)

    def _log(self) -> list[Block]:
        return self._all()[1 if self._has_before else 0 :]

    def _all(self) -> list[Block]:
        if not self._tail:
            return self._blocks
        if self._tail_block is None:
            self._tail_block = _block(self._tail)
        return [*self._blocks, self._tail_block]

    def _forget_old(self) -> None:
        """Keep memory bounded: the oldest whole hours become candles of the head."""
        blocks = self._log()
        if len(blocks) * BLOCK_TRADES <= KEPT_TRADES:
            return
        cut_ms = int(blocks[len(blocks) // 2].order_ms[0]) // HOUR_MS * HOUR_MS
        if cut_ms > self.first_ms:
            self._forget_before(cut_ms)

    def _forget_before(self, cut_ms: int) -> None:
        from_ms = self.first_ms // HOUR_MS * HOUR_MS
        kept = [piece for piece in self.head if cut_ms - HEAD_MS <= piece.open_ms < from_ms]
        self.head = [*kept, *traded_klines(self, "1h", from_ms, cut_ms)]
        old = next(block for block in self.blocks_back(cut_ms - 1) if block.index_at(cut_ms))
        before = old.row(old.index_at(cut_ms) - 1)
        first, *rest = [block for block in self._log() if int(block.order_ms[-1]) >= cut_ms]
        self._blocks = [_block([before]), _block(first.rows(first.index_at(cut_ms), len(first))), *rest]
        self._has_before = True
        self.first_ms = cut_ms


def head_spans(since_ms: int) -> list[tuple[str, int, int]]:
    """Return which candles make the head of a log: (interval, start, end), days, hours, minutes.

    They reach back to the begin of the longest candle that holds `since_ms` (a month, a week), hours at
    least to the begin of the day before, for a day's statistics.
    """
    day_ms = since_ms // DAY_MS * DAY_MS
    yesterday_ms, hour_ms = day_ms - DAY_MS, since_ms // HOUR_MS * HOUR_MS
    first_ms = min(bounds(interval, since_ms).open_ms for interval in ("1M", "1w", "3d"))
    spans = [("1d", first_ms, yesterday_ms), ("1h", yesterday_ms, hour_ms), ("1m", hour_ms, since_ms)]
    return [span for span in spans if span[1] < span[2]]


def _block(trades: Sequence[AggTrade]) -> Block:
    columns = list(zip(*trades, strict=True))
    integers = [np.array(column, dtype=np.int64) for column in columns[:6]]
    agg_id, price8, quantity8, first_id, last_id, time_ms = integers
    maker = np.array(columns[6], dtype=np.bool_)
    return Block(agg_id, price8, quantity8, first_id, last_id, time_ms, maker)


class LiveCursor:
    """Reads what arrived once, in order of arrival."""

    def __init__(self, feed: LiveFeed) -> None:
        self._feed = feed

    def seek(self, from_ms: int) -> None:
        """Nothing to go back to: what arrived is played once."""

    def until(self, stop_ms: int) -> list[AggTrade]:
        """Return what arrived and is no later than a time."""
        found: list[AggTrade] = []
        arrived = self._feed.arrived
        while arrived and arrived[0].time_ms <= stop_ms:
            found.append(arrived.popleft())
        return found
