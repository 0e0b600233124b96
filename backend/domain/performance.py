"""Figures of a series of results, as pure functions of exact amounts.

A result is net of fees and in quote currency. A figure that is not defined is None, never 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums over some trades."""

    trade_count: int = 0
    win_count: int = 0
    loss_count: int = 0
    gross_profit: Decimal = ZERO
    gross_loss: Decimal = ZERO  # negative

    @property
    def net(self) -> Decimal:
        return self.gross_profit + self.gross_loss

    @property
    def win_ratio(self) -> Decimal | None:
        """Return the share of trades that won, between 0 and 1."""
        return Decimal(self.win_count) / self.trade_count if self.trade_count else None

    @property
    def profit_factor(self) -> Decimal | None:
        """Return what was won per unit lost; None when nothing was lost."""
        return self.gross_profit / -self.gross_loss if self.gross_loss else None

    @property
    def average_win(self) -> Decimal | None:
        return self.gross_profit / self.win_count if self.win_count else None

    @property
    def average_loss(self) -> Decimal | None:
        """Return the mean of the losing trades, negative."""
        return self.gross_loss / self.loss_count if self.loss_count else None

    @property
    def expectancy(self) -> Decimal | None:
        """Return the mean result of a trade."""
        return self.net / self.trade_count if self.trade_count else None


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The deepest fall of a line from an earlier peak."""

    depth: Decimal  # positive; 0 when the line never fell
    peak_day: date | None = None
    trough_day: date | None = None

    @property
    def day_count(self) -> int:
        """Return the days from the peak to the trough."""
        if self.peak_day is None or self.trough_day is None:
            return 0
        return (self.trough_day - self.peak_day).days


def deepest_drawdown(results: Sequence[tuple[date, Decimal]]) -> Drawdown:
    """Return the deepest fall of the cumulated results, the line beginning at zero before the first.

    Args:
        results: (its day, result), oldest first; one per step of the line, several steps may share a day.
    """
    deepest = Drawdown(ZERO)
    level = peak = ZERO
    peak_day: date | None = results[0][0] if results else None
    for day, result in results:
        level += result
        if level > peak:
            peak, peak_day = level, day
        elif peak - level > deepest.depth:
            deepest = Drawdown(peak - level, peak_day, day)
    return deepest
