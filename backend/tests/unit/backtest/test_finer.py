"""What finer candles say of a larger one, and where they say nothing."""

from decimal import Decimal

import pytest

from domain.backtest.contract import BacktestJob, CandleSeries, ExitReason, Touch
from domain.backtest.finer import FinerCandles
from domain.backtest.run import run
from tests.unit.backtest.scripted import MINUTE_MS, START_MS, HeldByHand, candles, flat, settings
from tests.unit.backtest.test_run import CODE, SCOPE

Row = tuple[float, float, float, float]
HELD = HeldByHand(0, Decimal(1), Decimal(100), Decimal(98), Decimal(104))
QUIET: Row = (100, 101, 99, 100)
DOWN: Row = (100, 101, 98, 99)  # meets the stop of 98
UP: Row = (100, 104.01, 99, 104)  # goes through the target of 104
BOTH: Row = (100, 105, 97, 100)
# Bought at the open of bar 3; bar 4 meets both protections.
DOUBTFUL: list[Row] = [*flat(100, 2), (100, 101, 100, 101), *flat(101, 1), (101, 120, 80, 100), *flat(100, 2)]


def fives(*rows: Row) -> CandleSeries:
    """Candles of five minutes over the same time as `candles`."""
    series = candles(*DOUBTFUL)
    times = START_MS + 5 * MINUTE_MS * (series.open_time_ms - START_MS) // MINUTE_MS
    return CandleSeries(5 * MINUTE_MS, times, series.open, series.high, series.low, series.close, series.volume)


@pytest.mark.parametrize(
    ("minutes", "holes", "expected"),
    [
        ([QUIET, DOWN, QUIET, UP, QUIET], (), Touch.STOP_FIRST),
        ([QUIET, UP, QUIET, DOWN, QUIET], (), Touch.TARGET_FIRST),
        ([QUIET, BOTH, QUIET, UP, QUIET], (), None),  # one minute met both
        ([QUIET, UP, QUIET], (0,), None),  # the three minutes after the first are missing: who knows
        ([UP, QUIET, DOWN], (0,), Touch.TARGET_FIRST),  # missing minutes after the touch change nothing
        ([QUIET] * 5, (), None),
        ([], (), None),
    ],
)
def test_first_minute_that_met_a_protection_decides(
    minutes: list[Row], holes: tuple[int, ...], expected: Touch | None
) -> None:
    finer = candles(*minutes, holes=holes) if minutes else candles(QUIET)
    if not minutes:
        finer = CandleSeries(MINUTE_MS, finer.open_time_ms - MINUTE_MS, *[finer.open] * 5)
    assert FinerCandles(fives(BOTH), finer)(0, HELD) is expected


def test_band_says_what_undecided_candles_may_be_worth() -> None:
    code = CODE.replace("return 0.0", "return 0.1")
    report = run(BacktestJob(code, {}, settings()), candles(*DOUBTFUL), scope=SCOPE)
    band = report.checks.ambiguous_candles
    # 500 / 101 = 4.950 BTC bought at 101; sold at the stop of 90.90, or at the target of 111.10: ∓ 49.995.
    assert (band.count, band.decided) == (1, 0)
    assert (band.worst, band.best) == (Decimal("950.005"), Decimal("1049.995"))
    assert report.outcome.final_balance == band.worst


def test_finer_candles_take_the_doubt_away() -> None:
    code = CODE.replace("return 0.0", "return 0.1")
    up: Row = (101, 120, 100, 119)
    down: Row = (119, 119, 80, 100)
    minutes = candles(*[QUIET] * 20, up, down, *[QUIET] * 13)
    report = run(BacktestJob(code, {}, settings()), fives(*DOUBTFUL), scope=SCOPE, finer=minutes)
    assert report.outcome.trades[0].reason is ExitReason.TAKE_PROFIT
    band = report.checks.ambiguous_candles
    assert (band.count, band.decided, band.best) == (0, 1, band.worst)
    assert "1 min" in report.assumptions["Stop et objectif dans la même bougie"]
