"""What a run traded, kept in whole numbers; Decimals are made of them when a trade is looked at."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from decimal import Decimal
from operator import sub
from typing import Any, NamedTuple, overload

import numpy as np

from domain.backtest.contract import BacktestTrade, CandleSeries, ExitReason, HeldPosition
from domain.backtest.metrics import Tally
from domain.backtest.units import Units, quotients


class Held(NamedTuple):
    """An open position: a `HeldPosition` in ticks, steps and units of money. One is made for each trade.

    Args:
        fee: of the entry, in 10⁻⁸.
        stop, target: ticks, None = no such protection.
        cash, spent: before it, and for it.
    """

    entry_bar: int
    steps: int
    ticks: int
    fee: int
    stop: int | None
    target: int | None
    cash: int
    spent: int
    units: Units

    @property
    def quantity(self) -> Decimal:
        return self.steps * self.units.step

    @property
    def entry_price(self) -> Decimal:
        return self.ticks * self.units.tick

    @property
    def entry_fee(self) -> Decimal:
        return self.fee * self.units.fee

    @property
    def stop_loss(self) -> Decimal | None:
        return None if self.stop is None else self.stop * self.units.tick

    @property
    def take_profit(self) -> Decimal | None:
        return None if self.target is None else self.target * self.units.tick


# What was held; exit bar; its price in ticks; fees of both legs in 10⁻⁸; profit; cash after; reason; ambiguous.
Row = tuple[Held, int, int, int, int, int, ExitReason, bool]


class Trades(Sequence[BacktestTrade]):
    """The round trips of a run, in order, each made when it is asked for.

    Args:
        held: what is still open at the end.
    """

    def __init__(self, rows: list[Row], held: Held | None, candles: CandleSeries, units: Units, start: int) -> None:
        self._rows, self._held, self._units, self._start = rows, held, units, start
        self._times = candles.open_time_ms

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> BacktestTrade: ...
    @overload
    def __getitem__(self, index: slice) -> list[BacktestTrade]: ...
    def __getitem__(self, index: int | slice) -> BacktestTrade | list[BacktestTrade]:
        if isinstance(index, slice):
            return [self._trade(row) for row in self._rows[index]]
        return self._trade(self._rows[index])

    def __iter__(self) -> Iterator[BacktestTrade]:
        return map(self._trade, self._rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def _trade(self, row: Row) -> BacktestTrade:
        held, bar, ticks, fees, profit, cash, reason, ambiguous = row
        units = self._units
        return BacktestTrade(
            held.entry_bar,
            bar,
            int(self._times[held.entry_bar]),
            int(self._times[bar]),
            held.quantity,
            held.entry_price,
            ticks * units.tick,
            fees * units.fee,
            profit // units.per_profit * units.profit,
            cash * units.money,
            reason,
            ambiguous,
        )

    @property
    def ambiguous_count(self) -> int:
        return sum(row[7] for row in self._rows)

    def tally(self, held_bars: int) -> Tally:
        """Return what the metrics read of the trades.

        Args:
            held_bars: candles of the position still open at the end.
        """
        units = self._units
        return Tally(
            profits=[row[4] // units.per_profit * units.profit for row in self._rows],
            fees=sum(row[3] for row in self._rows) * units.fee,
            held_bars=held_bars + sum(row[1] - row[0].entry_bar + 1 for row in self._rows),
        )

    def moment(self, bar: int) -> tuple[float, HeldPosition | None]:
        """Return the balance and the position that a strategy was asked with at a bar's close."""
        at = bisect_right(self._rows, bar, key=lambda row: row[0].entry_bar) - 1
        unit = self._units.per_quote
        if self._held is not None and bar >= self._held.entry_bar:
            return (self._held.cash - self._held.spent) / unit, self._held
        if at < 0:
            return self._start / unit, None
        held, left, cash = self._rows[at][0], self._rows[at][1], self._rows[at][5]
        return ((held.cash - held.spent) / unit, held) if bar < left else (cash / unit, None)

    def equity(self, closes: Any, *, first: int) -> Any:
        """Return the value at each close from `first` on: what was held, between stretches of cash alone.

        A position's exit candle is already cash.
        """
        count = len(closes)
        rides = [row[0] for row in self._rows] + ([] if self._held is None else [self._held])
        entered, steps, _, _, _, _, before, spent, _ = zip(*rides, strict=True) if rides else [()] * 9
        edges = np.full(2 * len(rides) + 2, count)
        edges[0] = first
        edges[1:-1:2] = entered
        edges[2 : 2 * len(self._rows) + 1 : 2] = [row[1] for row in self._rows]
        over, under = self._units.step.as_integer_ratio()
        quantities, cash = np.zeros(len(edges) - 1), np.empty(len(edges) - 1)
        quantities[1::2] = quotients(steps, over, under)
        cash[:-1:2] = quotients(before, 1, self._units.per_quote)
        cash[1::2] = quotients(tuple(map(sub, before, spent)), 1, self._units.per_quote)
        cash[-1] = (self._rows[-1][5] if self._rows else self._start) / self._units.per_quote
        lengths = np.diff(edges)
        line: Any = np.repeat(quantities, lengths)
        line *= closes[first:]
        line += np.repeat(cash, lengths)
        return line
