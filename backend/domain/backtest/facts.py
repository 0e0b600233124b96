"""What is stated beside every result: its inputs' hashes, its coverage, its assumptions."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any

import numpy as np

from domain.backtest.contract import BacktestJob, BacktestSettings, CandleSeries, Coverage, Hashes, Hole
from domain.french import number

_MAX_HOLES = 200
_AS_LIVE = "à chaque bougie, la valeur qu'en voit un bot avec ses {} bougies"
_COLUMNS = ("open_time_ms", "open", "high", "low", "close", "volume")


def hashes(job: BacktestJob, candles: CandleSeries, finer: CandleSeries | None) -> Hashes:
    """Return what identifies the inputs of a run: the same bytes in, the same hash out, on any machine."""
    settings = {**asdict(job.settings), "seed": job.seed}
    return Hashes(
        code=_sha256(job.code.encode()),
        candles=_candles(candles),
        params=_sha256(_canonical(job.params)),
        settings=_sha256(_canonical(settings)),
        finer="" if finer is None else _candles(finer),
    )


def _candles(candles: CandleSeries) -> str:
    digest = hashlib.sha256(str(candles.step_ms).encode())
    for name in _COLUMNS:
        kind = "<i8" if name == "open_time_ms" else "<f8"
        digest.update(np.ascontiguousarray(getattr(candles, name), dtype=kind).data)
    return digest.hexdigest()


def _canonical(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str).encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def coverage(candles: CandleSeries) -> Coverage:
    """Return how many of the candles between the first and the last one are there."""
    present = len(candles)
    if not present:
        return Coverage(0.0, 0, 0, 0, ())
    times = np.asarray(candles.open_time_ms)
    steps = np.diff(times)
    at = np.flatnonzero(steps != candles.step_ms)
    expected = int((times[-1] - times[0]) // candles.step_ms) + 1
    largest = sorted(at[np.argsort(-steps[at], kind="stable")][:_MAX_HOLES].tolist())
    holes = [_hole(candles, bar) for bar in largest]
    return Coverage(min(1.0, present / expected), present, expected, len(at), tuple(holes))


def _hole(candles: CandleSeries, bar: int) -> Hole:
    before, after = int(candles.open_time_ms[bar]), int(candles.open_time_ms[bar + 1])
    first = before + candles.step_ms
    return Hole(first, after, max(0, (after - first) // candles.step_ms))


def assumptions(
    settings: BacktestSettings, *, finer: CandleSeries | None, windowed: Sequence[str] = ()
) -> dict[str, str]:
    """Return the rules of a run in French, in the order to show them.

    Args:
        windowed: columns of long memory that were read as each window shows them.
    """
    names = ", ".join(f"« {name} »" for name in windowed)
    market = settings.market
    inside = (
        "stop d'abord (hypothèse prudente)"
        if finer is None
        else f"selon les bougies de {number(Decimal(finer.step_ms) / 60_000)} min, sinon stop d'abord"
    )
    return {
        "Exécution": "à l'ouverture de la bougie suivante",
        "Glissement": _percent(settings.slippage_ratio),
        "Frais taker": _percent(settings.taker_fee_ratio),
        "Frais maker": _percent(settings.maker_fee_ratio),
        "Prix du stop et de l'objectif": "comptés du dernier cours à la décision, pas du prix d'achat",
        "Stop et objectif dans la même bougie": inside,
        "Fenêtre": f"{settings.window} bougies",
        **({"Indicateurs à longue mémoire": f"{names} : {_AS_LIVE.format(settings.window)}"} if names else {}),
        "Pas de prix": f"{number(market.tick_size)} {market.quote}",
        "Pas de quantité": f"{number(market.step_size)} {market.base}",
        "Valeur minimale d'un ordre": "aucune"
        if market.min_notional is None
        else f"{number(market.min_notional)} {market.quote}",
        "Plafond par position": "aucun"
        if settings.amount_cap is None
        else f"{number(settings.amount_cap)} {market.quote}",
        "Trous": "rien n'est tenu ni ouvert à travers une bougie manquante",
    }


def _percent(ratio: Decimal) -> str:
    return f"{number((ratio * 100).normalize())} %"
