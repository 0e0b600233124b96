"""Candles worked by hand, and the recorded market against a rebuild written another way."""

import random
from collections.abc import Iterable, Sequence
from decimal import Decimal

import pytest

from domain.candle_builder import CandleBuilder, Closing
from domain.candles import Candle
from domain.timeframes import Timeframe, from_ms, to_ms
from domain.trade_sequence import AggTrade
from tests.unit.market_recording import Row, batch_rebuild, recorded_trades, row

M = 60_000
START = 1_600_000_200_000 - 1_600_000_200_000 % (4 * 60 * M)


def trade(id_: int, at_ms: int, price: str, quantity: str = "1", count: int = 1) -> AggTrade:
    return AggTrade(id_, Decimal(price), Decimal(quantity), id_ * 10, id_ * 10 + count - 1, START + at_ms)


def minutes(closings: Iterable[Closing], timeframe: Timeframe = Timeframe.M1) -> list[tuple[str, ...]]:
    return [
        (str(c.open), str(c.high), str(c.low), str(c.close), str(c.volume), str(c.trade_count))
        for c, _ in closings
        if c.timeframe is timeframe
    ]


def test_trades_of_one_minute_make_one_candle() -> None:
    builder = CandleBuilder("BTCUSDT", start_ms=START)
    for t in (trade(1, 0, "10", "1", 2), trade(2, 500, "12", "0.5"), trade(3, 59_999, "9", "0.25")):
        builder.apply(t)
    assert builder.drain() == []
    builder.advance(START + M)
    # open 10, high 12, low 9, close 9, volume 1 + 0.5 + 0.25, executions 2 + 1 + 1
    assert minutes(builder.drain()) == [("10", "12", "9", "9", "1.75", "4")]


def test_empty_minute_is_flat_at_the_previous_close() -> None:
    builder = CandleBuilder("BTCUSDT", start_ms=START)
    builder.apply(trade(1, 1_000, "10"))
    builder.apply(trade(2, 2 * M + 1_000, "15"))
    assert minutes(builder.drain()) == [("10", "10", "10", "10", "1", "1"), ("10", "10", "10", "10", "0", "0")]


def test_nothing_is_emitted_before_the_first_price() -> None:
    builder = CandleBuilder("BTCUSDT", start_ms=START)
    builder.advance(START + 20 * M)
    assert builder.drain() == []


def test_longer_candle_opens_at_its_first_trade_not_at_the_flat_price() -> None:
    builder = CandleBuilder("BTCUSDT", start_ms=START, last_price=Decimal(10))
    builder.apply(trade(1, 3 * M + 1, "20"))  # minutes 0, 1, 2 are flat at 10
    builder.advance(START + 5 * M)
    assert minutes(builder.drain(), Timeframe.M5) == [("20", "20", "20", "20", "1", "1")]


def test_closings_come_by_boundary_then_by_length() -> None:
    builder = CandleBuilder("BTCUSDT", start_ms=START, last_price=Decimal(1))
    builder.advance(START + 240 * M)
    closings = builder.drain()
    keys = [(to_ms(c.close_time), c.timeframe.milliseconds) for c, _ in closings]
    assert keys == sorted(keys)
    assert [c.timeframe.value for c, _ in closings[-8:]] == ["1m", "3m", "5m", "10m", "15m", "1h", "2h", "4h"]


def test_seeded_minutes_complete_the_longer_candles_only() -> None:
    builder = CandleBuilder("BTCUSDT", start_ms=START + 4 * M)
    assert builder.first_needed_ms == START
    for i, (price, count) in enumerate([("7", 3), ("7", 0), ("8", 1), ("6", 2)]):
        p = Decimal(price)
        builder.seed(Candle("BTCUSDT", Timeframe.M1, from_ms(START + i * M), p, p, p, p, Decimal(count), count))
    builder.apply(trade(1, 4 * M, "7.5"))
    builder.advance(START + 5 * M)
    closings = builder.drain()
    assert minutes(closings) == [("7.5", "7.5", "7.5", "7.5", "1", "1")]
    # 5m: minutes 7 (3 trades), flat, 8 (1), 6 (2), then 7.5 (1): open 7, high 8, low 6, volume 3+0+1+2+1
    assert minutes(closings, Timeframe.M5) == [("7", "8", "6", "7.5", "7", "7")]


def test_trade_after_the_close_corrects_every_closed_candle_that_held_it() -> None:
    builder = CandleBuilder("BTCUSDT", start_ms=START)
    builder.apply(trade(1, 0, "10"))
    builder.advance(START + 3 * M)  # closes 0 (trade), 1 and 2 (flat), 3m
    builder.drain()
    builder.apply(trade(2, 59_999, "11"))
    closings = builder.drain()
    assert all(is_correction for _, is_correction in closings)
    assert minutes(closings) == [
        ("10", "11", "10", "11", "2", "2"),
        ("11", "11", "11", "11", "0", "0"),  # flat minutes follow the corrected close
        ("11", "11", "11", "11", "0", "0"),
    ]
    assert minutes(closings, Timeframe.M3) == [("10", "11", "10", "11", "2", "2")]
    assert builder.last_price == Decimal(11)
    builder.advance(START + 5 * M)
    assert minutes(builder.drain(), Timeframe.M5) == [("10", "11", "10", "11", "2", "2")]


def test_forming_candles_include_the_current_minute() -> None:
    builder = CandleBuilder("BTCUSDT", start_ms=START)
    builder.apply(trade(1, 0, "10"))
    builder.apply(trade(2, M, "12"))
    forming = {c.timeframe: c for c in builder.forming()}
    assert (forming[Timeframe.M1].open, forming[Timeframe.M5].open) == (Decimal(12), Decimal(10))
    assert forming[Timeframe.H4].close == Decimal(12)


def test_start_off_the_minute_is_refused() -> None:
    with pytest.raises(ValueError, match="aligned"):
        CandleBuilder("BTCUSDT", start_ms=START + 1)


def collect(trades: Sequence[AggTrade], cuts: Sequence[int]) -> dict[tuple[str, int], Row]:
    """Feed pieces [0, cut1), [cut1, cut2) … each to a builder restarted as after a crash."""
    rows: dict[tuple[str, int], Row] = {}
    first = trades[0].time_ms // M * M
    closed: dict[int, Candle] = {}
    resumed_at = first
    for begin, end in zip((0, *cuts), (*cuts, len(trades)), strict=True):
        known = [t for t in trades[: begin or 1] if t.time_ms < resumed_at]
        builder = CandleBuilder("X", start_ms=resumed_at, last_price=known[-1].price if known else None)
        for open_ms in range(builder.first_needed_ms, resumed_at, M):
            if open_ms in closed:
                builder.seed(closed[open_ms])
        for t in trades:
            if resumed_at <= t.time_ms <= trades[end - 1].time_ms and t.id <= trades[end - 1].id:
                builder.apply(t)
        if end == len(trades):
            builder.advance(trades[-1].time_ms // M * M + M)
        for candle, _ in builder.drain():
            rows[(candle.timeframe.value, to_ms(candle.open_time))] = row(candle)
            if candle.timeframe is Timeframe.M1:
                closed[to_ms(candle.open_time)] = candle
        resumed_at = max(closed, default=first - M) + M
    return rows


@pytest.mark.parametrize("seed", range(6))
def test_recorded_market_gives_the_same_candles_however_it_is_cut(seed: int) -> None:
    trades = recorded_trades()
    rng = random.Random(seed)
    cuts = sorted(rng.sample(range(1, len(trades)), seed * 4))
    end_ms = trades[-1].time_ms // M * M + M
    expected = batch_rebuild(trades, until_ms=end_ms)
    assert len(expected) > 6_000
    assert collect(trades, cuts) == expected


def test_recording_holds_the_empty_minutes_that_make_it_worth_testing() -> None:
    trades = recorded_trades()
    rebuilt = batch_rebuild(trades, until_ms=trades[-1].time_ms // M * M + M)
    first, last = trades[0].time_ms // M, trades[-1].time_ms // M
    traded = len({t.time_ms // M for t in trades})
    flat = [key for key, values in rebuilt.items() if key[0] == "1m" and values[-1] == 0]
    assert len(flat) == last - first + 1 - traded
    assert len(flat) > 1_000
