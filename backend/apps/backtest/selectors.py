"""Reads of runs and sweeps. Own data only."""

from django.db.models import F, QuerySet

from apps.backtest.models import BacktestResult, BacktestSweep, BacktestSweepRun
from domain.errors import Conflict, NotFound

_HEAVY = ("trades_detail", "curves", "code")


def runs_of(user_id: int) -> "QuerySet[BacktestResult]":
    """Return the user's runs without their trades, curves and code."""
    return BacktestResult.objects.filter(user_id=user_id).defer(*_HEAVY)


def own_run(user_id: int, run_id: int) -> BacktestResult:
    """Return the user's run. Raises NotFound, also for another user's."""
    row: BacktestResult | None = runs_of(user_id).filter(pk=run_id).first()
    if row is None:
        raise NotFound(f"Backtest {run_id} introuvable.")
    return row


def finished_run(user_id: int, run_id: int, column: str) -> BacktestResult:
    """Return the user's run with one of its heavy columns.

    Raises:
        NotFound: as `own_run`. Conflict: it has no result (yet).
    """
    row: BacktestResult | None = (
        BacktestResult.objects.filter(user_id=user_id, pk=run_id)
        .defer(*(name for name in _HEAVY if name != column))
        .first()
    )
    if row is None:
        raise NotFound(f"Backtest {run_id} introuvable.")
    if row.status != BacktestResult.Status.DONE:
        raise Conflict(
            f"Backtest {run_id} sans résultat : il est {FRENCH[row.status]}.",
            code="backtest_not_done",
            details={"status": row.status},
        )
    return row


def sweeps_of(user_id: int) -> "QuerySet[BacktestSweep]":
    return BacktestSweep.objects.filter(user_id=user_id).defer("code")


def own_sweep(user_id: int, sweep_id: int) -> BacktestSweep:
    """Return the user's sweep. Raises NotFound, also for another user's."""
    row: BacktestSweep | None = sweeps_of(user_id).filter(pk=sweep_id).first()
    if row is None:
        raise NotFound(f"Balayage {sweep_id} introuvable.")
    return row


def ranked_runs(sweep: BacktestSweep) -> "QuerySet[BacktestSweepRun]":
    """Return what a sweep has played, window by window, best score first."""
    best_first = F("score").desc(nulls_last=True)
    return BacktestSweepRun.objects.filter(sweep=sweep).order_by("window", best_first, "number")


FRENCH = {
    "queued": "en attente",
    "loading": "en chargement",
    "running": "en cours",
    "done": "terminé",
    "cancelled": "annulé",
    "failed": "échoué",
}
