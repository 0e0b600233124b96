"""Does a bot's decision come out the same when it is replayed over the stored candles, and if not, why?

What a strategy was shown is kept with its decision (`Seen`), so that the replay shows exactly that: only the
candles are read again, because they are what a backtest of the same days would use.
"""

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from domain.strategies.contract import CandleWindow, Evaluation, EvaluationJob, PositionView
from domain.strategies.params import number_text
from domain.timeframes import from_ms

_VERSION = 1
_COLUMNS = ("open", "high", "low", "close", "volume")
_DIGEST_BYTES = 8  # tells a changed candle from an unchanged one; nobody gains by forging it
NUMBERS = ("position_size", "stop_loss", "take_profit")


class Cause(StrEnum):
    """Why a replay may differ, the most telling first."""

    CANDLE_MISSING = "candle_missing"
    CANDLE_REVISED = "candle_revised"
    CODE_CHANGED = "code_changed"
    NOT_REPRODUCIBLE = "not_reproducible"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a strategy was shown at one close.

    Args:
        source, symbol, timeframe: key of its candles.
        first_ms: opening time of the oldest of the `count` candles.
        digest: of all the numbers of the window.
        last: open, high, low, close, volume of the candle that had just closed.
        code: digest of the text that ran.
    """

    source: str
    symbol: str
    timeframe: str
    first_ms: int
    count: int
    digest: str
    last: tuple[float, ...]
    code: str
    params: Mapping[str, Any]
    balance: float
    position: PositionView | None

    def body(self) -> dict[str, Any]:
        """Return what is stored."""
        return {"v": _VERSION, **asdict(self)}


@dataclass(frozen=True, slots=True)
class Difference:
    """One decision that does not come out the same; the texts are French."""

    cause: Cause
    explanation: str


def seen_of(job: EvaluationJob, *, source: str, symbol: str, timeframe: str) -> Seen:
    """Return what to keep of a question."""
    candles = job.candles
    return Seen(
        source=source,
        symbol=symbol,
        timeframe=timeframe,
        first_ms=candles.open_time_ms[0],
        count=len(candles),
        digest=digest_of(candles),
        last=_candle(candles, len(candles) - 1),
        code=text_digest(job.code),
        params=dict(job.params),
        balance=job.balance,
        position=job.position,
    )


def read_seen(body: Mapping[str, Any] | None) -> Seen | None:
    """Return what was stored; None when the decision was made before anything was, or by another version."""
    if not body or body.get("v") != _VERSION:
        return None
    facts = {name: value for name, value in body.items() if name != "v"}
    position = facts["position"]
    return Seen(
        **{
            **facts,
            "last": tuple(facts["last"]),
            "position": None if position is None else PositionView(**position),
        }
    )


def digest_of(window: CandleWindow) -> str:
    """Return a digest of every number of a window."""
    digest = hashlib.sha256(array("q", window.open_time_ms).tobytes())
    for column in _COLUMNS:
        digest.update(array("d", getattr(window, column)).tobytes())
    return digest.hexdigest()[: 2 * _DIGEST_BYTES]


def text_digest(code: str) -> str:
    """Return a digest of a strategy's text."""
    return hashlib.sha256(code.encode()).hexdigest()[: 2 * _DIGEST_BYTES]


def same_wish(live: Evaluation, replayed: Evaluation) -> bool:
    """Tell whether both want the same."""
    return wish(live) == wish(replayed)


def wish(evaluation: Evaluation) -> dict[str, Any]:
    """Return what a strategy wants, as it is compared and shown (numbers as texts, exact)."""
    return {
        "should_long": evaluation.should_long,
        "should_short": evaluation.should_short,
        **{name: str(getattr(evaluation, name)) for name in NUMBERS},
    }


def explain(
    seen: Seen, stored: CandleWindow, *, known: Mapping[int, Sequence[float]], same_code: bool, missing: int
) -> Difference:
    """Return the likely cause of a difference.

    Args:
        stored: the window as it is stored now.
        known: candles that other decisions saw when they closed, by opening time in ms.
        same_code: whether the text that decided is the one that was replayed.
        missing: how many candles of the window are no longer stored.
    """
    if missing:
        return Difference(Cause.CANDLE_MISSING, f"{missing} bougie(s) de la fenêtre ne sont pas enregistrées.")
    if len(stored) != seen.count or digest_of(stored) != seen.digest:
        return Difference(Cause.CANDLE_REVISED, _revision(stored, known))
    if not same_code:
        return Difference(Cause.CODE_CHANGED, "Le code qui a décidé n'existe plus : le code actuel a été rejoué.")
    return Difference(
        Cause.NOT_REPRODUCIBLE,
        "Mêmes bougies, même code, même solde : la stratégie ne répond pas deux fois la même chose "
        "(hasard, heure du système…).",
    )


def _revision(stored: CandleWindow, known: Mapping[int, Sequence[float]]) -> str:
    """Name the newest candle that is known to have been revised, with what changed."""
    for index in range(len(stored) - 1, -1, -1):
        time_ms = stored.open_time_ms[index]
        before, now = known.get(time_ms), _candle(stored, index)
        if before is not None and tuple(before) != now:
            changes = (
                f"{name} {number_text(old)} → {number_text(new)}"
                for name, old, new in zip(_FRENCH, before, now, strict=True)
                if old != new
            )
            return f"Bougie ouverte à {_utc(time_ms)} révisée depuis : {', '.join(changes)}."
    return "Une bougie plus ancienne de la fenêtre a été révisée depuis."


_FRENCH = ("ouverture", "plus haut", "plus bas", "clôture", "volume")


def _candle(window: CandleWindow, index: int) -> tuple[float, ...]:
    return tuple(float(getattr(window, column)[index]) for column in _COLUMNS)


def part(window: CandleWindow, *, first_ms: int, until_ms: int) -> tuple[int, int]:
    """Return the indexes [start, stop) of the candles with first_ms <= opening time < until_ms."""
    return bisect_left(window.open_time_ms, first_ms), bisect_left(window.open_time_ms, until_ms)


def _utc(time_ms: int) -> str:
    return f"{from_ms(time_ms):%d/%m/%Y %H:%M} UTC"
