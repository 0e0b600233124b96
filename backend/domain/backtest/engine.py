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
from domain.backtest.touches import Touched, TouchIndex
from domain.errors import InvalidInput
from domain.french import number
from domain.orders import OrderRequest, Side
from domain.sizing import Funds, NoOrder, size_order
from domain.strategies.contract import Evaluation

MAX_LISTED_REFUSALS = 200

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
    drawn: int = field(init=False)
    trades: list[BacktestTrade] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    refused_count: int = 0
    skipped_at_holes: int = 0
    open_position: OpenPosition | None = None

    def __post_init__(self) -> None:
        self.cash = self.settings.initial_amount
        self.touches = TouchIndex(self.candles)
        self.equity = np.empty(len(self.candles))
        self.drawn = self.settings.first_bar  # the equity line is drawn up to here
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
        market, seen = self.settings.market, _price(self.candles.close[signal])
        order = self._order(signal, seen)
        quantity = market.round_quantity((order.quote_amount or Decimal(0)) / seen)
        self._check(quantity, seen)
        if order.stop_loss is not None:
            self._check(quantity, order.stop_loss)  # what its own stop could not sell is not bought
        price = self._worse(_price(self.candles.open[signal + 1]), Side.BUY)
        fee = market.round_up(quantity * price * self.settings.taker_fee_ratio)
        cost = quantity * price + fee
        if cost > self.cash:
            raise _Refused(
                f"solde insuffisant à l'ouverture : {number(cost)} {market.quote} nécessaires, "
                f"{number(self.cash)} disponibles"
            )
        return HeldPosition(signal, signal + 1, quantity, price, fee, order.stop_loss, order.take_profit)

    def _order(self, signal: int, seen: Decimal) -> OrderRequest:
        terms = self.decisions.entry_terms(signal, float(self.cash))
        evaluation = Evaluation(True, False, terms.position_size, terms.stop_loss, terms.take_profit, 0.0)
        funds = Funds(free=self.cash, reserved=Decimal(0), cap=self.settings.amount_cap)
        order = size_order(evaluation, market=self.settings.market, price=seen, funds=funds, held=None)
        if isinstance(order, NoOrder):
            raise _Refused(order.reason)
        return order

    def _check(self, quantity: Decimal, price: Decimal) -> None:
        try:
            self.settings.market.check(quantity=quantity, price=price, exchange="backtest")
        except InvalidInput as exc:
            raise _Refused(exc.message) from exc

    def _hold(self, position: HeldPosition, end: int) -> int:
        """Follow a position to its end; return the bar at whose close the strategy is flat again."""
        spent = position.quantity * position.entry_price + position.entry_fee
        touched = self.touches.first(position.entry_bar, end, position.stop_loss, position.take_profit)
        last = end if touched is None else touched.bar - 1  # a protection met in a candle precedes its close
        signal = self._leave_signal(position, last, spent)
        leaving = self._exit(position, touched, signal, end)
        if leaving is None:
            self._keep(position, end, spent)
            return end + 1
        self._value(position, leaving.bar, self.cash - spent)
        self._close(position, leaving, spent)
        return leaving.bar

    def _leave_signal(self, position: HeldPosition, last: int, spent: Decimal) -> int | None:
        if last < position.entry_bar:
            return None
        return self.decisions.next_exit(position, last, float(self.cash - spent))

    def _exit(self, position: HeldPosition, touched: Touched | None, signal: int | None, end: int) -> _Exit | None:
        settings = self.settings
        if signal is not None and signal < end:
            price = self._worse(_price(self.candles.open[signal + 1]), Side.SELL)
            return _Exit(signal + 1, price, settings.taker_fee_ratio, ExitReason.SIGNAL)
        if signal is None and touched is not None:
            return self._protected_exit(position, touched)
        if end == self.ends[-1]:
            return None
        price = self._worse(_price(self.candles.close[end]), Side.SELL)
        return _Exit(end, price, settings.taker_fee_ratio, ExitReason.HOLE)

    def _protected_exit(self, position: HeldPosition, touched: Touched) -> _Exit:
        bar, both = touched.bar, touched.stop and touched.target
        known = self.inside(bar, position) if both and self.inside is not None else None
        opened = _price(self.candles.open[bar])
        stopped_at_open = touched.stop and position.stop_loss is not None and opened <= position.stop_loss
        first = Touch.STOP_FIRST if stopped_at_open else known or self.ambiguous
        if touched.stop and (not touched.target or first is Touch.STOP_FIRST) and position.stop_loss is not None:
            price = self._worse(min(opened, position.stop_loss), Side.SELL)
            reason, fee_ratio = ExitReason.STOP_LOSS, self.settings.taker_fee_ratio
        else:
            price = position.take_profit or Decimal(0)
            reason, fee_ratio = ExitReason.TAKE_PROFIT, self.settings.maker_fee_ratio
        unclear = both and known is None and not stopped_at_open
        return _Exit(bar, price, fee_ratio, reason, ambiguous=unclear)

    def _close(self, position: HeldPosition, leaving: _Exit, spent: Decimal) -> None:
        received = position.quantity * leaving.price
        fee = self.settings.market.round_up(received * leaving.fee_ratio)
        profit = received - fee - spent
        self.cash += profit
        times = self.candles.open_time_ms
        self.trades.append(
            BacktestTrade(
                entry_bar=position.entry_bar,
                exit_bar=leaving.bar,
                entry_time_ms=int(times[position.entry_bar]),
                exit_time_ms=int(times[leaving.bar]),
                quantity=position.quantity,
                entry_price=position.entry_price,
                exit_price=leaving.price,
                fees=position.entry_fee + fee,
                profit=profit,
                balance=self.cash,
                reason=leaving.reason,
                ambiguous=leaving.ambiguous,
            )
        )

    def _keep(self, position: HeldPosition, end: int, spent: Decimal) -> None:
        self._value(position, end + 1, self.cash - spent)
        value = position.quantity * _price(self.candles.close[end])
        self.open_position = OpenPosition(
            entry_bar=position.entry_bar,
            entry_time_ms=int(self.candles.open_time_ms[position.entry_bar]),
            quantity=position.quantity,
            entry_price=position.entry_price,
            entry_fee=position.entry_fee,
            value=value,
            unrealized_profit=value - spent,
        )
        self.cash += value - spent

    def _value(self, position: HeldPosition, until: int, rest: Decimal) -> None:
        """Draw the equity line: flat up to the entry candle, then the holding up to the candle before `until`."""
        held = slice(position.entry_bar, until)
        self.equity[self.drawn : position.entry_bar] = float(self.cash)
        self.equity[held] = float(rest) + float(position.quantity) * self.candles.close[held]
        self.drawn = until

    def _worse(self, price: Decimal, side: Side) -> Decimal:
        sign = 1 if side is Side.BUY else -1
        return self.settings.market.round_price(price * (1 + sign * self.settings.slippage_ratio), side=side)

    def _outcome(self) -> Outcome:
        self.equity[self.drawn :] = float(self.cash)
        return Outcome(
            trades=self.trades,
            refusals=self.refusals,
            open_position=self.open_position,
            final_balance=self.cash,
            equity=self.equity[self.settings.first_bar :],
            holes=len(self.ends) - 1,
            refused_count=self.refused_count,
            ambiguous_count=sum(trade.ambiguous for trade in self.trades),
            skipped_at_holes=self.skipped_at_holes,
        )


def _price(value: Any) -> Decimal:
    return Decimal(str(float(value)))
