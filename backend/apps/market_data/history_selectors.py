"""Reads of long stretches of candles: columns of numbers straight from PostgreSQL, and what is known of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import psycopg
from django.db import connection

from apps.market_data.models import CandleRange
from domain.backtest.contract import CandleSeries
from domain.timeframes import Timeframe

_CHUNK = 50_000  # candles a statement: bounded memory in PostgreSQL, and a place to stop
_POSTGRESQL_EPOCH_MS = 946_684_800_000  # 2000-01-01: its binary times are microseconds since then
_KINDS = (np.int64, *(np.float64,) * 5)
_PRICES = ("open_price", "high_price", "low_price", "close_price", "volume")

# One row of six byte strings: PostgreSQL makes the floats (correctly rounded) and packs the columns, so that
# no Python object is made per candle.
_COLUMNS = f"""
SELECT string_agg(timestamptz_send(open_time), ''),
       {", ".join(f"string_agg(float8send({name}::float8), '')" for name in _PRICES)}
FROM (
    SELECT open_time, {", ".join(_PRICES)} FROM candles
    WHERE source = %s AND symbol = %s AND timeframe = %s AND open_time >= %s AND open_time < %s
    ORDER BY open_time
) AS ordered
"""  # noqa: S608 — constants only


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, end exclusive."""

    start: datetime
    end: datetime


def series(
    source: str,
    symbol: str,
    timeframe: Timeframe,
    *,
    since: datetime,
    until: datetime,
    before_each: Callable[[], None] = lambda: None,
) -> CandleSeries:
    """Return the stored candles with since <= open_time < until, oldest first, flat ones included.

    The columns are made once, as long as the stretch has places, and filled chunk by chunk: five million
    candles take their 240 MB and no copy of them.

    Args:
        before_each: called before each chunk is read; it may take its time.
    """
    places = max(0, -(-(until - since) // timeframe.duration))
    columns: list[np.ndarray[tuple[int], np.dtype[Any]]] = [np.empty(places, dtype=kind) for kind in _KINDS]
    count, low = 0, since
    while low < until:
        before_each()
        high = min(low + _CHUNK * timeframe.duration, until)
        part = _columns(source, symbol, timeframe, low, high)
        last = count + len(part[0])
        for column, values in zip(columns, part, strict=True):
            column[count:last] = values
        count, low = last, high
    few = count < places // 2  # then a view would hold more memory than its candles need
    return CandleSeries(timeframe.milliseconds, *(c[:count].copy() if few else c[:count] for c in columns))


def verified_spans(
    source: str, symbol: str, timeframe: Timeframe, *, since: datetime, until: datetime
) -> list[Span]:
    """Return the verified stretches that meet [since, until[, ascending."""
    rows = CandleRange.objects.filter(
        source=source, symbol=symbol, timeframe=timeframe.value, end__gt=since, start__lt=until
    ).order_by("start")
    return [Span(row.start, row.end) for row in rows]


def missing_spans(verified: Sequence[Span], *, since: datetime, until: datetime) -> list[Span]:
    """Return what of [since, until[ the ascending verified stretches leave out, ascending."""
    missing = []
    moment = since
    for span in verified:
        if span.start > moment:
            missing.append(Span(moment, min(span.start, until)))
        moment = max(moment, span.end)
    if moment < until:
        missing.append(Span(moment, until))
    return missing


def count_places(spans: Sequence[Span], timeframe: Timeframe) -> int:
    """Return how many candles the stretches could hold."""
    total = sum((span.end - span.start for span in spans), timedelta())
    return total // timeframe.duration


def _columns(
    source: str, symbol: str, timeframe: Timeframe, since: datetime, until: datetime
) -> list["np.ndarray[tuple[int], np.dtype[np.generic]]"]:
    connection.ensure_connection()
    arguments = [source, symbol, timeframe.value, since, until]
    with psycopg.Cursor(connection.connection) as cursor:  # Django's own gives no binary results
        row = cursor.execute(_COLUMNS, arguments, binary=True).fetchone()
    texts = [value or b"" for value in row or ()]  # nothing aggregates to NULL
    times = np.frombuffer(texts[0], dtype=">i8").astype(np.int64) // 1000 + _POSTGRESQL_EPOCH_MS
    return [times, *(np.frombuffer(text, dtype=">f8") for text in texts[1:])]
