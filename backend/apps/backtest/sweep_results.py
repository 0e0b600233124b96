"""What a sweep found: the best of each window, whether it is proved, and what following them would have given."""

from typing import Any

from django.db.models import F, QuerySet

from apps.backtest.models import BacktestSweep, BacktestSweepRun
from apps.backtest.run_player import Ready
from apps.backtest.sweep_windows import Window
from domain.errors import StrategyError

MOST_PROOFS = (
    5  # of a window: a proof that changes the figures puts another combination first, which is proved then
)


def unproved_best(row: BacktestSweep, window: int) -> BacktestSweepRun | None:
    """Return what ranks first in a window, None when it is proved already or nothing has a score."""
    best = _best_first(row, window).first()
    return None if best is None or is_proved(best) else best


def is_proved(run: BacktestSweepRun) -> bool:
    """Tell whether both parts of a combination were proved whole, with its own parameters."""
    return bool(run.in_sample.get("proved") and run.out_of_sample.get("proved"))


def replace(run: BacktestSweepRun, again: BacktestSweepRun) -> None:
    """Put what a proof found in the place of what was found without it."""
    BacktestSweepRun.objects.filter(pk=run.pk).update(
        score=again.score, in_sample=again.in_sample, out_of_sample=again.out_of_sample, error=again.error
    )


def ranked(row: BacktestSweep, ready: Ready, windows: list[Window]) -> dict[str, Any]:
    """Return the best of each window, what was proved, and the growth out of sample.

    Raises:
        StrategyError: every combination failed, as the first one did.
    """
    runs = BacktestSweepRun.objects.filter(sweep=row).order_by("window", "number")
    failed = [run for run in runs if run.error]
    if failed and len(failed) == len(runs):
        raise StrategyError(f"Balayage échoué : toutes les combinaisons échouent. {failed[0].error}")
    best = [_window_body(row, ready, window) for window in windows]
    growth = 1.0
    for each in best:
        growth *= 1 + (each["out_of_sample_return"] or 0.0)
    proved = [run for run in runs if is_proved(run)]
    return {
        "windows": best,
        "out_of_sample_return": growth - 1,
        "failed_runs": len(failed),
        "proof": None if not proved else {"params": proved[0].params, "runs": len(proved)},
    }


def _window_body(row: BacktestSweep, ready: Ready, window: Window) -> dict[str, Any]:
    best = _best_first(row, window.number).first()
    times, step = ready.candles.series.open_time_ms, ready.candles.series.step_ms
    return {
        "window": window.number,
        "in_sample": [int(times[window.in_sample.low]), int(times[window.in_sample.high - 1]) + step],
        "out_of_sample": [int(times[window.out_of_sample.low]), int(times[window.out_of_sample.high - 1]) + step],
        "best": None if best is None else best.number,
        "params": None if best is None else best.params,
        "out_of_sample_return": None if best is None else best.out_of_sample["net_return"],
        "verdict": None if best is None else _verdict(best),
    }


def _verdict(run: BacktestSweepRun) -> str:
    """Return "ok" when the combination was proved whole, else what is known against it."""
    if not is_proved(run):
        return "unproven"
    found = {run.in_sample["look_ahead"], run.out_of_sample["look_ahead"]}
    return next((verdict for verdict in ("biased", "unproven") if verdict in found), "ok")


def _best_first(row: BacktestSweep, window: int) -> "QuerySet[BacktestSweepRun]":
    scored = BacktestSweepRun.objects.filter(sweep=row, window=window, score__isnull=False)
    return scored.order_by(F("score").desc(), "number")
