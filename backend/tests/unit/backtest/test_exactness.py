"""The engine counts in whole numbers and searches in blocks; its trades are those of a plain loop in Decimals."""

from dataclasses import dataclass, replace
from decimal import Decimal
from random import Random
from typing import Any

import numpy as np
from hypothesis import event, given
from hypothesis import strategies as st

from domain.backtest.contract import BacktestSettings, CandleSeries, EntryTerms, FixedTerms, Foreseen, HeldPosition
from domain.backtest.engine import MAX_LISTED_REFUSALS, simulate
from domain.markets import Market
from tests.unit.backtest.plain import Plain
from tests.unit.backtest.scripted import MARKET, Scripted, candles, flat, settings

COUNT = 240


def series(random: Random, *, places: int | None, start: float) -> CandleSeries:
    """A random walk with gaps between candles and three holes; `places` None = prices as floats happen to be."""
    draw = np.random.default_rng(random.randrange(1 << 30))
    closes = start * np.exp(np.cumsum(draw.normal(0, 0.006, COUNT)))
    opens = np.concatenate(([start], closes[:-1])) * np.exp(draw.normal(0, 0.002, COUNT))
    wicks = 1 + np.abs(draw.normal(0, 0.006, (2, COUNT)))
    highs, lows = np.maximum(opens, closes) * wicks[0], np.minimum(opens, closes) / wicks[1]
    times: Any = 1_577_836_800_000 + 60_000 * np.arange(COUNT, dtype="int64")
    for bar in draw.integers(1, COUNT, 3):
        times[bar:] += 180_000
    if places is not None:
        opens, highs, lows, closes = (np.round(column, places) for column in (opens, highs, lows, closes))
    return CandleSeries(60_000, times, opens, highs, lows, closes, np.ones(COUNT))


@dataclass
class Drawn:
    """Buys and leaves at drawn closes, with drawn sizes and protections.

    Args:
        knows: whether it tells its exits, and the stretches that follow its entries, beforehand.
    """

    seed: int
    knows: bool

    def __post_init__(self) -> None:
        random = Random(self.seed)
        self.buys = {bar for bar in range(COUNT) if random.random() < 0.3}
        self.sells = {bar for bar in range(COUNT) if random.random() < 0.06}
        protections = (None, (0.0, 0.0), (0.02, 0.0), (0.0, 0.03), (0.05, 0.04), (random.random(), 0.1))
        self.protection = random.choice(protections)  # the same for all entries, or None
        self.share = random.choice((0.1, 1.0, 1 / 1.006005, 0.003, random.random() * 1.1))

    def next_entry(self, first: int, last: int, balance: float) -> int | None:
        return next((bar for bar in range(first, last + 1) if bar in self.buys), None)

    def entry_terms(self, bar: int, balance: float) -> EntryTerms:
        random = Random(self.seed + bar)
        size = random.choice((balance * 0.1, balance, balance / 1.006005, 100.0, balance * random.random() * 1.1))
        stop = random.choice((0.0, 0.01, 0.02, random.random() * 0.05, random.random()))
        target = random.choice((0.0, 0.02, random.random() * 0.05))
        if self.protection is not None:
            return EntryTerms(self.size_of(balance), *self.protection)
        return EntryTerms(size, stop, target)

    def next_exit(self, position: HeldPosition, first: int, last: int, balance: float) -> int | None:
        return next((bar for bar in range(first, last + 1) if bar in self.sells), None)

    def sure_exit(self, first: int) -> int | None:
        if not self.knows or first % 5 == 0:
            return None
        return next((bar for bar in range(first, COUNT) if bar in self.sells), COUNT)

    def foreseen(self) -> Foreseen | None:
        if not self.knows:
            return None
        first = np.array([bar + 1 for bar in sorted(self.buys) if bar < COUNT - 2], dtype="int64")
        last = np.minimum(first + first % 40, COUNT - 2)
        leaves = np.array([COUNT if (found := self.sure_exit(bar)) is None else found for bar in first.tolist()])
        every = sorted(self.buys)
        wants: Any = np.array([next((bar for bar in every if bar >= at), COUNT) for at in range(COUNT)])
        terms = None if self.protection is None else FixedTerms(self.size_of, *self.protection)
        return Foreseen(first, last, leaves, memoryview(wants), terms)

    def size_of(self, balance: float) -> float:
        return balance * self.share


def drawn_settings(random: Random, *, places: int, start: float) -> BacktestSettings:
    """Steps and ticks that are powers of ten and others, filters or none, amounts that are large, small and odd."""
    tick = Decimal(random.choice((1, 1, 1, 5, 3))).scaleb(-places)
    amount = Decimal(random.choice(("1000", "12345.678901234", "0.5")))
    step = Decimal(random.choice((1, 1, 1, 7))).scaleb(
        round(np.log10(float(amount) / start)) - random.choice((1, 3, 5))
    )
    none_or = [None, Decimal(str(round(float(amount) * 0.05, 4)))]
    market = Market(
        symbol="A/B",
        exchange_id="AB",
        base="A",
        quote="B",
        tick_size=tick,
        step_size=step,
        min_quantity=random.choice((None, step * 9)),
        max_quantity=random.choice((None, None, step * 2000)),
        min_notional=random.choice(none_or),
        taker_fee_ratio=Decimal(random.choice(("0", "0.001"))),
    )
    return BacktestSettings(
        market=market,
        initial_amount=amount,
        slippage_ratio=Decimal(random.choice(("0", "0.0005", "0.00123"))),
        taker_fee_ratio=Decimal(random.choice(("0", "0.001", "0.00075"))),
        maker_fee_ratio=Decimal(random.choice(("0", "0.0008"))),
        amount_cap=random.choice((None, None, amount / 4)),
        first_bar=random.choice((0, 7)),
    )


def test_size_that_buys_a_whole_number_of_steps_loses_none_of_them() -> None:
    # 3000 steps of 0.001 at 0.01 cost 0.03; as floats, 0.03 / (0.01 × 0.001) is a little under 3000.
    rules = settings(market=replace(MARKET, min_notional=None))
    for price, steps in ((0.01, 3000), (0.29, 7000), (1.13, 10_000)):
        spent = float(Decimal(str(price)) * steps / 1000)
        (trade,) = simulate(candles(*flat(price, 4)), Scripted({0}, {1}, size=spent), rules).trades
        assert trade.quantity == Decimal(steps) / 1000


@given(seed=st.integers(0, 1 << 30), knows=st.booleans())
def test_random_market_gives_the_trades_of_a_plain_loop_to_the_last_digit(seed: int, knows: bool) -> None:
    random = Random(seed)
    start, places = random.choice(((0.00002, 9), (0.0213, 6), (100.0, 2), (100.0, 0), (30_000.0, 2)))
    rules = drawn_settings(random, places=places, start=start)
    market = series(random, places=random.choice((places, places, None)), start=start)
    plain = Plain(market, Drawn(seed, knows), rules)
    found = simulate(market, Drawn(seed, knows), rules)
    event(f"trades: {len(plain.trades) // 10 * 10}, refused: {bool(plain.refusals)}")
    assert list(found.trades) == plain.trades
    assert found.equity.tolist() == plain.equity
    assert [each.bar for each in found.refusals] == [each.bar for each in plain.refusals[:MAX_LISTED_REFUSALS]]
    assert found.refused_count == len(plain.refusals)
    held = None if found.open_position is None else (found.open_position.entry_bar, found.open_position.quantity)
    assert held == (None if plain.held is None else (plain.held.entry_bar, plain.held.quantity))
    assert found.final_balance == plain.cash + (0 if found.open_position is None else found.open_position.value)
