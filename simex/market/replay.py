"""Recordings as feeds: aggregate trades as they were, candles as the trades that make them."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet  # type: ignore[import-untyped]

from simex.market.klines import Kline
from simex.market.tradelog import Block
from simex.units import to_units8, units8

Row = Mapping[str, Any]


class RecordingError(ValueError):
    """A recording cannot be read; the message names the file and the row."""


class Replay:
    """A recording held in memory as one block."""

    head: Sequence[Kline] = ()

    def __init__(self, symbol: str, block: Block) -> None:
        self.symbol = symbol
        self._block = block
        self.first_ms = int(block.order_ms[0])
        self.last_ms: int | None = int(block.order_ms[-1])

    def blocks(self, start_ms: int, end_ms: int) -> Iterator[Block]:
        """Yield the recording when it touches [start_ms, end_ms)."""
        if start_ms <= int(self._block.order_ms[-1]) and end_ms > self.first_ms:
            yield self._block

    def blocks_back(self, time_ms: int) -> Iterator[Block]:
        """Yield the recording when it began by time_ms."""
        if time_ms >= self.first_ms:
            yield self._block

    def block_with(self, agg_id: int) -> Block | None:
        """Return the recording when it holds the aggregate id."""
        ids = self._block.agg_id
        return self._block if int(ids[0]) <= agg_id <= int(ids[-1]) else None


def read_rows(path: Path) -> list[Row]:
    """Read a parquet or CSV file as rows by column name.

    Raises:
        RecordingError: the file is absent, empty or of another kind.
    """
    if not path.is_file():
        raise RecordingError(f"recording not found: {path}")
    if path.suffix == ".parquet":
        rows: list[Row] = parquet.read_table(path).to_pylist()
    elif path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
    else:
        raise RecordingError(f"recording must be .parquet or .csv: {path}")
    if not rows:
        raise RecordingError(f"recording is empty: {path}")
    return rows


def load_trades(path: Path, symbol: str) -> Replay:
    """Load recorded aggTrades (columns a p q f l T m).

    Raises:
        RecordingError: a column is missing, a number is wrong, or ids are not contiguous.
    """
    rows = read_rows(path)
    missing = {"a", "p", "q", "f", "l", "T", "m"} - set(rows[0])
    if missing:
        raise RecordingError(f"{path.name}: no column {', '.join(sorted(missing))}")
    rows = sorted(rows, key=lambda row: int(row["a"]))
    try:
        block = Block(
            np.array([int(row["a"]) for row in rows], dtype=np.int64),
            np.array([units8(str(row["p"])) for row in rows], dtype=np.int64),
            np.array([units8(str(row["q"])) for row in rows], dtype=np.int64),
            np.array([int(row["f"]) for row in rows], dtype=np.int64),
            np.array([int(row["l"]) for row in rows], dtype=np.int64),
            np.array([int(row["T"]) for row in rows], dtype=np.int64),
            np.array([str(row["m"]).lower() == "true" for row in rows], dtype=np.bool_),
        )
    except ValueError as error:
        raise RecordingError(f"{path.name}: {error}") from error
    holes = np.flatnonzero(np.diff(block.agg_id) != 1)
    if len(holes):
        raise RecordingError(f"{path.name}: hole after aggregate id {block.agg_id[holes[0]]}")
    return Replay(symbol, block)


def load_candles(path: Path, wanted: Sequence[str]) -> list[Replay]:
    """Load candles and cut each into the trades that make it.

    Columns: openTime (ms) or date, open, high, low, close, volume; an optional pair column
    holds several markets. Without it the candles belong to the first wanted symbol.

    Raises:
        RecordingError: a column is missing or a candle cannot be made of trades.
    """
    by_symbol: dict[str, list[Row]] = {}
    for row in read_rows(path):
        pair = str(row["pair"]).replace("_", "").replace("/", "") if "pair" in row else wanted[0]
        by_symbol.setdefault(pair, []).append(row)
    return [
        Replay(symbol, block_of_candles(rows, f"{path.name} {symbol}"))
        for symbol, rows in by_symbol.items()
        if symbol in wanted
    ]


def _open_ms(row: Row) -> int:
    if "openTime" in row:
        return int(row["openTime"])
    return int(row["date"].timestamp() * 1000)


def _units(row: Row, column: str) -> int:
    return to_units8(Decimal(str(row[column])).quantize(Decimal("0.00000001")))


def block_of_candles(rows: Sequence[Row], name: str) -> Block:
    """Make trades whose candles are exactly the given ones (open, high, low, close, volume).

    A rising candle goes open-low-high-close, a falling one open-high-low-close; equal
    neighbours are one trade; the volume is shared equally, the rest on the last trade.
    A candle without volume gives no trade.
    """
    try:
        candles = sorted(
            (_open_ms(r), *(_units(r, c) for c in ("open", "high", "low", "close", "volume"))) for r in rows
        )
    except (KeyError, InvalidOperation, ValueError) as error:
        raise RecordingError(f"{name}: unreadable candle ({error!r})") from error
    times = [candle[0] for candle in candles]
    gaps = [after - before for before, after in pairwise(times)]
    length_ms = min((gap for gap in gaps if gap > 0), default=60_000)
    trades: list[tuple[int, int, int, bool]] = []
    previous = None
    for candle in candles:
        if candle[0] != previous:
            trades += _trades_of(candle, length_ms, name)
        previous = candle[0]
    if not trades:
        raise RecordingError(f"{name}: no candle with volume")
    ids = np.arange(1, len(trades) + 1, dtype=np.int64)
    columns = [np.array(column) for column in zip(*trades, strict=True)]
    return Block(ids, columns[1], columns[2], ids, ids, columns[0], columns[3])


def _trades_of(candle: tuple[int, ...], length_ms: int, name: str) -> list[tuple[int, int, int, bool]]:
    open_ms, first, high, low, close, volume = candle
    if not low <= min(first, close) <= max(first, close) <= high:
        raise RecordingError(f"{name}: candle {open_ms} has its open or close outside low..high")
    if volume == 0:
        return []
    middle = (low, high) if close >= first else (high, low)
    path = [first]
    for price in (*middle, close):
        if price != path[-1]:
            path.append(price)
    if volume < len(path):
        raise RecordingError(f"{name}: candle {open_ms} has too little volume for its prices")
    part, rest = divmod(volume, len(path))
    made = []
    for i, price in enumerate(path):
        last = i == len(path) - 1
        time_ms = open_ms + (length_ms - 1) * i // max(1, len(path) - 1)
        falling = i > 0 and price < path[i - 1]
        made.append((time_ms, price, part + (rest if last else 0), falling))
    return made
