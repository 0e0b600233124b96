"""The recorded market of the tests, and candles rebuilt from it in one pass, independent of ours."""

import os
from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

import pytest

from domain.candles import Candle
from domain.timeframes import to_ms
from domain.trade_sequence import AggTrade

Row = tuple[Decimal, Decimal, Decimal, Decimal, Decimal, int | None]
LENGTHS = {"1m": 1, "3m": 3, "5m": 5, "10m": 10, "15m": 15, "1h": 60, "2h": 120, "4h": 240}
RECORDING = "binance_XRPETH_aggTrades_2019-10-11_13.parquet"


def recording_path() -> Path:
    """Return the recording's path; skips the test when it is absent."""
    default = Path(__file__).resolve().parents[3].parent / "shared" / "data"
    path = Path(os.environ.get("ARISTOBOT_TEST_DATA", default)) / RECORDING
    if not path.is_file():
        pytest.skip(f"recording {RECORDING} absent: set ARISTOBOT_TEST_DATA to the folder that holds it")
    return path


@lru_cache(maxsize=1)
def _load(path: Path) -> tuple[AggTrade, ...]:
    from pyarrow import parquet

    return tuple(
        AggTrade(r["a"], Decimal(r["p"]), Decimal(r["q"]), r["f"], r["l"], r["T"], r["m"])
        for r in parquet.read_table(path).to_pylist()
    )


def recorded_trades() -> tuple[AggTrade, ...]:
    return _load(recording_path())


def row(candle: Candle) -> Row:
    return (candle.open, candle.high, candle.low, candle.close, candle.volume, candle.trade_count)


def batch_rebuild(trades: Sequence[AggTrade], *, until_ms: int) -> dict[tuple[str, int], Row]:
    """Group by bucket, each timeframe straight from the trades; then fill empty buckets from the last price.

    Only candles that end by `until_ms`, from the bucket of the first trade on.
    """
    rows: dict[tuple[str, int], Row] = {}
    for name, length in LENGTHS.items():
        width = length * 60_000
        buckets: dict[int, list[AggTrade]] = defaultdict(list)
        for trade in trades:
            buckets[trade.time_ms - trade.time_ms % width].append(trade)
        previous = Decimal(0)
        for at in range(min(buckets), until_ms - width + 1, width):
            group = sorted(buckets.get(at, []), key=lambda t: t.id)
            if group:
                prices = [t.price for t in group]
                volume = sum((t.quantity for t in group), Decimal(0))
                count = sum(t.last_id - t.first_id + 1 for t in group)
                rows[(name, at)] = (prices[0], max(prices), min(prices), prices[-1], volume, count)
                previous = prices[-1]
            else:
                rows[(name, at)] = (previous, previous, previous, previous, Decimal(0), 0)
    return rows


def candle_key(candle: Candle) -> tuple[str, int]:
    return (candle.timeframe.value, to_ms(candle.open_time))
