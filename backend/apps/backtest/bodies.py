"""What a page gets of a run, over REST and in events alike."""

from decimal import Decimal
from typing import Any

from apps.backtest.models import BacktestResult, BacktestSweep, BacktestSweepRun, Job

_FOUND = ("metrics", "checks", "hashes", "engine")


def run_body(row: BacktestResult) -> dict[str, Any]:
    """Return one run without its trades and curves."""
    return {
        **_job_body(row),
        "final_amount": text(row.final_amount),
        "total_trades": row.total_trades,
        "winning_trades": row.winning_trades,
        "losing_trades": row.losing_trades,
        "max_drawdown": row.max_drawdown,
        "sharpe_ratio": row.sharpe_ratio,
        "assumptions": row.assumptions,
        **{name: getattr(row, name) or None for name in _FOUND},
    }


def sweep_body(row: BacktestSweep) -> dict[str, Any]:
    """Return one sweep without its runs."""
    return {
        **_job_body(row),
        "sampler": row.sampler,
        "space": row.space,
        "objective": row.objective,
        "split_ratio": row.split_ratio,
        "windows": row.windows,
        "total_runs": row.total_runs,
        "done_runs": row.done_runs,
        "results": row.results or None,
    }


def sweep_run_body(row: BacktestSweepRun) -> dict[str, Any]:
    return {
        "number": row.number,
        "window": row.window,
        "params": row.params,
        "score": row.score,
        "in_sample": row.in_sample,
        "out_of_sample": row.out_of_sample,
        "error": row.error,
    }


def text(amount: Decimal | None) -> str | None:
    """Return an amount as JSON bears it: plain, without trailing zeros."""
    return None if amount is None else f"{amount.normalize():f}"


def _job_body(row: Job) -> dict[str, Any]:
    return {
        "id": row.pk,
        "strategy": row.strategy_id,
        "strategy_name": row.strategy_name,
        "strategy_version": row.strategy_version,
        "broker": row.broker_id,
        "broker_name": row.broker_name,
        "exchange": row.exchange,
        "symbol": row.symbol,
        "quote_currency": row.quote_currency,
        "timeframe": row.timeframe,
        "start_date": row.start_date.isoformat(),
        "end_date": row.end_date.isoformat(),
        "initial_amount": text(row.initial_amount),
        "fee_ratio": text(row.fee_ratio),
        "slippage_ratio": text(row.slippage_ratio),
        "params": row.params,
        "status": row.status,
        "phase_progress": row.phase_progress,
        "cancel_requested": row.cancel_requested,
        "error": row.error,
        "error_details": row.error_details,
        "created_at": row.created_at.isoformat(),
        "started_at": None if row.started_at is None else row.started_at.isoformat(),
        "finished_at": None if row.finished_at is None else row.finished_at.isoformat(),
    }
