"""Plays a strategy's decisions over past candles, by the rules that a live bot meets.

1. A decision at the close of bar N trades at the open of N+1, worsened by the slippage.
2. Inside a candle the stop loss comes before the take profit; both are watched from the entry candle on.
   A candle that met both is counted as ambiguous, unless `inside` knows better.
3. A stop fills at the worse of its price and the open; a take profit at its price, and only if the market
   went through it.
4. The size goes through the same `size_order` and `Market` as a live order; what they refuse is listed.
5. Nothing is held or opened across a hole in the candles.
6. What is still held at the end is valued apart; it is no trade.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np

from domain.backtest.contract import (
    BacktestSettings,
    BacktestTrade,
    CandleSeries,
    Decisions,
    ExitReason,
    HeldPosition,
    OpenPosition,
    Outcome,
    Refusal,
    Touch,
)
from domain.backtest.touches import Touched, TouchIndex, floats
from domain.errors import InvalidInput
from domain.french import number
from domain.orders import Side
from domain.sizing import Funds, NoOrder, size_entry

MAX_LISTED_REFUSALS = 200
_ZERO = Decimal(0)
# An enum's attribute is slow to reach, and these are reached for each trade.
_BUY, _SELL = Side.BUY, Side.SELL
_SIGNAL, _STOPPED, _REACHED = ExitReason.SIGNAL, ExitReason.STOP_LOSS, ExitReason.TAKE_PROFIT
_STOP_FIRST = Touch.STOP_FIRST
_FIRST_STRETCH = 64  # candles looked through at first for the end of a position

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
        progress: called before each search for an entry.

    Returns:
        The same outcome for the same arguments, to the last digit.
    """
    return _Run(candles, decisions, settings, ambiguous, inside, progress).play()


class _Refused(Exception):
    """An entry that the balance or the exchange's filters do not allow; the text is French."""


@dataclass(slots=True)
class _Exit:
    bar: int
    price: Decimal
    fee_ratio: Decimal
    reason: ExitReason
    ambiguous: bool = False


@dataclass
class _Run:
    candles: CandleSeries
    decisions: Decisions
    settings: BacktestSettings
    ambiguous: Touch
    inside: Inside | None
    progress: Progress | None
    cash: Decimal = field(init=False)
    # Entry bar, bar after the last one held, cash before, spent, quantity.
    held: list[tuple[int, int, Decimal, Decimal, Decimal]] = field(default_factory=list)
    trades: list[BacktestTrade] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    refused_count: int = 0
    skipped_at_holes: int = 0
    decided_count: int = 0
    open_position: OpenPosition | None = None

    def __post_init__(self) -> None:
        self.cash = self.settings.initial_amount
        self.touches = TouchIndex(self.candles)
        self.opens, self.closes = floats(self.candles.open), floats(self.candles.close)
        self.times = memoryview(np.ascontiguousarray(self.candles.open_time_ms, dtype="int64"))
        self.dearer, self.cheaper = 1 + self.settings.slippage_ratio, 1 - self.settings.slippage_ratio
        # Bars after which the next candle is missing, and the very last one.
        steps = np.diff(self.candles.open_time_ms)
        self.ends = [int(bar) for bar in np.flatnonzero(steps != self.candles.step_ms)] + [len(self.candles) - 1]

    def play(self) -> Outcome:
        bar = self.settings.first_bar
        for end in self.ends:
            while bar <= end:
                bar = self._next(bar, end)
        return self._outcome()

    def _next(self, bar: int, end: int) -> int:
        """Go from a flat strategy at `bar` to the next bar at whose close it is flat, or beyond `end`."""
        if self.progress is not None:
            self.progress(bar)
        signal = self.decisions.next_entry(bar, end, float(self.cash))
        if signal is None:
            return end + 1
        if signal == end:
            self.skipped_at_holes += end != self.ends[-1]
            return end + 1
        position = self._enter(signal)
        return signal + 1 if position is None else self._hold(position, end)

    def _enter(self, signal: int) -> HeldPosition | None:
        """Buy at the open after `signal`, or note why the exchange would have refused."""
        try:
            return self._bought(signal)
        except _Refused as exc:
            self.refused_count += 1
            if len(self.refusals) < MAX_LISTED_REFUSALS:
                self.refusals.append(Refusal(signal, int(self.candles.open_time_ms[signal]), str(exc)))
            return None

    def _bought(self, signal: int) -> HeldPosition:
        market, seen = self.settings.market, _price(self.closes[signal])
        terms = self.decisions.entry_terms(signal, float(self.cash))
        sizes = (terms.position_size, terms.stop_loss, terms.take_profit)
        entry = size_entry(market, seen, sizes, Funds(self.cash, _ZERO, self.settings.amount_cap))
        if isinstance(entry, NoOrder):
            raise _Refused(entry.reason)
        quote_amount, stop, target = entry
        quantity = market.round_quantity(quote_amount / seen)
        self._check(quantity, seen)
        if stop is not None:
            self._check(quantity, stop)  # what its own stop could not sell is not bought
        price = market.round_price(_price(self.opens[signal + 1]) * self.dearer, side=_BUY)
        worth = quantity * price
        fee = market.round_up(worth * self.settings.taker_fee_ratio)
        if worth + fee > self.cash:
            raise _Refused(
                f"solde insuffisant à l'ouverture : {number(worth + fee)} {market.quote} nécessaires, "
                f"{number(self.cash)} disponibles"
            )
        return HeldPosition(signal, signal + 1, quantity, price, fee, stop, target)

    def _check(self, quantity: Decimal, price: Decimal) -> None:
        try:
            self.settings.market.check(quantity=quantity, price=price, exchange="backtest")
        except InvalidInput as exc:
            raise _Refused(exc.message) from exc

    def _hold(self, position: HeldPosition, end: int) -> int:
        """Follow a position to its end; return the bar at whose close the strategy is flat again."""
        spent = position.quantity * position.entry_price + position.entry_fee
        leaving = self._leave(position, end, float(self.cash - spent))
        self.held.append(
            (position.entry_bar, end + 1 if leaving is None else leaving.bar, self.cash, spent, position.quantity)
        )
        if leaving is None:
            self._keep(position, end, spent)
            return end + 1
        self._close(position, leaving, spent)
        return leaving.bar

    def _leave(self, position: HeldPosition, end: int, balance: float) -> _Exit | None:
        """Look for what ends a position, in stretches that grow: most positions are short."""
        start, length = position.entry_bar, _FIRST_STRETCH
        while start <= end:
            stop = min(start + length - 1, end)
            touched = self.touches.first(start, stop, position.stop_loss, position.take_profit)
            last = stop if touched is None else touched.bar - 1  # a protection met in a candle precedes its close
            signal = self.decisions.next_exit(position, start, last, balance) if last >= start else None
            if signal is not None and signal < end:
                return self._sold(signal + 1, self.opens[signal + 1], _SIGNAL)
            if signal is None and touched is not None:
                return self._protected_exit(position, touched)
            start, length = stop + 1, length * 4
        return None if end == self.ends[-1] else self._sold(end, self.closes[end], ExitReason.HOLE)

    def _sold(self, bar: int, price: float, reason: ExitReason) -> _Exit:
        return _Exit(bar, self._worse(_price(price)), self.settings.taker_fee_ratio, reason)

    def _protected_exit(self, position: HeldPosition, touched: Touched) -> _Exit:
        bar, both = touched.bar, touched.stop and touched.target
        opened = _price(self.opens[bar])
        stopped_at_open = touched.stop and position.stop_loss is not None and opened <= position.stop_loss
        asked = both and not stopped_at_open and self.inside is not None
        known = self.inside(bar, position) if asked and self.inside is not None else None
        self.decided_count += known is not None
        first = _STOP_FIRST if stopped_at_open else known or self.ambiguous
        if touched.stop and (not touched.target or first is _STOP_FIRST) and position.stop_loss is not None:
            price = self._worse(opened if opened < position.stop_loss else position.stop_loss)
            reason, fee_ratio = _STOPPED, self.settings.taker_fee_ratio
        else:
            price = position.take_profit or _ZERO
            reason, fee_ratio = _REACHED, self.settings.maker_fee_ratio
        unclear = both and known is None and not stopped_at_open
        return _Exit(bar, price, fee_ratio, reason, ambiguous=unclear)

    def _close(self, position: HeldPosition, leaving: _Exit, spent: Decimal) -> None:
        received = position.quantity * leaving.price
        fee = self.settings.market.round_up(received * leaving.fee_ratio)
        profit = received - fee - spent
        self.cash += profit
        self.trades.append(
            BacktestTrade(
                position.entry_bar,
                leaving.bar,
                self.times[position.entry_bar],
                self.times[leaving.bar],
                position.quantity,
                position.entry_price,
                leaving.price,
                position.entry_fee + fee,
                profit,
                self.cash,
                leaving.reason,
                leaving.ambiguous,
            )
        )

    def _keep(self, position: HeldPosition, end: int, spent: Decimal) -> None:
        value = position.quantity * _price(self.closes[end])
        self.open_position = OpenPosition(
            entry_bar=position.entry_bar,
            entry_time_ms=self.times[position.entry_bar],
            quantity=position.quantity,
            entry_price=position.entry_price,
            entry_fee=position.entry_fee,
            value=value,
            unrealized_profit=value - spent,
        )
        self.cash += value - spent

    def _worse(self, price: Decimal) -> Decimal:
        return self.settings.market.round_price(price * self.cheaper, side=_SELL)

    def _equity(self) -> Any:
        """Return the value at each close: what was held, between stretches of cash alone.

        A position's exit candle is already cash.
        """
        lengths: list[int] = []
        cash: list[float] = []
        quantities: list[float] = []
        drawn = self.settings.first_bar
        for entered, until, before, spent, quantity in self.held:
            lengths += (entered - drawn, until - entered)
            cash += (float(before), float(before - spent))
            quantities += (0.0, float(quantity))
            drawn = until
        lengths.append(len(self.candles) - drawn)
        cash.append(float(self.cash))
        quantities.append(0.0)
        closes = self.candles.close[self.settings.first_bar :]
        return np.repeat(cash, lengths) + np.repeat(quantities, lengths) * closes

    def _outcome(self) -> Outcome:
        return Outcome(
            trades=self.trades,
            refusals=self.refusals,
            open_position=self.open_position,
            final_balance=self.cash,
            equity=self._equity(),
            holes=len(self.ends) - 1,
            refused_count=self.refused_count,
            ambiguous_count=sum(trade.ambiguous for trade in self.trades),
            skipped_at_holes=self.skipped_at_holes,
            decided_count=self.decided_count,
        )


def _price(value: float) -> Decimal:
    return Decimal(str(value))
