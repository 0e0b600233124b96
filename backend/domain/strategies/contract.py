"""What crosses between the engine and the child that runs user code: plain numbers, nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

DEFAULT_WINDOW = 500  # closed candles a strategy sees, live and in backtest


@dataclass(frozen=True, slots=True)
class CandleWindow:
    """Closed candles, oldest first, as parallel columns of equal length. Times in ms, the rest floats."""

    open_time_ms: Sequence[int]
    open: Sequence[float]
    high: Sequence[float]
    low: Sequence[float]
    close: Sequence[float]
    volume: Sequence[float]

    def __len__(self) -> int:
        return len(self.open_time_ms)


@dataclass(frozen=True, slots=True)
class PositionView:
    """The position a strategy may look at (`self.position`). Prices in quote, quantity in base."""

    side: str  # "long"
    quantity: float
    entry_price: float
    entry_time_ms: int
    stop_loss: float | None
    take_profit: float | None
    unrealized_pnl: float


@dataclass(frozen=True, slots=True)
class EvaluationJob:
    """One question to a strategy: what do you want at this close?"""

    code: str
    candles: CandleWindow
    balance: float  # free quote currency the strategy may count on
    position: PositionView | None = None
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The strategy's answer, checked: booleans and finite floats.

    `position_size` is the quote amount to spend; `stop_loss` and `take_profit` are fractions of the entry
    price, 0.0 = none. They are asked only when there is no position and `should_long` is true, else 0.0.
    """

    should_long: bool
    should_short: bool
    position_size: float
    stop_loss: float
    take_profit: float
    duration_ms: float


@dataclass(frozen=True, slots=True)
class CodeError:
    """A problem in the user's code. `line` and `column` start at 1; None when they are not known."""

    message: str
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True, slots=True)
class Validation:
    """What `validate/` answers."""

    valid: bool
    class_name: str | None
    errors: Sequence[CodeError]
