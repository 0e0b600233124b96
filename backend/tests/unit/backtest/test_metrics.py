"""Every figure worked out by hand, and equal to a known library's on the same equity."""

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from domain.backtest import metrics
from domain.backtest.metrics import DAY_MS, Tally

HOUR_MS = 3_600_000


def closes(count: int, step_ms: int = DAY_MS) -> Any:
    """Closing times, the first one a step after midnight."""
    return step_ms * (1 + np.arange(count, dtype="int64"))


def computed(profits: list[str], equity: list[float], **changes: Any) -> metrics.Metrics:
    """Each trade paid 0.1 and lasted one candle."""
    facts: dict[str, Any] = {
        "close_time_ms": closes(len(equity)),
        "step_ms": DAY_MS,
        "initial_amount": Decimal(100),
        "final_balance": Decimal(str(equity[-1])),
        "first_open": 50.0,
        "last_close": 60.0,
    }
    tally = Tally([Decimal(each) for each in profits], Decimal("0.1") * len(profits), len(profits))
    return metrics.compute(tally, np.array(equity), **{**facts, **changes})


def test_figures_of_four_trades() -> None:
    found = computed(["10", "-4", "6", "-2"], [110, 106, 112, 110])
    assert (found.net_profit, found.net_return) == (Decimal(10), 0.1)
    assert (found.trade_count, found.won, found.lost, found.win_rate) == (4, 2, 2, 0.5)
    assert (found.average_win, found.average_loss) == (Decimal(8), Decimal(-3))
    assert (found.largest_win, found.largest_loss) == (Decimal(10), Decimal(-4))
    assert found.expectancy == Decimal("2.5")
    assert found.profit_factor == pytest.approx(16 / 6)
    assert found.fees == Decimal("0.4")
    assert found.exposure == 1.0
    assert found.buy_and_hold == 0.2
    # 110 → 106: 4 of 110; back above it one day later.
    assert found.max_drawdown == pytest.approx(4 / 110)
    assert found.max_drawdown_amount == 4
    assert found.recovery_factor == pytest.approx(10 / 4)


def test_what_is_not_defined_is_none() -> None:
    found = computed([], [100, 100, 100])
    undefined = (
        "win_rate", "average_win", "average_loss", "largest_win", "largest_loss", "expectancy", "profit_factor",
        "recovery_factor", "sharpe", "sortino", "calmar", "cagr", "sqn",
    )  # fmt: skip
    assert [name for name in undefined if getattr(found, name) is not None] == []
    assert (found.max_drawdown, found.max_drawdown_duration_ms, found.exposure) == (0.0, 0, 0.0)


def test_profit_factor_without_a_loss_is_none() -> None:
    assert computed(["3"], [103.0]).profit_factor is None


@pytest.mark.parametrize(
    ("equity", "ratio", "days"),
    [
        ([90, 80, 100, 110], 0.2, 3),  # from the capital of 100, a day before the first close
        ([110, 99, 105, 111, 110], 0.1, 3),
        ([101, 102], 0.0, 0),
        ([120, 60, 60], 0.5, 2),  # still under water at the end
    ],
)
def test_drawdown_is_from_peak_to_trough_with_its_time(equity: list[float], ratio: float, days: int) -> None:
    found = metrics.drawdown(np.array(equity, float), closes(len(equity)), step_ms=DAY_MS, initial=100.0)
    assert found.ratio == pytest.approx(ratio)
    assert found.duration_ms == days * DAY_MS


def test_daily_returns_take_the_last_close_of_each_utc_day_flat_days_included() -> None:
    # Closes at 23:00 and 24:00 of day 0, none on day 1, one at 01:00 of day 2.
    times = np.array([23 * HOUR_MS, 24 * HOUR_MS, 49 * HOUR_MS])
    found = metrics.daily_returns(np.array([50.0, 110.0, 99.0]), times, initial=100.0)
    assert found.tolist() == pytest.approx([0.1, 0.0, -0.1])


def test_growth_is_hidden_under_thirty_days() -> None:
    assert metrics.cagr(100, 110, 30 * DAY_MS - 1) is None
    assert metrics.cagr(100, 121, 730 * DAY_MS) == pytest.approx(0.1)
    assert metrics.cagr(100, 0, 365 * DAY_MS) is None


def test_system_quality_needs_thirty_trades() -> None:
    profits = [Decimal(1), Decimal(3)] * 15
    assert metrics.sqn(profits[:29]) is None
    # Mean 2, sample deviation √(30 / 29).
    assert metrics.sqn(profits) == pytest.approx(math.sqrt(30) * 2 / math.sqrt(30 / 29))


# What empyrical-reloaded 0.7.1 (Apache-2.0) answers on the daily returns of this equity with annualization=365:
# sharpe_ratio, sortino_ratio, -max_drawdown, cagr, calmar_ratio. It is no dependency: the figures are kept here.
REFERENCE = {
    "sharpe": 1.5126560554174888,
    "sortino": 2.193969360685386,
    "max_drawdown": 0.16429087759493777,
    "cagr": 0.6521300210678336,
    "calmar": 3.9693623323120373,
}


def test_figures_equal_a_known_librarys() -> None:
    random = np.random.default_rng(12)
    equity = 1000 * np.cumprod(1 + random.normal(0.001, 0.02, 400))
    final = Decimal(repr(float(equity[-1])))
    found = computed([], equity.tolist(), initial_amount=Decimal(1000), final_balance=final)
    for name, expected in REFERENCE.items():
        assert getattr(found, name) == pytest.approx(expected, rel=1e-9), name
