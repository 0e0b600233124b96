"""10m candles out of 5m ones."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from domain.candles import Candle
from domain.rollup import roll_up, source_timeframe
from domain.timeframes import Timeframe

START = datetime(2026, 1, 1, tzinfo=UTC)


def prices(*values: int) -> tuple[Decimal, ...]:
    return tuple(Decimal(value) for value in values)


def candle(index: int, ohlc: tuple[int, int, int, int], volume: str, trades: int | None) -> Candle:
    o, h, low, c = (Decimal(value) for value in ohlc)
    return Candle(
        "BTC/USDT", Timeframe.M5, START + index * timedelta(minutes=5), o, h, low, c, Decimal(volume), trades
    )


def test_ten_minutes_from_two_fives() -> None:
    # 5m: O10 H15 L9 C12 V1.5 (3 trades), O12 H13 L8 C11 V2 (4) → 10m: O10 H15 L8 C11 V3.5 (7)
    (rolled,) = roll_up([candle(0, (10, 15, 9, 12), "1.5", 3), candle(1, (12, 13, 8, 11), "2", 4)], Timeframe.M10)
    assert (rolled.open, rolled.high, rolled.low, rolled.close) == prices(10, 15, 8, 11)
    assert rolled.volume == Decimal("3.5")
    assert rolled.trade_count == 7
    assert rolled.open_time == START
    assert rolled.close_time == START + timedelta(minutes=10)


def test_flat_part_gives_neither_open_nor_extremes() -> None:
    # The flat first half carries 10 forward; the traded half alone makes the candle.
    (rolled,) = roll_up([candle(0, (10, 10, 10, 10), "0", 0), candle(1, (12, 13, 11, 12), "2", 1)], Timeframe.M10)
    assert (rolled.open, rolled.high, rolled.low, rolled.close) == prices(12, 13, 11, 12)
    assert rolled.trade_count == 1


def test_all_flat_stays_flat() -> None:
    (rolled,) = roll_up([candle(0, (10, 10, 10, 10), "0", 0), candle(1, (10, 10, 10, 10), "0", 0)], Timeframe.M10)
    assert rolled.trade_count == 0
    assert rolled.close == 10


def test_largest_divisor_offered_is_the_source() -> None:
    assert source_timeframe(Timeframe.M10, ["1m", "3m", "5m", "15m"]) is Timeframe.M5
    assert source_timeframe(Timeframe.H2, ["1m", "1h", "4h"]) is Timeframe.H1
    assert source_timeframe(Timeframe.M5, ["1m", "5m"]) is Timeframe.M5
    assert source_timeframe(Timeframe.M3, ["5m"]) is None
