"""When old rows are deleted: once a day, while markets are quiet; a machine that sleeps then catches up by day."""

from datetime import datetime, timedelta

QUIET_HOURS = range(3, 6)  # UTC: after New York, before Europe
_ONCE_A_DAY = timedelta(hours=20)
_CATCH_UP = timedelta(days=3)


def is_due(now: datetime, last: datetime) -> bool:
    """Tell whether rows are to be deleted now, `last` being when they last were."""
    since = now - last
    return since >= _CATCH_UP or (since >= _ONCE_A_DAY and now.hour in QUIET_HOURS)
