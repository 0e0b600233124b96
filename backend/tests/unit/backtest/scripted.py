"""A market and a strategy written by hand, so that every number of a run can be worked out on paper."""

from collections.abc import Collection
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np

from domain.backtest.contract import BacktestSettings, CandleSeries, EntryTerms, Foreseen, HeldPosition
from domain.markets import Market

MINUTE_MS = 60_000
START_MS = 1_577_836_800_000
MARKET = Market(
    symbol="BTC/USDT",
    exchange_id="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick_size=Decimal("0.01"),
    step_size=Decimal("0.001"),
    min_notional=Decimal(5),
    taker_fee_ratio=Decimal(0),
)


def candles(*rows: tuple[float, float, float, float], holes: Collection[int] = ()) -> CandleSeries:
    """Candles of (open, high, low, close); after each bar of `holes` three minutes are missing."""
    times, at = [], START_MS
    for bar in range(len(rows)):
        times.append(at)
        at += MINUTE_MS * (4 if bar in holes else 1)
    columns = np.array(rows, dtype="float64").T
    ones = np.ones(len(rows))
    opens, highs, lows, closes = columns
    return CandleSeries(MINUTE_MS, np.array(times, dtype="int64"), opens, highs, lows, closes, ones)


def values(*each: object) -> tuple[object, ...]:
    """A tuple to compare with plain numbers: 110 says as much as Decimal(110)."""
    return each


def flat(price: float, count: int) -> list[tuple[float, float, float, float]]:
    return [(price, price, price, price)] * count


def settings(**changes: Any) -> BacktestSettings:
    """No slippage and no fees unless they are given."""
    facts: dict[str, Any] = {
        "market": MARKET,
        "initial_amount": Decimal(1000),
        "slippage_ratio": Decimal(0),
        "taker_fee_ratio": Decimal(0),
        "maker_fee_ratio": Decimal(0),
    }
    return BacktestSettings(**{**facts, **changes})


@dataclass
class Scripted:
    """Wants to buy at the closes of `buys` and to leave at those of `sells`; remembers what it was asked."""

    buys: Collection[int]
    sells: Collection[int] = ()
    size: float = 100.0
    stop: float = 0.0
    target: float = 0.0
    balances: list[float] = field(default_factory=list)

    def next_entry(self, first: int, last: int, balance: float) -> int | None:
        return next((bar for bar in range(first, last + 1) if bar in self.buys), None)

    def entry_terms(self, bar: int, balance: float) -> EntryTerms:
        self.balances.append(balance)
        return EntryTerms(self.size, self.stop, self.target)

    def next_exit(self, position: HeldPosition, first: int, last: int, balance: float) -> int | None:
        return next((bar for bar in range(first, last + 1) if bar in self.sells), None)

    def sure_exit(self, first: int) -> int | None:
        return None

    def foreseen(self) -> Foreseen | None:
        return None


@dataclass
class HeldByHand:
    """An open position written by hand."""

    entry_bar: int
    quantity: Decimal
    entry_price: Decimal
    stop_loss: Decimal | None
    take_profit: Decimal | None
