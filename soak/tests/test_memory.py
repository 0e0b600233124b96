"""The slope of several lives, and what a run says of them."""

import pytest

from soak.memory import Curve, settled, slope
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


def test_cache_that_fills_in_the_first_half_of_a_life_is_no_growth() -> None:
    # 1 MB per 10 s until 200 s, then flat; the life lasts 480 s, as those after the last kill of a day.
    life = [(float(at), 100 + min(at, 200) / 10) for at in range(0, 481, 5)]
    assert settled(life)[0] == (240.0, 120.0)
    assert slope([settled(life)]) == 0
    assert slope([settled([(at, 0.01 * at) for at, _ in life])]) == pytest.approx(0.01)
    assert slope([settled(life[:49])]) is None  # four minutes tell nothing


def test_step_made_once_and_a_peak_are_no_growth() -> None:
    # 200 s at 50 MB, one peak of 90 MB; then 200 s at 60 MB: a quarter of the weight of all pairs rises.
    level = [(float(at), 90.0 if at == 100 else 50.0) for at in range(0, 200, 5)]
    assert slope([level]) == 0
    assert slope([level + [(float(at), 60.0) for at in range(200, 240, 5)]]) == 0


def test_growth_is_told_through_peaks() -> None:
    life = [(float(at), 50 + 0.01 * at + (20 if at % 50 == 0 else 0)) for at in range(0, 400, 5)]
    assert slope([life]) == pytest.approx(0.01, rel=0.05)


def test_long_plan_leaves_its_last_third_without_kills() -> None:
    events = list(Plan(hours=24, speed=60, seed=7).events())
    assert max(event.after_s for event in events if event.kill) < 960  # two thirds of 24 minutes
    assert max(event.after_s for event in events if event.fault) > 1400


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


def test_report_says_when_no_life_was_long_enough_to_judge_memory() -> None:
    report = Report(Plan(hours=1, speed=60, seed=7), verdicts={"ordres": Verdict()})
    report.curves = [Curve("web", 100, 101, 105, 2, None)]
    assert "tout concorde ; mémoire non jugée." in report.french()


def test_report_of_a_run_that_judged_nothing_is_a_failure() -> None:
    assert not Report(Plan(hours=1, speed=60, seed=1)).is_clean
