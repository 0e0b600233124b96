"""Order, duplicates and holes; then the tracker's clock and its klines."""

import random
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from domain.candle_builder import CandleBuilder
from domain.market_pace import MarketPace
from domain.market_tracker import KlineEvent, MarketTracker
from domain.timeframes import Timeframe
from domain.trade_sequence import AggTrade, Hole, TradeSequencer

M = 60_000
START = 1_600_000_000_000 - 1_600_000_000_000 % (240 * M)


def trade(id_: int, at_ms: int = 0, price: str = "10") -> AggTrade:
    return AggTrade(id_, Decimal(price), Decimal(1), id_ * 10, id_ * 10 + 9, START + at_ms)


def kline(
    at_ms: int, *, last_trade_id: int, is_final: bool = False, close: str = "10", count: int = 10
) -> KlineEvent:
    p = Decimal(close)
    open_ms = (START + at_ms - 1) // M * M
    return KlineEvent("X", START + at_ms, open_ms, is_final, last_trade_id, p, p, p, p, Decimal(count) / 10, count)


def tracker(next_id: int = 1) -> MarketTracker:
    return MarketTracker(TradeSequencer(next_id), CandleBuilder("X", start_ms=START), grace_ms=250)


@given(st.integers(0, 2**32), st.integers(1, 60))
def test_any_disorder_with_duplicates_leaves_in_order_once(seed: int, count: int) -> None:
    rng = random.Random(seed)
    trades = [trade(i) for i in range(5, 5 + count)]
    shuffled = trades + rng.choices(trades, k=count // 3)
    rng.shuffle(shuffled)
    sequencer = TradeSequencer(5)
    released = [t for s in shuffled for t in sequencer.push(s)]
    assert released == trades
    assert sequencer.hole is None
    assert sequencer.duplicates == count // 3
    assert sequencer.raw_breaks == 0


def test_hole_is_named_exactly_and_skipped_when_the_exchange_does_not_have_it() -> None:
    sequencer = TradeSequencer(1)
    for id_ in (1, 4, 5, 8):
        sequencer.push(trade(id_))
    assert sequencer.hole == Hole(2, 3)
    assert Hole(2, 3).missing == 2
    assert [t.id for t in sequencer.skip_to(4)] == [4, 5]
    assert sequencer.hole == Hole(6, 7)


def test_too_many_early_trades_are_dropped_not_forgotten() -> None:
    sequencer = TradeSequencer(1, capacity=2)
    for id_ in (3, 4, 5):
        sequencer.push(trade(id_))
    assert sequencer.held == 2
    assert [t.id for id_ in (1, 2) for t in sequencer.push(trade(id_))] == [1, 2, 3, 4]
    assert sequencer.next_id == 5  # dropped: the next trade will show the hole


def test_break_in_execution_ids_is_counted() -> None:
    sequencer = TradeSequencer(1)
    sequencer.push(trade(1))
    sequencer.push(trade(2)._replace(first_id=25, last_id=29))
    assert sequencer.raw_breaks == 1


def test_kline_closes_a_quiet_minute_after_the_grace() -> None:
    t = tracker()
    t.on_trade(trade(1), START)
    t.on_kline(kline(M + 249, last_trade_id=-1))
    assert t.drain() == []
    t.on_kline(kline(M + 250, last_trade_id=-1))
    assert [c.candle.timeframe for c in t.drain()] == [Timeframe.M1]


def test_kline_that_knows_a_trade_we_miss_closes_nothing_until_it_came() -> None:
    t = tracker()
    t.on_trade(trade(1), START)
    t.on_kline(kline(M + 2_000, last_trade_id=29))
    assert t.drain() == []
    told = t.missing
    assert told == Hole(2, 1)
    t.on_backfill([trade(2, 59_000, "11")])
    assert not t.missing
    assert [(c.candle.close, c.is_correction) for c in t.drain()] == [(Decimal(11), False)]


def test_exchange_without_the_trade_its_kline_tells_of_is_believed() -> None:
    t = tracker()
    t.on_trade(trade(1), START)
    t.on_kline(kline(M + 2_000, last_trade_id=29))
    t.backfill_done()
    assert not t.missing
    assert len(t.drain()) == 1


def test_clock_stands_still_while_a_hole_is_open() -> None:
    t = tracker()
    t.on_trade(trade(1), START)
    t.on_trade(trade(3, 61_000), START + 61_000)
    t.on_kline(kline(5 * M, last_trade_id=-1))
    assert t.drain() == []
    t.on_backfill([trade(2, 30_000)])
    assert len([c for c in t.drain() if c.candle.timeframe is Timeframe.M1]) == 4


def test_final_kline_that_differs_is_reported_once() -> None:
    t = tracker()
    t.on_trade(trade(1), START)
    t.on_kline(kline(M, last_trade_id=19, is_final=True, close="12"))
    t.on_kline(kline(M + 2_000, last_trade_id=-1))
    t.on_kline(kline(M + 4_000, last_trade_id=-1))
    assert [(d.ours.close, d.theirs.close) for d in t.disagreements] == [(Decimal(10), Decimal(12))]


def test_final_kline_that_agrees_is_silent() -> None:
    t = tracker()
    t.on_trade(trade(1), START)
    t.on_kline(kline(M, last_trade_id=19, is_final=True))
    t.on_kline(kline(M + 2_000, last_trade_id=-1))
    assert t.disagreements == []


def test_age_of_a_close_is_interpolated_at_any_speed() -> None:
    pace = MarketPace()
    assert pace.age_s(START, 100.0) == 0.0  # nothing known: the market has not got there
    pace.note(START, 100.0)
    pace.note(START + 60_000, 101.0)  # speed 60
    assert pace.age_s(START + 30_000, 102.0) == 1.5  # passed at 100.5
    assert pace.age_s(START - 1, 102.0) == float("inf")
    assert pace.age_s(START, 102.0) == 2.0
