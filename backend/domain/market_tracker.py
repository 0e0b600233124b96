"""Follows one market: trades in order, the market's clock, the candles, and what contradicts them.

No network, no clock of its own: messages come in, closed candles and questions ("these ids are missing")
come out. The market's clock is the newest event time seen; it closes candles only while nothing is known
to be missing.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from domain.candle_builder import CandleBuilder, Closing
from domain.candles import Candle
from domain.trade_sequence import AggTrade, Hole, TradeSequencer

GRACE_MS = 250  # market time left to trades on their way when a kline, not a trade, says that a candle ended
_FINALS_KEPT = 16


class KlineEvent(NamedTuple):
    """Binance's own idea of the current minute, sent every 2 s even when nobody trades."""

    symbol: str
    event_ms: int
    open_ms: int
    is_final: bool
    last_trade_id: int  # of an execution; -1 when the minute is empty
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trade_count: int


class Disagreement(NamedTuple):
    """A minute of ours that differs from the exchange's own final kline."""

    ours: Candle
    theirs: KlineEvent


class MarketTracker:
    """One market of the stream, from messages to closed candles.

    Args:
        sequencer: positioned on the first trade awaited.
        builder: positioned on the first candle to build.
    """

    def __init__(self, sequencer: TradeSequencer, builder: CandleBuilder, *, grace_ms: int = GRACE_MS) -> None:
        self.sequencer = sequencer
        self.builder = builder
        self.market_ms = 0
        self.disagreements: list[Disagreement] = []
        self._grace_ms = grace_ms
        self._withheld: KlineEvent | None = None  # newest kline that came while something was missing
        self._verified_id = -1
        self._finals: dict[int, KlineEvent] = {}

    @property
    def missing(self) -> Hole | None:
        """Aggregate ids known to be missing; `last < first` when only a kline says that there are more."""
        hole = self.sequencer.hole
        if hole is None and self._withheld is not None:
            next_id = self.sequencer.next_id or 0
            return Hole(next_id, next_id - 1)
        return hole

    def on_trade(self, trade: AggTrade, event_ms: int) -> None:
        """Take a trade of the stream."""
        for released in self.sequencer.push(trade):
            self.builder.apply(released)
        if event_ms > self.market_ms:
            self.market_ms = event_ms
        if self._withheld is not None:
            self._retry()

    def on_kline(self, kline: KlineEvent) -> None:
        """Take a kline: it moves the clock when it knows no more trades than we do."""
        self.market_ms = max(self.market_ms, kline.event_ms)
        if kline.is_final:
            self._finals[kline.open_ms] = kline
            if len(self._finals) > _FINALS_KEPT:
                del self._finals[next(iter(self._finals))]
        if self._withheld is None or kline.event_ms >= self._withheld.event_ms:
            self._withheld = kline
        self._retry()
        self._check_finals()

    def on_clock(self, market_ms: int) -> None:
        """Take the market's own time from a source that knows of no later trade than we do."""
        self.market_ms = max(self.market_ms, market_ms)
        if self.missing is None:
            self.builder.advance(market_ms - self._grace_ms)

    def on_backfill(self, trades: Iterable[AggTrade]) -> None:
        """Take trades asked for by REST, ascending."""
        for trade in trades:
            for released in self.sequencer.push(trade):
                self.builder.apply(released)
        self._retry()
        self._check_finals()

    def backfill_done(self) -> None:
        """The exchange knows no more trades: believe it rather than the kline."""
        if self._withheld is not None and self.sequencer.hole is None:
            self._verified_id = max(self._verified_id, self._withheld.last_trade_id)
            self._retry()

    def give_up(self, hole: Hole) -> None:
        """The exchange does not have these trades: go on without them."""
        for released in self.sequencer.skip_to(hole.last + 1):
            self.builder.apply(released)
        self._retry()

    def drain(self) -> list[Closing]:
        """Return the candles closed or corrected since the last call."""
        return self.builder.drain()

    def _retry(self) -> None:
        """Let the withheld kline move the clock once nothing before it is missing."""
        kline = self._withheld
        if kline is None or self.sequencer.hole is not None or self._knows_more(kline):
            return
        self._withheld = None
        self.builder.advance(kline.event_ms - self._grace_ms)

    def _knows_more(self, kline: KlineEvent) -> bool:
        last = self.sequencer.last_raw_id
        if last is None:  # no trade was applied yet: only one already known to the exchange can be missing
            return self.sequencer.next_id is None and kline.last_trade_id > self._verified_id
        return kline.last_trade_id > max(last, self._verified_id)

    def _check_finals(self) -> None:
        for open_ms, kline in list(self._finals.items()):
            ours = self.builder.closed_minute(open_ms)
            if ours is not None:
                del self._finals[open_ms]
                if not _same(ours, kline):
                    self.disagreements.append(Disagreement(ours, kline))


def _same(ours: Candle, theirs: KlineEvent) -> bool:
    return (ours.open, ours.high, ours.low, ours.close, ours.volume, ours.trade_count) == (
        theirs.open,
        theirs.high,
        theirs.low,
        theirs.close,
        theirs.volume,
        theirs.trade_count,
    )
