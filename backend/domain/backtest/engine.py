"""Plays a strategy's decisions over past candles, by the rules that a live bot meets.

1. A decision at the close of bar N trades at the open of N+1, worsened by the slippage.
2. Inside a candle the stop loss comes before the take profit; both are watched from the entry candle on.
   A candle that met both is counted as ambiguous, unless `inside` knows better.
3. A stop fills at the worse of its price and the open; a take profit at its price, and only if the market
   went through it.
4. The size goes through the same `size_order` and `Market` as a live order; what they refuse is listed.
5. Nothing is held or opened across a hole in the candles.
6. What is still held at the end is valued apart; it is no trade.

Amounts are whole numbers (units.py), exact as Decimals are; the outcome shows Decimals.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from math import inf

import numpy as np

from domain.backtest.contract import (
    BacktestSettings,
    CandleSeries,
    Decisions,
    HeldPosition,
    OpenPosition,
    Outcome,
    Refusal,
    Touch,
)
from domain.backtest.entries import Entries, Refused
from domain.backtest.exits import Exit, Exits
from domain.backtest.foreseen import ForeseenTrades
from domain.backtest.ledger import Held, Row, Trades
from domain.backtest.touches import TouchIndex
from domain.backtest.units import Units, price_scale, whole_prices

MAX_LISTED_REFUSALS = 200
_FIRST_STRETCH = 64  # candles looked through at first for the end of a position
_TELL_EVERY = 32  # searches for an entry

# Tells, from finer candles, which protection a candle met first; None when that is not known.
Inside = Callable[[int, HeldPosition], Touch | None]
# Called with the bar reached; may raise to stop the run.
Progress = Callable[[int], None]


def simulate(
    candles: CandleSeries,
    decisions: Decisions,
    settings: BacktestSettings,
    *,
    ambiguous: Touch = Touch.STOP_FIRST,
    inside: Inside | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Run a strategy over the candles.

    Args:
        ambiguous: what is assumed when one candle met both protections and `inside` does not know.
        progress: called now and then; a strategy that takes its time calls its own.

    Returns:
        The same outcome for the same arguments, to the last digit.
    """
    return _Run(candles, decisions, settings, ambiguous, inside, progress).play()


@dataclass
class _Run:
    candles: CandleSeries
    decisions: Decisions
    settings: BacktestSettings
    ambiguous: Touch
    inside: Inside | None
    progress: Progress | None
    rows: list[Row] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    refused_count: int = 0
    skipped_at_holes: int = 0
    searches: int = 0
    open: Held | None = None

    def __post_init__(self) -> None:
        self.units = Units(self.settings)
        self.cash = self.start = self.units.of_money(self.settings.initial_amount)
        scale = price_scale(self.candles)
        opens = whole_prices(self.candles.open, scale)
        self.entries = Entries(self.candles, self.settings, self.units, opens, scale)
        self.exits = Exits(self.candles, self.settings, self.units, opens, scale, self.ambiguous, self.inside)
        foreseen = self.decisions.foreseen()
        self.touches = TouchIndex(self.candles, foreseen)
        self.per_quote, self.tick = self.units.per_quote, (self.units.tick_over, self.units.tick_under)
        # Bars after which the next candle is missing, and the very last one.
        steps = np.diff(self.candles.open_time_ms)
        self.ends = [int(bar) for bar in np.flatnonzero(steps != self.candles.step_ms)] + [len(self.candles) - 1]
        self.foreseen = self._foreseen()

    def _foreseen(self) -> ForeseenTrades | None:
        rides = self.touches.rides
        terms = None if rides is None else rides.foreseen.terms
        if rides is None or terms is None:
            return None
        return ForeseenTrades(self.units, self.entries, self.exits, rides, terms=terms, ends=self.ends)

    def play(self) -> Outcome:
        bar = self.settings.first_bar
        for end in self.ends:
            while bar <= end:
                bar = self._next(bar, end)
        return self._outcome()

    def _next(self, bar: int, end: int) -> int:
        """Go from a flat strategy at `bar` to the next bar at whose close it is flat, or beyond `end`."""
        if self.progress is not None and not self.searches % _TELL_EVERY:
            self.progress(bar)
        self.searches += 1
        if self.foreseen is not None:
            bar, self.cash = self.foreseen.play(bar, self.cash, self.rows)
            if bar > end:
                return bar
        balance = self.cash / self.per_quote
        signal = self.decisions.next_entry(bar, end, balance)
        if signal is None:
            return end + 1
        if signal == end:
            self.skipped_at_holes += end != self.ends[-1]
            return end + 1
        terms = self.decisions.entry_terms(signal, balance)
        try:
            held = self.entries.at(signal, terms, self.cash)
        except Refused as exc:
            self._refuse(signal, str(exc))
            return signal + 1
        return self._hold(held, end)

    def _refuse(self, signal: int, reason: str) -> None:
        self.refused_count += 1
        if len(self.refusals) < MAX_LISTED_REFUSALS:
            self.refusals.append(Refusal(signal, int(self.candles.open_time_ms[signal]), reason))

    def _hold(self, held: Held, end: int) -> int:
        """Follow a position to its end; return the bar at whose close the strategy is flat again."""
        leaving = self._leave(held, end)
        if leaving is None:
            self.open = held
            return end + 1
        bar, ticks, market, reason, ambiguous = leaving
        received, fee = self.exits.received(held.steps, ticks, market=market)
        profit = received - held.spent
        self.cash = cash = held.cash + profit
        self.rows.append((held, bar, ticks, held.fee + fee, profit, cash, reason, ambiguous))
        return bar

    def _leave(self, held: Held, end: int) -> Exit | None:
        """Look for what ends a position."""
        over, under = self.tick
        low = -inf if held.stop is None else held.stop * over / under
        high = inf if held.target is None else held.target * over / under
        entered = held.entry_bar
        signal = self.decisions.sure_exit(entered)
        if signal is None:
            return self._look(held, end, low, high)
        touched = self.touches.first(entered, signal if signal < end else end, low, high)
        if touched is not None:  # a protection met in a candle precedes its close
            return self.exits.protected(held, touched)
        return self.exits.at_open(signal + 1) if signal < end else self._held_at(end)

    def _look(self, held: Held, end: int, low: float, high: float) -> Exit | None:
        """Ask the strategy, in stretches that grow: most positions are short."""
        start, length = held.entry_bar, _FIRST_STRETCH
        balance = (held.cash - held.spent) / self.per_quote
        while start <= end:
            stop = min(start + length - 1, end)
            touched = self.touches.first(start, stop, low, high)
            last = stop if touched is None else touched.bar - 1
            signal = self.decisions.next_exit(held, start, last, balance) if last >= start else None
            if signal is not None and signal < end:
                return self.exits.at_open(signal + 1)
            if signal is None and touched is not None:
                return self.exits.protected(held, touched)
            start, length = stop + 1, length * 4
        return self._held_at(end)

    def _held_at(self, end: int) -> Exit | None:
        return None if end == self.ends[-1] else self.exits.before_hole(end)

    def _open_position(self) -> OpenPosition | None:
        held = self.open
        if held is None:
            return None
        value = held.quantity * Decimal(str(float(self.candles.close[-1])))
        return OpenPosition(
            entry_bar=held.entry_bar,
            entry_time_ms=int(self.candles.open_time_ms[held.entry_bar]),
            quantity=held.quantity,
            entry_price=held.entry_price,
            entry_fee=held.entry_fee,
            value=value,
            unrealized_profit=value - held.spent * self.units.money,
        )

    def _outcome(self) -> Outcome:
        trades = Trades(self.rows, self.open, self.candles, self.units, self.start)
        held = self._open_position()
        return Outcome(
            trades=trades,
            refusals=self.refusals,
            open_position=held,
            final_balance=self.cash * self.units.money + (0 if held is None else held.unrealized_profit),
            equity=trades.equity(self.candles.close, first=self.settings.first_bar),
            holes=len(self.ends) - 1,
            refused_count=self.refused_count,
            ambiguous_count=trades.ambiguous_count,
            skipped_at_holes=self.skipped_at_holes,
            decided_count=self.exits.decided_count,
        )
