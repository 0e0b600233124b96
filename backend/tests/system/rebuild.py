"""Candles rebuilt from a complete trade log, in one batch: written apart from the product, to judge it.

Rule (Binance's): a candle's bucket is `T // interval`; an interval without trades is flat at the previous
close with volume 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as parquet

MINUTES = {"1m": 1, "3m": 3, "5m": 5, "10m": 10, "15m": 15, "1h": 60, "2h": 120, "4h": 240}


@dataclass(frozen=True)
class LogTrade:
    """One aggregate trade: id, price, quantity, time in ms."""

    id: int
    price: Decimal
    quantity: Decimal
    time_ms: int


Row = tuple[int, Decimal, Decimal, Decimal, Decimal, Decimal]  # open ms, O, H, L, C, volume


def read_recording(path: Path) -> list[LogTrade]:
    """Read a recording of aggTrades (a, p, q, T), in order of id."""
    columns = parquet.read_table(path, columns=["a", "p", "q", "T"]).to_pydict()
    rows = zip(columns["a"], columns["p"], columns["q"], columns["T"], strict=True)
    trades = [LogTrade(a, Decimal(p), Decimal(q), t) for a, p, q, t in rows]
    return sorted(trades, key=lambda trade: trade.id)


def candles(trades: Sequence[LogTrade], timeframe: str) -> dict[int, Row]:
    """Return every candle from the first trade's to the last trade's, by open time in ms."""
    length = MINUTES[timeframe] * 60_000
    buckets: dict[int, list[LogTrade]] = {}
    for trade in trades:
        buckets.setdefault(trade.time_ms // length * length, []).append(trade)
    rows: dict[int, Row] = {}
    close = trades[0].price
    for open_ms in range(min(buckets), max(buckets) + length, length):
        rows[open_ms] = _row(open_ms, buckets.get(open_ms, []), close)
        close = rows[open_ms][4]
    return rows


def roll_up(minutes: Mapping[int, Row], timeframe: str) -> dict[int, Row]:
    """Return the whole candles of a timeframe made of one-minute candles; without one of its minutes it is none.

    A minute without trades is flat at the previous close, which is no price of the longer candle.
    """
    length = MINUTES[timeframe] * 60_000
    buckets: dict[int, list[Row]] = {}
    for open_ms in sorted(minutes):
        buckets.setdefault(open_ms // length * length, []).append(minutes[open_ms])
    whole = {start: rows for start, rows in buckets.items() if len(rows) == MINUTES[timeframe]}
    return {start: _joined(start, [row for row in rows if row[5]] or rows) for start, rows in whole.items()}


def _joined(open_ms: int, rows: Sequence[Row]) -> Row:
    volume = sum((row[5] for row in rows), Decimal(0))
    return (open_ms, rows[0][1], max(row[2] for row in rows), min(row[3] for row in rows), rows[-1][4], volume)


def _row(open_ms: int, trades: Sequence[LogTrade], previous_close: Decimal) -> Row:
    if not trades:
        return (open_ms, previous_close, previous_close, previous_close, previous_close, Decimal(0))
    prices = [trade.price for trade in trades]
    volume = sum((trade.quantity for trade in trades), Decimal(0))
    return (open_ms, prices[0], max(prices), min(prices), prices[-1], volume)
