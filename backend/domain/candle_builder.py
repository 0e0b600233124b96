"""Builds the candles of one market, of all timeframes at once, from trades in the order of their ids.

Invariant: a minute is built from trades; longer candles are rolled up only from minutes that hold
trades, so that a flat minute never lends its price to the open of a longer candle.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from domain.candles import Candle
from domain.timeframes import HEARTBEAT_TIMEFRAMES, Timeframe, from_ms, to_ms
from domain.trade_sequence import AggTrade

MINUTE_MS = Timeframe.M1.milliseconds
_ZERO = Decimal(0)
_KEPT = 300  # closed candles kept per timeframe, to be corrected


class Closing(NamedTuple):
    """A candle that closed, or its new version when a trade came after the close."""

    candle: Candle
    is_correction: bool = False


class _Bar:
    """A candle being filled. `count` 0: no trade yet, prices mean nothing."""

    __slots__ = (
        "close",
        "close_ms",
        "count",
        "first_key",
        "high",
        "last_key",
        "low",
        "open",
        "open_ms",
        "timeframe",
        "volume",
    )

    def __init__(self, timeframe: Timeframe, open_ms: int) -> None:
        self.timeframe = timeframe
        self.reset(open_ms)

    def reset(self, open_ms: int) -> None:
        self.open_ms = open_ms
        self.close_ms = open_ms + self.timeframe.milliseconds
        self.open = self.high = self.low = self.close = self.volume = _ZERO
        self.count = 0
        self.first_key = self.last_key = 0

    def add(self, trade: AggTrade) -> None:
        price = trade.price
        if self.count == 0:
            self.open = self.high = self.low = price
            self.first_key = trade.id
        elif price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.close = price
        self.last_key = trade.id
        self.volume += trade.quantity
        self.count += trade.last_id - trade.first_id + 1

    def merge(self, other: "_Bar") -> None:
        """Add a part that holds trades; ids decide which open and close win, whatever the order of merging."""
        if self.count == 0:
            self.open, self.high, self.low = other.open, other.high, other.low
            self.first_key = other.first_key
            self.close, self.last_key = other.close, other.last_key
        else:
            self.high = max(self.high, other.high)
            self.low = min(self.low, other.low)
            if other.first_key < self.first_key:
                self.open, self.first_key = other.open, other.first_key
            if other.last_key > self.last_key:
                self.close, self.last_key = other.close, other.last_key
        self.volume += other.volume
        self.count += other.count


class CandleBuilder:
    """Turns ordered trades into closed candles.

    Time only moves by `apply` (a trade proves that earlier ones all came) and `advance` (the market's
    clock). Nothing is closed while the caller knows of a hole: it must not call `advance` then.

    Args:
        start_ms: aligned on the minute; the first minute built. Longer candles begin at their own opening
            before it and must be completed with `seed`.
        last_price: close before `start_ms`, for flat candles; None: nothing flat before the first trade.
    """

    def __init__(
        self,
        symbol: str,
        *,
        start_ms: int,
        last_price: Decimal | None = None,
        timeframes: Sequence[Timeframe] = HEARTBEAT_TIMEFRAMES,
    ) -> None:
        if start_ms % MINUTE_MS or Timeframe.M1 not in timeframes:
            raise ValueError(f"start {start_ms} must be aligned on a minute and 1m among the timeframes")
        self.symbol = symbol
        self.last_price = last_price
        self.ignored = 0  # trades older than what can still be corrected
        self._timeframes = tuple(timeframes)
        self._minute = _Bar(Timeframe.M1, start_ms)
        self._longer = [_Bar(t, t.open_ms(start_ms)) for t in timeframes if t is not Timeframe.M1]
        self._first_open = {t: t.open_ms(start_ms) for t in timeframes}
        self._closed: dict[Timeframe, dict[int, Candle]] = {t: {} for t in timeframes}
        self._closings: list[Closing] = []
        self._seeds = 0

    @property
    def first_needed_ms(self) -> int:
        """Opening of the longest candle: minutes from there to `start_ms` are to be given to `seed`."""
        return min(bar.open_ms for bar in (self._minute, *self._longer))

    def seed(self, minute: Candle) -> None:
        """Complete the longer candles with a minute before `start_ms`; ascending, flat ones are skipped."""
        if not minute.trade_count:
            return
        part = _Bar(Timeframe.M1, to_ms(minute.open_time))
        part.open, part.high, part.low, part.close = minute.open, minute.high, minute.low, minute.close
        part.volume, part.count = minute.volume, minute.trade_count
        self._seeds += 1
        part.first_key = part.last_key = self._seeds - 1_000_000_000  # before any trade id, in order
        for bar in self._longer:
            if bar.open_ms <= part.open_ms < min(bar.close_ms, self._minute.open_ms):
                bar.merge(part)
        self.last_price = minute.close

    def apply(self, trade: AggTrade) -> None:
        """Add the next trade by id, closing the candles that end at or before its time."""
        minute = self._minute
        if trade.time_ms >= minute.close_ms:
            self.advance(trade.time_ms)
        elif trade.time_ms < minute.open_ms:
            self._correct(trade)
            return
        minute.add(trade)
        self.last_price = trade.price

    def advance(self, market_ms: int) -> None:
        """Close every candle that ends at or before `market_ms`; empty ones are flat at the last price."""
        while self._minute.close_ms <= market_ms:
            self._close_minute()

    def drain(self) -> list[Closing]:
        """Return what closed or was corrected since the last call: by close time, then length."""
        closings, self._closings = self._closings, []
        return closings

    def closed_minute(self, open_ms: int) -> Candle | None:
        """Return a minute that closed recently."""
        return self._closed[Timeframe.M1].get(open_ms)

    def forming(self) -> list[Candle]:
        """Return the open candle of each timeframe, by length; none for a market without a price."""
        found = []
        for bar in (self._minute, *self._longer):
            whole = _Bar(bar.timeframe, bar.open_ms)
            for part in (bar,) if bar is self._minute else (bar, self._minute):
                if part.count:
                    whole.merge(part)
            candle = self._candle(whole)
            if candle is not None:
                found.append(candle)
        return found

    def _close_minute(self) -> None:
        minute = self._minute
        boundary = minute.close_ms
        if minute.count:
            for bar in self._longer:
                bar.merge(minute)
        self._emit(minute)
        for bar in self._longer:
            if bar.close_ms == boundary:
                self._emit(bar)
        minute.reset(boundary)

    def _emit(self, bar: _Bar) -> None:
        candle = self._candle(bar)
        if candle is not None:
            self._keep(bar.open_ms, candle)
            self._closings.append(Closing(candle))
        if bar is not self._minute:
            bar.reset(bar.close_ms)

    def _candle(self, bar: _Bar) -> Candle | None:
        if bar.count:
            prices = (bar.open, bar.high, bar.low, bar.close)
        elif self.last_price is not None:
            prices = (self.last_price,) * 4
        else:
            return None
        return Candle(self.symbol, bar.timeframe, from_ms(bar.open_ms), *prices, bar.volume, bar.count)

    def _keep(self, open_ms: int, candle: Candle) -> None:
        kept = self._closed[candle.timeframe]
        kept[open_ms] = candle
        if len(kept) > _KEPT:
            del kept[next(iter(kept))]

    def _correct(self, trade: AggTrade) -> None:
        """Apply a trade whose minute is closed already: it is the newest by id, so it sets the close."""
        oldest = next(iter(self._closed[Timeframe.M1]), self._first_open[Timeframe.M1])
        if trade.time_ms < max(min(oldest, self._minute.open_ms), self._first_open[Timeframe.M1]):
            self.ignored += 1
            return
        open_bars = {bar.timeframe: bar for bar in self._longer}
        for timeframe in self._timeframes:
            open_ms = timeframe.open_ms(trade.time_ms)
            bar = open_bars.get(timeframe)
            if bar is not None and bar.open_ms == open_ms:
                bar.add(trade)
                continue
            self._revise(timeframe, open_ms, trade)
        last_minute = Timeframe.M1.open_ms(trade.time_ms)
        later = [c for at, c in self._closed[Timeframe.M1].items() if at > last_minute]
        if self._minute.count == 0 and not any(c.trade_count for c in later):
            self.last_price = trade.price

    def _revise(self, timeframe: Timeframe, open_ms: int, trade: AggTrade) -> None:
        kept = self._closed[timeframe]
        revised = _with_trade(kept.get(open_ms), self.symbol, timeframe, open_ms, trade)
        self._replace(open_ms, revised)
        end = self._minute.open_ms
        following = open_ms + timeframe.milliseconds
        while following + timeframe.milliseconds <= end:
            after = kept.get(following)
            if after is not None and after.trade_count:
                break
            flat = (trade.price,) * 4
            self._replace(following, Candle(self.symbol, timeframe, from_ms(following), *flat, _ZERO, 0))
            following += timeframe.milliseconds

    def _replace(self, open_ms: int, candle: Candle) -> None:
        existed = open_ms in self._closed[candle.timeframe]
        self._keep(open_ms, candle)
        self._closings.append(Closing(candle, is_correction=existed))


def _with_trade(candle: Candle | None, symbol: str, timeframe: Timeframe, open_ms: int, trade: AggTrade) -> Candle:
    if candle is None or not candle.trade_count:
        prices = (trade.price,) * 4
        return Candle(symbol, timeframe, from_ms(open_ms), *prices, trade.quantity, trade.executions)
    return Candle(
        symbol,
        timeframe,
        candle.open_time,
        candle.open,
        max(candle.high, trade.price),
        min(candle.low, trade.price),
        trade.price,
        candle.volume + trade.quantity,
        candle.trade_count + trade.executions,
    )
