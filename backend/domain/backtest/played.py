"""What a finished run hands over besides its trades and its equity line: small, and all of it is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from domain.backtest.contract import (
    BacktestReport,
    BacktestTrade,
    Checks,
    EnginePath,
    Hashes,
    OpenPosition,
    Refusal,
    Timing,
)
from domain.backtest.metrics import Metrics

MAX_TRADES = 200_000  # more of them on any number of candles is no strategy


@dataclass(frozen=True, slots=True)
class Stated:
    """One assumption, French."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Played:
    """A `BacktestReport` without its long series."""

    final_balance: Decimal
    trade_count: int
    open_position: OpenPosition | None
    refusals: Sequence[Refusal]
    refused_count: int
    skipped_at_holes: int
    metrics: Metrics
    checks: Checks
    path: EnginePath
    fallback: str
    bars: int
    assumptions: Sequence[Stated]
    hashes: Hashes
    timing: Timing


def played(report: BacktestReport) -> Played:
    """Return what is kept of a report beside trades and equity."""
    outcome = report.outcome
    return Played(
        final_balance=outcome.final_balance,
        trade_count=len(outcome.trades),
        open_position=outcome.open_position,
        refusals=tuple(outcome.refusals),
        refused_count=outcome.refused_count,
        skipped_at_holes=outcome.skipped_at_holes,
        metrics=report.metrics,
        checks=report.checks,
        path=report.path,
        fallback=report.fallback,
        bars=report.bars,
        assumptions=tuple(Stated(name, value) for name, value in report.assumptions.items()),
        hashes=report.hashes,
        timing=report.timing,
    )


def trade_row(number: int, trade: BacktestTrade) -> Mapping[str, int | str | bool]:
    """Return a trade as it is stored and shown; amounts exact, times in ms."""
    invested = trade.quantity * trade.entry_price
    ratio = (trade.profit / invested).quantize(Decimal("1e-8")) if invested else Decimal(0)
    return {
        "number": number,
        "entry_time": trade.entry_time_ms,
        "exit_time": trade.exit_time_ms,
        "quantity": f"{trade.quantity:f}",
        "entry_price": f"{trade.entry_price:f}",
        "exit_price": f"{trade.exit_price:f}",
        "fees": f"{trade.fees:f}",
        "profit": f"{trade.profit:f}",
        "profit_ratio": f"{ratio:f}",
        "balance": f"{trade.balance:f}",
        "reason": trade.reason.value,
        "ambiguous": trade.ambiguous,
    }
