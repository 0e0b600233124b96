"""What a chart of a finished run shows."""

from datetime import datetime
from typing import Any

from apps.backtest import selectors
from apps.backtest.models import BacktestResult
from apps.backtest.trades import markers_of
from apps.market_data import history_selectors
from domain.backtest.thinning import thin_candles
from domain.timeframes import Timeframe

SHOWN_CANDLES = 1_500


def body(
    user_id: int, run_id: int, *, since: datetime | None = None, until: datetime | None = None
) -> dict[str, Any]:
    """Return curves, candles and marks; of `since` .. `until` the stored candles, in more detail.

    Raises:
        NotFound, Conflict: as `selectors.finished_run`.
    """
    run = selectors.finished_run(user_id, run_id, "curves")
    trades = selectors.finished_run(user_id, run_id, "trades_detail").trades_detail
    kept = run.curves
    shown = kept["candles"] if since is None and until is None else _part(run, since, until)
    return {"curve": kept["curve"], **shown, "markers": markers_of(trades)}


def _part(run: BacktestResult, since: datetime | None, until: datetime | None) -> dict[str, Any]:
    series = history_selectors.series(
        run.candle_source,
        run.symbol,
        Timeframe.parse(run.timeframe),
        since=max(since or run.start_date, run.start_date),
        until=min(until or run.end_date, run.end_date),
    )
    return thin_candles(series, at_most=SHOWN_CANDLES)
