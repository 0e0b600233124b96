"""The walk is a pure function of (seed, symbol, minute)."""

import subprocess
import sys
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest

from simex.market.klines import bounds
from simex.market.query import klines_between
from simex.market.symbols import plausible_rules
from simex.market.tradelog import TradeLog, split_raw
from simex.market.walk import EPOCH_MS, Shift, Walk
from simex.tests.support import ROOT, START_MS

HOUR_MS = 3_600_000


def walk(seed: int = 42, symbol: str = "BTCUSDT") -> Walk:
    return Walk(seed, symbol, plausible_rules(symbol).walk_shape())


def test_any_cut_of_a_range_gives_the_same_trades_and_contiguous_ids() -> None:
    whole = TradeLog(walk()).between(START_MS, START_MS + 30 * HOUR_MS, 10**6)
    log = TradeLog(walk())
    log.latest(START_MS + 900 * HOUR_MS, 5)  # another order of questions changes nothing
    parts = [
        trade
        for hour in reversed(range(30))
        for trade in reversed(log.between(START_MS + hour * HOUR_MS, START_MS + (hour + 1) * HOUR_MS, 10**6))
    ]
    assert parts[::-1] == whole
    assert [t.agg_id for t in whole] == list(range(whole[0].agg_id, whole[0].agg_id + len(whole)))
    for before, after in pairwise(whole):
        assert after.first_id == before.last_id + 1
        assert after.time_ms >= before.time_ms
    assert log.from_id(whole[100].agg_id, START_MS + 30 * HOUR_MS, 50) == whole[100:150]


def test_first_trade_ever_has_id_one() -> None:
    first = TradeLog(walk()).between(EPOCH_MS, EPOCH_MS + HOUR_MS, 1)[0]
    assert (first.agg_id, first.first_id) == (1, 1)


def test_seeds_and_symbols_differ_and_another_process_agrees() -> None:
    mine = TradeLog(walk()).latest(START_MS, 20)
    assert TradeLog(walk(43)).latest(START_MS, 20) != mine
    assert TradeLog(walk(42, "ETHUSDT")).latest(START_MS, 20) != mine
    script = (
        "from simex.tests.test_walk import walk, TradeLog, START_MS;"
        "print(repr(TradeLog(walk()).latest(START_MS, 20)))"
    )
    told = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == repr(mine)


def test_market_has_empty_minutes_bursts_sweeps_and_multi_fill_takers() -> None:
    trades = TradeLog(walk()).between(START_MS, START_MS + 24 * HOUR_MS, 10**6)
    per_minute = np.bincount([(t.time_ms - START_MS) // 60_000 for t in trades], minlength=1440)
    assert 50 < int((per_minute == 0).sum()) < 400
    assert int(per_minute.max()) > 60
    assert any(t.last_id > t.first_id for t in trades)
    sweeps = [
        (a, b) for a, b in pairwise(trades)
        if a.time_ms == b.time_ms and a.buyer_is_maker == b.buyer_is_maker
    ]  # fmt: skip
    assert any(abs(a.price8 - b.price8) == 10**6 for a, b in sweeps)  # one tick of 0.01


@pytest.mark.parametrize("symbol", ["BTCUSDT", "XRPETH", "DOGEUSDT"])
def test_prices_and_quantities_obey_the_filters(symbol: str) -> None:
    rules = plausible_rules(symbol)
    tick8, step8 = int(rules.tick * 10**8), int(rules.step * 10**8)
    for trade in TradeLog(walk(7, symbol)).latest(START_MS, 2000):
        assert trade.price8 > 0
        assert trade.price8 % tick8 == 0
        assert trade.quantity8 % step8 == 0
        assert trade.quantity8 >= int(rules.min_quantity * 10**8)


def test_splitting_a_trade_keeps_its_quantity_and_ids() -> None:
    trade = next(t for t in TradeLog(walk()).latest(START_MS, 500) if t.last_id > t.first_id)
    raw = split_raw(trade)
    assert sum(one.quantity8 for one in raw) == trade.quantity8
    assert [one.trade_id for one in raw] == list(range(trade.first_id, trade.last_id + 1))


def test_a_shift_moves_only_prices_after_it() -> None:
    shifted = walk()
    shifted.add_shift(Shift(START_MS, 2.0))
    plain, moved = TradeLog(walk()), TradeLog(shifted)
    assert moved.latest(START_MS - 1, 50) == plain.latest(START_MS - 1, 50)
    for before, after in zip(
        plain.between(START_MS, START_MS + HOUR_MS, 50),
        moved.between(START_MS, START_MS + HOUR_MS, 50),
        strict=True,
    ):
        assert (before.agg_id, before.time_ms) == (after.agg_id, after.time_ms)
        assert abs(Decimal(after.price8) / Decimal(before.price8) - 2) < Decimal("0.001")


def test_klines_agree_with_the_trades_one_by_one() -> None:
    feed = walk()
    now_ms = START_MS + 3 * HOUR_MS
    for interval in ("1m", "15m", "1h", "1d", "1w", "1M"):
        for kline in klines_between(feed, interval, now_ms, (None, None), 5)[-2:]:
            stop_ms = min(kline.close_ms, now_ms + 1)
            trades = TradeLog(feed).between(kline.open_ms, stop_ms, 10**7)
            assert bounds(interval, kline.open_ms) == (kline.open_ms, kline.close_ms)
            if not trades:
                assert kline.trades == kline.volume8 == 0
                continue
            prices = [t.price8 for t in trades]
            assert (kline.open8, kline.close8) == (prices[0], prices[-1])
            assert (kline.high8, kline.low8) == (max(prices), min(prices))
            assert kline.volume8 == sum(t.quantity8 for t in trades)
            assert kline.quote16 == sum(t.price8 * t.quantity8 for t in trades)
            assert kline.trades == sum(t.last_id - t.first_id + 1 for t in trades)
            assert kline.taker8 == sum(t.quantity8 for t in trades if not t.buyer_is_maker)


def test_weeks_start_on_monday_and_months_on_the_first() -> None:
    tuesday_ms = 1_700_000_000_000  # 2023-11-14 22:13 UTC
    assert bounds("1w", tuesday_ms) == (1_699_833_600_000, 1_700_438_400_000)  # 13 -> 20 November
    assert bounds("1M", tuesday_ms) == (1_698_796_800_000, 1_701_388_800_000)  # 1 Nov -> 1 Dec
    assert bounds("1M", 1_703_980_800_000)[1] == 1_704_067_200_000  # 31 Dec -> 1 January
