"""What is said of a run: pure functions of its trades and of its value at each candle's close.

A metric that is not defined is None ("n/a"), never 0 or -100. Ratios are fractions (0.1 = 10 %).

Sources:
    Sharpe: W. F. Sharpe, "The Sharpe Ratio", Journal of Portfolio Management, 1994; here the mean of the
        daily returns over their sample standard deviation (n - 1), times √365, without a risk-free rate.
    Sortino: F. A. Sortino and L. N. Price, "Performance Measurement in a Downside Risk Framework", 1994; the
        mean over the root of the mean square of the negative returns (all days counted), times √365.
    Calmar: T. W. Young, "Calmar Ratio: A Smoother Tool", Futures, 1991; CAGR over maximum drawdown.
    SQN: V. Tharp, "Definitive Guide to Position Sizing", 2008; √n × mean / standard deviation of the profits.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

DAY_MS = 86_400_000
_YEAR_MS = 365 * DAY_MS
_SHORT_MS = 30 * DAY_MS  # under this, a yearly figure says nothing
_SQN_MIN_TRADES = 30


@dataclass(frozen=True, slots=True)
class Tally:
    """What the metrics read of the trades.

    Args:
        profits: of each closed trade, net of fees, in order; `fees` of all of them.
        held_bars: candles during which something was held.
    """

    profits: Sequence[Decimal]
    fees: Decimal
    held_bars: int


@dataclass(frozen=True, slots=True)
class Metrics:
    """Figures of one run. Money in quote currency, exact; ratios and durations as floats and ms."""

    initial_amount: Decimal
    final_balance: Decimal  # open position valued
    net_profit: Decimal  # final - initial
    net_return: float | None
    fees: Decimal  # of closed trades
    trade_count: int
    won: int
    lost: int
    win_rate: float | None
    average_win: Decimal | None
    average_loss: Decimal | None  # negative
    largest_win: Decimal | None
    largest_loss: Decimal | None  # negative
    expectancy: Decimal | None  # mean net profit of a trade
    profit_factor: float | None  # gains over losses, net of fees; None without a loss
    max_drawdown: float | None  # positive fraction from the peak
    max_drawdown_amount: float | None
    max_drawdown_duration_ms: int | None  # longest stretch under a former peak
    recovery_factor: float | None  # net profit over the largest drawdown in money
    sharpe: float | None
    sortino: float | None
    calmar: float | None
    cagr: float | None
    sqn: float | None
    exposure: float | None  # share of the candles during which something was held
    buy_and_hold: float | None  # return of buying at the first open and valuing at the last close


def compute(
    trades: Tally,
    equity: Any,
    *,
    close_time_ms: Any,
    step_ms: int,
    initial_amount: Decimal,
    final_balance: Decimal,
    first_open: float,
    last_close: float,
) -> Metrics:
    """Return the metrics of a run.

    Args:
        equity: value at each close, floats; `close_time_ms` the times of these closes.
    """
    profits = trades.profits
    wins, losses = [p for p in profits if p > 0], [p for p in profits if p < 0]
    net = final_balance - initial_amount
    capital = float(initial_amount)
    down = drawdown(equity, close_time_ms, step_ms=step_ms, initial=capital)
    returns = daily_returns(equity, close_time_ms, initial=capital)
    lasted = int(close_time_ms[-1] - close_time_ms[0]) + step_ms if len(equity) else 0
    yearly = cagr(capital, float(final_balance), lasted)
    return Metrics(
        initial_amount=initial_amount,
        final_balance=final_balance,
        net_profit=net,
        net_return=_over(float(net), capital),
        fees=trades.fees,
        trade_count=len(profits),
        won=len(wins),
        lost=len(losses),
        win_rate=_over(len(wins), len(profits)),
        average_win=_mean(wins),
        average_loss=_mean(losses),
        largest_win=max(wins, default=None),
        largest_loss=min(losses, default=None),
        expectancy=_mean(profits),
        profit_factor=_over(float(sum(wins)), -float(sum(losses))),
        max_drawdown=down.ratio,
        max_drawdown_amount=down.amount,
        max_drawdown_duration_ms=down.duration_ms,
        recovery_factor=_over(float(net), down.amount),
        sharpe=sharpe(returns),
        sortino=sortino(returns),
        calmar=_over(yearly, down.ratio),
        cagr=yearly,
        sqn=sqn(profits),
        exposure=_over(min(trades.held_bars, len(equity)), len(equity)),
        buy_and_hold=_over(last_close - first_open, first_open),
    )


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The deepest fall from a peak, as a fraction and in money, and the longest time under a peak."""

    ratio: float | None
    amount: float | None
    duration_ms: int | None


def drawdown(equity: Any, close_time_ms: Any, *, step_ms: int, initial: float) -> Drawdown:
    """Return the drawdown of an equity line that starts at `initial`, one step before its first close."""
    if not len(equity):
        return Drawdown(None, None, None)
    peaks = np.maximum(np.maximum.accumulate(equity), initial)
    falls = peaks - equity
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = float(np.max(falls / peaks))
    # Times at which the line stood at its peak; between two of them it was under water.
    at_peak = np.concatenate(([int(close_time_ms[0]) - step_ms], close_time_ms[falls <= 0], close_time_ms[-1:]))
    duration = int(np.max(np.diff(at_peak))) if falls.any() else 0
    if duration <= step_ms and not falls.any():
        duration = 0
    return Drawdown(ratio, float(np.max(falls)), duration)


def daily_returns(equity: Any, close_time_ms: Any, *, initial: float) -> Any:
    """Return the returns of each UTC day from the first to the last, days without a candle included as flat.

    A close at midnight belongs to the day that ends.
    """
    if not len(equity):
        return np.empty(0)
    days = (np.asarray(close_time_ms) - 1) // DAY_MS
    count = int(days[-1] - days[0]) + 1
    # Index of the last close of each day, or of the latest one before it.
    last = np.searchsorted(days, np.arange(days[0], days[0] + count), side="right") - 1
    values = np.concatenate(([initial], np.asarray(equity)[last]))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.diff(values) / values[:-1]


def sharpe(returns: Any) -> float | None:
    """Return the yearly Sharpe ratio of daily returns; None under two days or when they never vary."""
    if len(returns) < 2:
        return None
    return _over(float(np.mean(returns)) * math.sqrt(365), _spread(returns))


def sortino(returns: Any) -> float | None:
    """Return the yearly Sortino ratio of daily returns; None under two days or without a losing one."""
    if len(returns) < 2:
        return None
    downside = float(np.sqrt(np.mean(np.square(np.minimum(returns, 0.0)))))
    return _over(float(np.mean(returns)) * math.sqrt(365), downside)


def cagr(initial: float, final: float, lasted_ms: int) -> float | None:
    """Return the compound yearly growth (years of 365 days); None under 30 days or when all was lost."""
    if lasted_ms < _SHORT_MS or initial <= 0 or final <= 0:
        return None
    try:
        return _finite(float((final / initial) ** (_YEAR_MS / lasted_ms) - 1))
    except OverflowError:
        return None


def sqn(profits: Sequence[Decimal]) -> float | None:
    """Return the system quality number; None under 30 trades."""
    if len(profits) < _SQN_MIN_TRADES:
        return None
    values = np.array([float(profit) for profit in profits])
    return _over(math.sqrt(len(values)) * float(np.mean(values)), _spread(values))


def _spread(values: Any) -> float:
    """Sample standard deviation; exactly 0 when all values are equal."""
    return 0.0 if np.all(values == values[0]) else float(np.std(values, ddof=1))


def _mean(values: Sequence[Decimal]) -> Decimal | None:
    return None if not values else (sum(values, Decimal(0)) / len(values)).quantize(Decimal("1e-8"))


def _over(value: float | None, divisor: float | None) -> float | None:
    return None if value is None or not divisor else _finite(value / divisor)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
