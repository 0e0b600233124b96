"""What crosses between a page that wants a strategy tried and the child that tries it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from domain.markets import Market
from domain.strategies.contract import CandleWindow

MAX_CANDLES = 2_000
MAX_TRADES = 400  # what one answer carries; more trades than that on 500 candles are noise


@dataclass(frozen=True, slots=True)
class QuickTestJob:
    """What is to be tried.

    Args:
        candles: warm-up and tested candles, oldest first, contiguous or with holes.
        tested: how many of them, the last ones, may decide.
        initial_amount: in quote.
    """

    code: str
    candles: CandleWindow
    step_ms: int
    tested: int
    market: Market
    initial_amount: Decimal
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QuickTrade:
    """One round trip; times are the opening times of its candles, in ms."""

    entry_time_ms: int
    exit_time_ms: int
    quantity: Decimal
    entry_price: Decimal
    exit_price: Decimal
    fees: Decimal
    profit: Decimal
    reason: str


@dataclass(frozen=True, slots=True)
class QuickTestResult:
    """What came of it. `refusals` are (time in ms, French reason)."""

    trades: Sequence[QuickTrade]
    refusals: Sequence[tuple[int, str]]
    final_balance: Decimal
    open_since_ms: int | None  # a position still held at the end
    trade_count: int
    ambiguous_count: int
