"""The trades of which only the size is not known beforehand.

A size depends on what earlier trades left; bars and prices do not. Where a sure signal ends a position and
neither a protection nor a hole comes before it, they are had for all such positions at once. The engine follows
every other position step by step, which would give the same for these.
"""

from typing import Any

import numpy as np

from domain.backtest.contract import ExitReason, FixedTerms
from domain.backtest.entries import Entries
from domain.backtest.exits import Exits
from domain.backtest.ledger import Row
from domain.backtest.touches import Rides
from domain.backtest.units import Units

_SIGNAL = ExitReason.SIGNAL
_AT_ONCE = 64  # trades; then the run tells how far it is


class ForeseenTrades:
    """Plays such trades as long as they follow one another.

    Args:
        terms: what every entry answers.
        ends: bars beyond which no position goes, ascending; the last bar of the series is one.
    """

    def __init__(
        self, units: Units, entries: Entries, exits: Exits, rides: Rides, *, terms: FixedTerms, ends: list[int]
    ) -> None:
        self._per_quote, self._entries, self._exits, self._size = units.per_quote, entries, exits, terms.size
        self._last = ends[-1]
        self._wants, self._number = rides.foreseen.wants, rides.number
        entered, left = rides.foreseen.first, rides.foreseen.leaves + 1
        end: Any = np.asarray(ends)[np.searchsorted(ends, entered - 1)]
        known = (entered <= end) & (left <= end) & (left <= rides.foreseen.last + 1)
        bought, sold = entries.bought_at(entered), exits.sold_at(np.where(known, left, entered))
        known &= (bought > 0) & (sold > 0)
        self._low = self._high = None
        if terms.stop_loss:
            low = entries.changed(entered - 1, -terms.stop_loss)
            known &= (low > 0) & (rides.low > units.prices(low))
            self._low = memoryview(low)
        if terms.take_profit:
            high = entries.changed(entered - 1, terms.take_profit)
            known &= (high > 0) & (rides.high <= units.prices(high))
            self._high = memoryview(high)
        self._left = memoryview(np.where(known, left, 0))  # 0 = not such a trade
        self._bought, self._sold = memoryview(bought), memoryview(sold)

    def play(self, bar: int, cash: int, rows: list[Row]) -> tuple[int, int]:
        """Add trades from a flat bar on.

        Returns:
            The bar at whose close the strategy is flat again, and the cash (units of money) it then has.
        """
        for _ in range(_AT_ONCE):
            signal = self._wants[bar]
            number = self._number[signal + 1] if signal < self._last else -1
            row = self._row(signal, number, cash) if number >= 0 and self._left[number] else None
            if row is None:
                break
            rows.append(row)
            bar, cash = row[1], row[5]
        return bar, cash

    def _row(self, signal: int, number: int, cash: int) -> Row | None:
        """Return a trade, None if it is not sized in whole numbers."""
        steps = self._entries.steps(signal, self._size(cash / self._per_quote), cash)
        if not steps:
            return None
        low, high = self._low, self._high
        held = self._entries.held(
            signal,
            steps,
            self._bought[number],
            None if low is None else low[number],
            None if high is None else high[number],
            cash,
        )
        if held is None:
            return None
        ticks: int = self._sold[number]
        received, fee = self._exits.received(steps, ticks, market=True)
        profit = received - held.spent
        return held, self._left[number], ticks, held.fee + fee, profit, cash + profit, _SIGNAL, False
