"""Says whether a text is a strategy that can trade, by running it on sample candles (sandboxed child only)."""

from collections.abc import Mapping
from typing import Any

from domain.errors import StrategyError
from domain.strategies.contract import DEFAULT_WINDOW, CodeError, PositionView, Validation
from domain.strategies.evaluate import evaluate
from domain.strategies.loader import check_class, load
from domain.strategies.params import declared_params
from domain.strategies.sample import sample_window

_BALANCE = 1000.0
# A new listing has few candles; later closes let the methods meet both sides of a crossing.
_WINDOW_SIZES = (25, 100, 377, DEFAULT_WINDOW)
_POSITION = PositionView(
    side="long",
    quantity=1.0,
    entry_price=100.0,
    entry_time_ms=1_577_836_800_000,
    stop_loss=98.0,
    take_profit=104.0,
    unrealized_pnl=1.5,
)


def validate(code: str, scope: Mapping[str, Any]) -> Validation:
    """Return the verdict on `code`. A failure of the code is an answer, not an exception.

    Raises:
        MemoryError: the code ate its memory.
    """
    try:
        strategy = load(code, scope)
    except StrategyError as exc:
        return Validation(valid=False, class_name=None, errors=_errors(exc))
    problems = [*check_class(strategy), *declared_params(code).errors]
    if problems:
        return Validation(valid=False, class_name=strategy.__name__, errors=problems)
    for size in _WINDOW_SIZES:
        for position in (None, _POSITION):
            try:
                evaluate(strategy, sample_window(size), _BALANCE, position, {}, code=code, ask_all=True)
            except StrategyError as exc:
                return Validation(valid=False, class_name=strategy.__name__, errors=_errors(exc, size))
    return Validation(valid=True, class_name=strategy.__name__, errors=())


def _errors(error: StrategyError, candle_count: int | None = None) -> list[CodeError]:
    listed = error.details.get("errors")
    if listed:
        return [CodeError(one["message"], one["line"], one["column"]) for one in listed]
    tried = f" (essai sur {candle_count} bougies)" if candle_count is not None else ""
    return [CodeError(error.message + tried, line=error.details.get("line"))]
