"""The heartbeat's rows. The only writer of `heartbeat_status`, `candles_heartbeat` and `heartbeat_incidents`.

Every function is one statement, or holds its own transaction. A lost database is `Unavailable`: the
caller stops consuming the market and comes back, so that nothing is acknowledged that was not stored.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import InterfaceError, OperationalError, connection

from apps.core.models import CandleHeartbeat, HeartbeatIncident, HeartbeatStatus
from domain.candles import Candle
from domain.errors import Unavailable
from domain.timeframes import Timeframe

P = ParamSpec("P")
R = TypeVar("R")
UNSENT_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Closed:
    """A candle to store."""

    candle: Candle
    is_late: bool
    is_signal: bool


@contextmanager
def _lost_database() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError) as exc:
        connection.close()
        raise Unavailable(f"PostgreSQL ne répond pas : {exc}.", code="database_unavailable") from exc


def in_database(function: Callable[P, R]) -> Callable[P, Any]:
    """Run a synchronous function in the database thread, with lost connections translated."""

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        with _lost_database():
            return function(*args, **kwargs)

    return sync_to_async(guarded)


@in_database
def start_run(*, source: str, location: str, symbols: Sequence[str], now: datetime) -> HeartbeatStatus:
    """Record that a heartbeat started."""
    return HeartbeatStatus.objects.create(
        source=source, location=location, symbols_monitored=list(symbols), last_application_start=now
    )


@in_database
def save_status(status: HeartbeatStatus) -> None:
    """Write the run's row as it is in memory; this process is its only writer."""
    status.save()


@in_database
def last_minute(*, feed: str, symbol: str, source: str) -> CandleHeartbeat | None:
    """Return the newest stored minute of a market."""
    rows = CandleHeartbeat.objects.filter(feed=feed, symbol=symbol, source=source, signal_type=Timeframe.M1.value)
    return rows.order_by("-open_time").first()


_COLUMNS = (
    ("dhm_reception", "timestamptz"),
    ("dhm_candle", "timestamptz"),
    ("signal_type", "text"),
    ("symbol", "text"),
    ("open_time", "timestamptz"),
    ("open_price", "numeric"),
    ("high_price", "numeric"),
    ("low_price", "numeric"),
    ("close_price", "numeric"),
    ("volume", "numeric"),
    ("trade_count", "int"),
    ("is_late", "bool"),
    ("is_signal", "bool"),
)
_NAMES = ", ".join(name for name, _ in _COLUMNS)
_ARRAYS = ", ".join(f"%s::{kind}[]" for _, kind in _COLUMNS)
_VALUES = ("open_price", "high_price", "low_price", "close_price", "volume", "trade_count")
_RETURNED = ("id", *(name for name, _ in _COLUMNS), "feed", "source", "revision", "published_at")
# One statement, committed by itself: a candle stored before is left alone when it says the same, else it
# becomes its next revision without losing `published_at`, so that a correction never signals twice.
_UPSERT = f"""
INSERT INTO candles_heartbeat ({_NAMES}, heartbeat_status_id, feed, source, revision)
SELECT {_NAMES}, %s, %s, %s, 1 FROM unnest({_ARRAYS}) AS incoming ({_NAMES})
ON CONFLICT ON CONSTRAINT candles_heartbeat_once DO UPDATE SET
  {", ".join(f"{name} = excluded.{name}" for name in _VALUES)},
  revision = candles_heartbeat.revision + 1
WHERE ({", ".join(f"candles_heartbeat.{name}" for name in _VALUES)})
  IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in _VALUES)})
RETURNING {", ".join(f"candles_heartbeat.{name}" for name in _RETURNED)}
"""  # noqa: S608 — built from the constants above only


@in_database
def save_candles(status: HeartbeatStatus, closed: Sequence[Closed], *, now: datetime) -> list[CandleHeartbeat]:
    """Commit closed candles; return the rows that are new or were corrected, by close time then length.

    Args:
        closed: at most one version of each candle.
    """
    if not closed:
        return []
    columns = list(zip(*(_values(item, now) for item in closed), strict=True))
    with connection.cursor() as cursor:
        cursor.execute(_UPSERT, [status.pk, status.feed, status.source, *(list(c) for c in columns)])
        found = cursor.fetchall()
    rows = [
        CandleHeartbeat(heartbeat_status_id=status.pk, **dict(zip(_RETURNED, values, strict=True)))
        for values in found
    ]
    return sorted(rows, key=signal_order)


def signal_order(row: CandleHeartbeat) -> tuple[datetime, int]:
    """The order in which signals leave: by close, then by length."""
    return (row.dhm_candle, Timeframe(row.signal_type).milliseconds)


def _values(item: Closed, now: datetime) -> tuple[Any, ...]:
    c = item.candle
    prices = (c.open, c.high, c.low, c.close, c.volume)
    return (
        now,
        c.close_time,
        c.timeframe.value,
        c.symbol,
        c.open_time,
        *prices,
        c.trade_count or 0,
        item.is_late,
        item.is_signal,
    )


@in_database
def unsent(source: str) -> list[CandleHeartbeat]:
    """Return the oldest rows whose signal is still to be sent, in order of sending."""
    rows = CandleHeartbeat.objects.filter(source=source, published_at__isnull=True, is_signal=True)
    return sorted(rows.order_by("id")[:UNSENT_AT_ONCE], key=signal_order)


@in_database
def stamp(rows: Sequence[CandleHeartbeat], *, now: datetime) -> None:
    """Record that the signals of these rows were sent."""
    CandleHeartbeat.objects.filter(pk__in=[row.pk for row in rows]).update(published_at=now)


@in_database
def add_incident(status: HeartbeatStatus, **fields: Any) -> HeartbeatIncident:
    """Record a hole, a stall, a disconnection or a correction."""
    return HeartbeatIncident.objects.create(heartbeat_status=status, **fields)


@in_database
def mend_incident(incident: HeartbeatIncident, *, now: datetime) -> None:
    """Record that it is over."""
    incident.mended_at = now
    incident.save(update_fields=["mended_at"])


@in_database
def mend_left_behind(*, source: str, now: datetime) -> None:
    """Close what a run that was killed left open: this run's back-fill mends it."""
    open_ones = HeartbeatIncident.objects.filter(heartbeat_status__source=source, mended_at__isnull=True)
    open_ones.update(mended_at=now)
