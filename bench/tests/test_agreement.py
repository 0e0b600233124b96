"""Each difference between two back-testers falls under the rule that explains it, and under no other."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench.agreement import AFTER, BETTER, CASH, HOLE, SHARE, SIZE, TIED, TOUCHED, Ride, compare
from domain.backtest.contract import CandleSeries

# Twelve candles at 100; three minutes are missing after the eighth. 10 % of 10,000 are 10,000 steps of 0.001.
COUNT, PRICE, STEP = 12, 100.0, 0.001
STEPS = int(CASH * SHARE / PRICE / STEP)
RIDE = Ride(2, 4, STEPS, PRICE, PRICE, target=104.0, reason="signal")


def candles(**changes: dict[int, float]) -> CandleSeries:
    times: Any = 60_000 * np.arange(COUNT, dtype="int64")
    times[8:] += 180_000
    columns = {name: np.full(COUNT, PRICE) for name in ("open", "high", "low", "close", "volume")}
    for name, values in changes.items():
        for bar, price in values.items():
            columns[name][bar] = price
    return CandleSeries(60_000, times, **columns)


def rule_of(
    ours: list[Ride], theirs: list[Ride], *, gap: float = 1.0, **changes: dict[int, float]
) -> dict[str, int] | str:
    found = compare(ours, theirs, candles(**changes), np.full(COUNT, gap), step=STEP)
    return "unexplained" if found.unexplained else dict(found.rules)


def test_same_trades_differ_under_no_rule() -> None:
    found = compare([RIDE], [RIDE], candles(), np.ones(COUNT), step=STEP)
    assert (found.ours, found.theirs, found.same, dict(found.rules), found.unexplained) == (1, 1, 1, {}, [])


def test_target_touched_is_filled_by_the_other_only() -> None:
    early = replace(RIDE, left=3, sold=104.0)
    assert rule_of([RIDE], [early], high={3: 104.0}) == {TOUCHED: 1}
    assert rule_of([RIDE], [early], high={3: 104.5}) == "unexplained"  # gone through: ours should have sold


def test_target_jumped_over_is_filled_better_by_the_other_only() -> None:
    ours, theirs = replace(RIDE, sold=104.0, reason="take_profit"), replace(RIDE, sold=105.0)
    assert rule_of([ours], [theirs], open={4: 105.0}) == {BETTER: 1}
    assert rule_of([ours], [theirs], open={4: 103.0}) == "unexplained"


def test_hole_is_crossed_by_the_other_only() -> None:
    ours = Ride(6, 7, STEPS, PRICE, PRICE, target=104.0, reason="hole")
    assert rule_of([ours], [replace(ours, left=9)]) == {HOLE: 1}
    assert rule_of([], [Ride(8, 9, STEPS, PRICE, PRICE)]) == {HOLE: 1}
    assert rule_of([], [Ride(5, 9, STEPS, PRICE, PRICE)]) == "unexplained"  # no hole before its entry


@pytest.mark.parametrize(("more", "expected"), [(1, {SIZE: 1}), (-1, {SIZE: 1}), (3, "unexplained")])
def test_size_may_differ_by_a_step_while_balances_are_the_same(more: int, expected: object) -> None:
    assert rule_of([RIDE], [replace(RIDE, steps=STEPS + more)]) == expected


def test_entry_while_the_other_still_held_follows_a_known_difference() -> None:
    early = replace(RIDE, left=3, sold=104.0)
    again = Ride(4, 5, STEPS, PRICE, PRICE)
    assert rule_of([RIDE], [early, again], high={3: 104.0}) == {TOUCHED: 1, AFTER: 1}
    assert rule_of([RIDE], [RIDE, again]) == "unexplained"


def test_signal_of_one_only_is_explained_by_averages_that_are_equal() -> None:
    assert rule_of([RIDE], [], gap=1e-12) == {TIED: 1}
    assert rule_of([RIDE], []) == "unexplained"


def test_other_price_is_never_explained() -> None:
    assert rule_of([RIDE], [replace(RIDE, bought=100.1)]) == "unexplained"
    assert rule_of([RIDE], [replace(RIDE, sold=100.1)]) == "unexplained"
