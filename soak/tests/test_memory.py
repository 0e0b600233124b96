"""The slope of several lives, and what a run says of them."""

import pytest

from soak.memory import Curve, slope
from soak.plan import SERVICES, Plan
from soak.report import Report
from tests.system.judge import Verdict


def test_slope_is_common_to_lives_whatever_their_levels() -> None:
    # Two lives of 100 s that grow by 0.5 MB/s, one 200 MB above the other.
    low = [(float(at), 10 + 0.5 * at) for at in range(0, 101, 10)]
    high = [(float(at), 210 + 0.5 * (at - 200)) for at in range(200, 301, 10)]
    assert slope([low, high]) == pytest.approx(0.5)


def test_slope_of_short_lives_is_not_told() -> None:
    assert slope([[(0.0, 1.0), (10.0, 9.0), (20.0, 17.0)]]) is None


def test_plan_kills_every_service_before_one_again_and_repeats_by_its_seed() -> None:
    plan = Plan(hours=24, speed=60, seed=7)
    kills = [event.kill for event in plan.events() if event.kill]
    assert sorted(kills[:7]) == sorted(SERVICES)
    assert list(plan.events()) == list(Plan(hours=24, speed=60, seed=7).events())
    assert plan.wall_s == 1440


@pytest.mark.parametrize(
    ("differences", "per_day", "clean"), [([], 2.0, True), (["x"], 2.0, False), ([], 500.0, False)]
)
def test_report_is_clean_only_without_difference_and_flat(
    differences: list[str], per_day: float, clean: bool
) -> None:
    report = Report(Plan(hours=24, speed=60, seed=7), verdicts={"ordres": Verdict(differences=differences)})
    report.curves = [Curve("web", 100, 101, 105, 2, per_day)]
    assert report.is_clean is clean
    assert ("graine 7" in report.french(), "tout concorde" in report.french()) == (True, clean)


def test_report_of_a_run_that_judged_nothing_is_a_failure() -> None:
    assert not Report(Plan(hours=1, speed=60, seed=1)).is_clean
