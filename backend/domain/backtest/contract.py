"""What goes into a backtest and what comes out of it.

Money is exact: every amount of a trade is a Decimal. Prices of candles and the equity line are floats, for
they are compared and drawn, never added up.
"""

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from domain.backtest.metrics import Metrics
from domain.markets import Market
from domain.strategies.contract import DEFAULT_WINDOW

if TYPE_CHECKING:
    from domain.backtest.certificate import Certificate
    from domain.backtest.ledger import Trades


@dataclass(frozen=True, slots=True, eq=False)
class CandleSeries:
    """Closed candles of one market, oldest first, as numpy arrays of equal length.

    `open_time_ms` are int64, the others float64. A step larger than `step_ms` between two candles is a hole.
    """

    step_ms: int
    open_time_ms: Any
    open: Any
    high: Any
    low: Any
    close: Any
    volume: Any

    def __len__(self) -> int:
        return len(self.open_time_ms)


@dataclass(frozen=True, slots=True)
class BacktestSettings:
    """The assumptions of a run; all are shown with its result.

    Args:
        slippage_ratio: by how much market and stop orders fill worse than the price they met.
        taker_fee_ratio: of market orders and stops; `maker_fee_ratio` of the resting take profit. Fees are
            counted in quote currency on both legs.
        amount_cap: what one position may cost at most (a bot's `amount`), None = no cap.
        first_bar: index of the first candle whose close may decide; those before are the warm-up.
    """

    market: Market
    initial_amount: Decimal
    slippage_ratio: Decimal = Decimal("0.0005")
    taker_fee_ratio: Decimal = Decimal("0.001")
    maker_fee_ratio: Decimal = Decimal("0.001")
    amount_cap: Decimal | None = None
    window: int = DEFAULT_WINDOW
    first_bar: int = 0


class ExitReason(enum.StrEnum):
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    SIGNAL = "signal"
    HOLE = "hole"  # the candles stop: what happened there is unknown, so nothing is held across


class Touch(enum.StrEnum):
    """Which of two protections was met first inside one candle."""

    STOP_FIRST = "stop_first"
    TARGET_FIRST = "target_first"


# Made once for each trade: to freeze a dataclass costs three times its making.
@dataclass(slots=True)
class EntryTerms:
    """What a strategy answers when it wants to buy; as `Evaluation`, floats of the user's code."""

    position_size: float
    stop_loss: float
    take_profit: float


class HeldPosition(Protocol):
    """The open position of a run. Bars are indices into the series."""

    @property
    def entry_bar(self) -> int: ...
    @property
    def quantity(self) -> Decimal: ...
    @property
    def entry_price(self) -> Decimal: ...
    @property
    def stop_loss(self) -> Decimal | None: ...
    @property
    def take_profit(self) -> Decimal | None: ...


@dataclass(frozen=True, slots=True)
class Foreseen:
    """Positions that a strategy may come to hold, as far as they are known before the run.

    Args:
        first, last: arrays of first and last bars of the stretches they may live through, both included, before
            the series' last bar; ascending, no two begin together.
        leaves: for each, the bar at whose close it surely wants to leave; beyond the last bar = not known, or not
            sure to be entered.
        wants: for each bar of the series, the next one (itself included) at whose close it may want to buy.
        terms: what all entries answer, None = they differ.
    """

    first: Any
    last: Any
    leaves: Any
    wants: memoryview
    terms: "FixedTerms | None" = None


@dataclass(frozen=True, slots=True)
class FixedTerms:
    """Entry terms that know nothing of the candles; `size` asks for the one that depends on the balance."""

    size: Callable[[float], float]
    stop_loss: float
    take_profit: float


class Decisions(Protocol):
    """A strategy seen by the engine. Bar N knows the candles up to N and nothing else.

    An implementation may look for the next signal as it likes (bar by bar, or in an array made once); the
    engine asks in order and never twice for the same stretch of a position.
    """

    def next_entry(self, first: int, last: int, balance: float) -> int | None:
        """Return the first bar in first..last (inclusive) at whose close a flat strategy wants to buy."""
        ...

    def entry_terms(self, bar: int, balance: float) -> EntryTerms:
        """Return size and protection wanted at that bar."""
        ...

    def next_exit(self, position: HeldPosition, first: int, last: int, balance: float) -> int | None:
        """Return the first bar in first..last (inclusive) at whose close the strategy wants to leave."""
        ...

    def sure_exit(self, first: int) -> int | None:
        """Return the first bar from `first` on at whose close the strategy wants to leave, if that is known.

        Returns:
            A bar (beyond the last one: it never leaves), or None: it must be asked by `next_exit`.
        """
        ...

    def foreseen(self) -> Foreseen | None:
        """Return the positions that are likely, or None. It only saves work."""
        ...


@dataclass(slots=True)
class BacktestTrade:
    """One round trip. Times are opening times of candles, in ms; amounts in quote unless said."""

    entry_bar: int
    exit_bar: int
    entry_time_ms: int
    exit_time_ms: int
    quantity: Decimal  # base
    entry_price: Decimal
    exit_price: Decimal
    fees: Decimal
    profit: Decimal  # net of fees
    balance: Decimal  # cash after it
    reason: ExitReason
    ambiguous: bool  # both protections were touched in the exit candle


@dataclass(frozen=True, slots=True)
class Refusal:
    """An entry that the exchange's filters or the balance would have refused; `reason` is French."""

    bar: int
    time_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class OpenPosition:
    """What is still held at the end, valued at the last close, before the fees of a sale."""

    entry_bar: int
    entry_time_ms: int
    quantity: Decimal
    entry_price: Decimal
    entry_fee: Decimal
    value: Decimal
    unrealized_profit: Decimal


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one run. `equity` is the value at each candle's close, from the first bar that may decide."""

    trades: "Trades"
    refusals: Sequence[Refusal]
    open_position: OpenPosition | None
    final_balance: Decimal  # cash plus what is still held, at the last close
    equity: Any
    holes: int
    refused_count: int
    ambiguous_count: int
    skipped_at_holes: int = field(default=0)  # entries wanted at the last close before a hole
    decided_count: int = 0  # candles that met both protections, decided by finer ones


class EnginePath(enum.StrEnum):
    """How a run was computed; all three give the same trades, the first ones sooner."""

    VECTORISED = "vectorised"  # signals of all bars at once
    PREFIX_VIEW = "prefix_view"  # indicators once, then the user's methods bar by bar
    LITERAL = "literal"  # a fresh instance on the window of each bar, as a live bot


class Verdict(enum.StrEnum):
    OK = "ok"
    BIASED = "biased"  # a column changes when later candles are known
    TOO_SHORT = "too_short"  # a column depends on candles older than the window
    UNPROVEN = "unproven"


@dataclass(frozen=True, slots=True)
class BacktestJob:
    """What is to be played. `seed` draws the bars of the proof and feeds the user's random numbers.

    Args:
        exact_at_most: over how many bars the exact way, some 2 ms each, may be taken; None = all.
    """

    code: str
    params: Mapping[str, Any]
    settings: BacktestSettings
    seed: int = 0
    exact_at_most: int | None = None


@dataclass(frozen=True, slots=True)
class ColumnDifference:
    """A column (or attribute) of the strategy whose value depends on which candles are known.

    Args:
        column: its name, as the user wrote it.
        whole: its value when all candles are known; `seen` when only those of that moment are. None = undefined.
        relative_gap: |whole - seen| over the larger of both; None when one is undefined.
    """

    column: str
    bar: int
    time_ms: int
    whole: float | None
    seen: float | None
    relative_gap: float | None


@dataclass(frozen=True, slots=True)
class LookAheadCheck:
    """Whether the indicators know the future. `reason` is French, empty when this run showed that they do not."""

    verdict: Verdict  # ok, biased, unproven
    columns: Sequence[ColumnDifference]
    bars_checked: int
    prefixes_checked: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class WindowCheck:
    """Whether `size` candles let the indicators settle; where they do not, the run is still that of a live bot."""

    verdict: Verdict  # ok, too_short, unproven
    size: int
    columns: Sequence[ColumnDifference]


@dataclass(frozen=True, slots=True)
class AmbiguityCheck:
    """Candles that met both protections.

    Args:
        count: those of which nobody knows the order; played stop first.
        decided: those that finer candles decided.
        worst, best: final balance if all of them went wrong, or well; the run's own is `worst`.
    """

    count: int
    decided: int
    worst: Decimal
    best: Decimal


@dataclass(frozen=True, slots=True)
class Hole:
    """Missing candles: opening time of the first one missing and of the next one present, in ms."""

    from_ms: int
    to_ms: int
    missing: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of the period has candles. `holes` are the largest ones, in order of time."""

    ratio: float
    present: int
    expected: int
    hole_count: int
    holes: Sequence[Hole]


@dataclass(frozen=True, slots=True)
class Checks:
    look_ahead: LookAheadCheck
    window: WindowCheck
    ambiguous_candles: AmbiguityCheck
    coverage: Coverage


@dataclass(frozen=True, slots=True)
class Hashes:
    """SHA-256, hexadecimal, of what a run was computed from. `finer` is empty without finer candles."""

    code: str
    candles: str
    params: str
    settings: str
    finer: str = ""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of a run; the only part of a report that two equal runs do not share."""

    engine_s: float  # indicators, decisions, trades
    proof_s: float
    total_s: float  # with metrics and hashes


@dataclass(frozen=True, slots=True)
class BacktestReport:
    """Everything a run found, as plain data.

    Args:
        bars: how many candles could decide (those after the warm-up).
        fallback: French, why a faster path was not taken; empty on the fastest.
        certificate: what other runs of the same text and candles may be given; None when nothing was proved.
        assumptions: name -> value, both French, in the order to show.
    """

    outcome: Outcome
    metrics: Metrics
    checks: Checks
    path: EnginePath
    fallback: str
    bars: int
    assumptions: Mapping[str, str]
    hashes: Hashes
    timing: Timing
    certificate: "Certificate | None" = None
