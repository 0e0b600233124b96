"""When old rows are deleted."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.retention import is_due

NIGHT = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "hours_since", "due"),
    [
        (NIGHT, 24, True),
        (NIGHT, 1, False),  # done an hour ago, this very night
        (NOON, 24, False),  # markets are awake: tonight
        (NOON, 71, False),
        (NOON, 72, True),  # a machine that is off at night
    ],
)
def test_rows_go_at_night_once_a_day_or_after_three_days(now: datetime, hours_since: int, due: bool) -> None:
    assert is_due(now, now - timedelta(hours=hours_since)) is due
