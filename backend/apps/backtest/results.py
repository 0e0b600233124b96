"""A finished run as the columns of its row: written once, in one statement, the same bytes for the same run."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from apps.backtest.curves import SHOWN_CANDLES
from apps.backtest.fees import Fees
from apps.backtest.inputs import Target
from apps.backtest.loading import Candles
from apps.core.adapters.strategy_host.backtest_host import FullResult
from apps.core.adapters.strategy_host.plain_values import plain
from domain.backtest.contract import CandleSeries
from domain.backtest.played import Played
from domain.backtest.thinning import kept_points, thin_candles
from domain.french import moment


def columns_of(result: FullResult, target: Target, candles: Candles, fees: Fees) -> dict[str, Any]:
    """Return what is written of a run.

    `engine` holds the measured seconds and is the only column that two equal runs do not share.
    """
    played, metrics = result.played, result.played.metrics
    decisive = _from(candles.series, candles.first_bar)
    kept: dict[str, Any] = {
        "final_amount": played.final_balance,
        "total_trades": metrics.trade_count,
        "winning_trades": metrics.won,
        "losing_trades": metrics.lost,
        "max_drawdown": metrics.max_drawdown,
        "sharpe_ratio": metrics.sharpe,
        "metrics": _figures(played),
        "checks": {**plain(played.checks), "coverage": _coverage(played, candles)},
        "assumptions": _assumptions(played, target, fees),
        "curves": {
            "curve": curve_of(result.equity, decisive, float(metrics.initial_amount)),
            "candles": thin_candles(decisive, at_most=SHOWN_CANDLES),
        },
    }
    trades = "[" + ",".join(result.trades) + "]"
    kept["hashes"] = {**plain(played.hashes), "result": _sha256(kept, trades)}
    kept["engine"] = {
        "path": played.path.value,
        "fallback": played.fallback,
        "bars": played.bars,
        **plain(played.timing),
    }
    return {**kept, "trades_detail": trades}


def curve_of(equity: Any, candles: CandleSeries, initial: float) -> dict[str, Any]:
    """Return equity, drawdown and buy and hold at the moments that a screen needs."""
    peaks = np.maximum(np.maximum.accumulate(equity), initial)
    with np.errstate(divide="ignore", invalid="ignore"):
        drawdown = np.nan_to_num((peaks - equity) / peaks)
    held = initial / candles.open[0] * candles.close if candles.open[0] else np.full(len(equity), initial)
    at = kept_points(equity)
    return {
        "time": (candles.open_time_ms[at] + candles.step_ms).tolist(),
        "equity": np.round(equity[at], 8).tolist(),
        "drawdown": np.round(drawdown[at], 8).tolist(),
        "buy_and_hold": np.round(held[at], 8).tolist(),
    }


def _figures(played: Played) -> dict[str, Any]:
    held = played.open_position
    return {
        **plain(played.metrics),
        "open_position": None if held is None else plain(held),
        "refused_count": played.refused_count,
        "refusals": [{"time": each.time_ms, "reason": each.reason} for each in played.refusals],
        "skipped_at_holes": played.skipped_at_holes,
    }


def _coverage(played: Played, candles: Candles) -> dict[str, Any]:
    return {**plain(played.checks.coverage), "verified": candles.verified}


def _assumptions(played: Played, target: Target, fees: Fees) -> list[dict[str, str]]:
    ours = {
        "Origine des frais": fees.words,
        "Bougies": target.exchange_name,
        "Première bougie jouée": moment(target.first),
        "Fin de la dernière bougie": moment(target.until),
    }
    return [*plain(played.assumptions), *({"name": name, "value": value} for name, value in ours.items())]


def _from(series: CandleSeries, first: int) -> CandleSeries:
    names = ("open_time_ms", "open", "high", "low", "close", "volume")
    return CandleSeries(series.step_ms, *(getattr(series, name)[first:] for name in names))


def _sha256(kept: Mapping[str, Any], trades: str) -> str:
    digest = hashlib.sha256(orjson.dumps({**kept, "final_amount": str(kept["final_amount"])}))
    digest.update(trades.encode())
    return digest.hexdigest()
