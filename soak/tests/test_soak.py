"""Ten market minutes of the endurance run; `./aristobot soak --hours 24` makes a day of it."""

from pathlib import Path

from soak.plan import Plan
from soak.run import soak

MINUTES = 10


def test_ten_market_minutes_of_faults_and_kills_leave_no_difference(tmp_path: Path) -> None:
    said: list[str] = []
    report = soak(Plan(hours=MINUTES / 60, speed=60, seed=20261126), folder=tmp_path, say=said.append)
    assert report.is_clean, report.french()
    assert sum(report.kills.values()) >= 1
    assert sum(report.faults.values()) >= 3
    assert report.done["ordres"] > 0
    print("\n" + report.french())  # noqa: T201 — the figures of the run
