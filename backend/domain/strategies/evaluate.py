"""Asks a strategy for its decision and checks every answer. pandas is imported when it is called, not before."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from domain.errors import StrategyError
from domain.strategies.base import METHODS, Strategy, StrategyPosition
from domain.strategies.contract import CandleWindow, Evaluation, PositionView
from domain.strategies.failures import Failure, describe
from domain.strategies.loader import failed
from domain.timeframes import from_ms

# Upper bounds are exclusive. A stop of 2 means "200 %": a slip for 0.02, better refused than obeyed.
LIMITS = {"calculate_position_size": math.inf, "calculate_stop_loss": 1.0, "calculate_take_profit": 100.0}


def evaluate(
    strategy: type[Strategy],
    window: CandleWindow,
    balance: float,
    position: PositionView | None,
    params: Mapping[str, Any],
    *,
    code: str = "",
    ask_all: bool = False,
) -> Evaluation:
    """Return what the strategy wants at the close of the window's last candle.

    Args:
        params: chosen values; the others keep the defaults of `STRATEGY_PARAMS`.
        code: the user's text, to quote his lines in an error.
        ask_all: also call the methods that this decision does not need (validation).

    Raises:
        StrategyError: the code raised, or answered something else than a boolean or a finite number.
        MemoryError: it ate its memory.
    """
    started = time.perf_counter()
    asked = Asked(strategy, window, balance, position, params, code=code)
    return asked.answer(ask_all=ask_all, started=started)


class Asked:
    """An instance of a strategy on a window of candles, asked one method at a time; `user` is the instance.

    Raises:
        StrategyError: as `evaluate`, here and in every method.
    """

    def __init__(
        self,
        strategy: type[Strategy],
        window: CandleWindow,
        balance: float,
        position: PositionView | None,
        params: Mapping[str, Any],
        *,
        code: str = "",
    ) -> None:
        self._asker = Asker(code, len(window))
        self._flat = position is None
        self.length = len(window)
        strategy.params = {**strategy.params, **params}  # a child serves one evaluation: the class is its own
        self.user = self._asker.call(lambda: strategy(candle_frame(window), balance, strategy_position(position)))

    def answer(self, *, ask_all: bool = False, started: float | None = None) -> Evaluation:
        """Return what the strategy wants, as `evaluate`; `started` is where the duration counts from."""
        began = time.perf_counter() if started is None else started
        long, short = self.boolean("should_long"), self.boolean("should_short")
        size = stop = target = 0.0
        if ask_all or (long and self._flat):
            size, stop, target = (self.number(name) for name in METHODS[2:])
        return Evaluation(
            should_long=long,
            should_short=short,
            position_size=size,
            stop_loss=stop,
            take_profit=target,
            duration_ms=(time.perf_counter() - began) * 1000,
        )

    def boolean(self, method: str) -> bool:
        return self._asker.boolean(method, lambda: getattr(self.user, method)())

    def number(self, method: str) -> float:
        return self._asker.number(method, lambda: getattr(self.user, method)())


class Asker:
    """Calls user code, gives its exceptions their line and checks its answers."""

    def __init__(self, code: str, candle_count: int) -> None:
        self._code = code
        self._candle_count = candle_count

    def call(self, function: Callable[[], Any]) -> Any:
        try:
            return function()
        except MemoryError:
            raise
        except BaseException as exc:  # SystemExit and KeyboardInterrupt too: they come from user code
            raise failed(describe(exc, self._code, candle_count=self._candle_count)) from exc

    def boolean(self, method: str, function: Callable[[], Any]) -> bool:
        return _boolean(method, self.call(function))

    def number(self, method: str, function: Callable[[], Any]) -> float:
        return _number(method, self.call(function))


def candle_frame(window: CandleWindow) -> Any:
    """Return the DataFrame that a strategy is given, each column contiguous in memory."""
    import numpy as np
    import pandas as pd

    columns = ("open", "high", "low", "close", "volume")
    values: Any = np.empty((len(columns), len(window)), dtype="float64").T
    for number, name in enumerate(columns):
        values[:, number] = getattr(window, name)
    times = np.asarray(window.open_time_ms, dtype="int64").view("datetime64[ms]")
    index = pd.DatetimeIndex(times, name="open_time").tz_localize("UTC")
    return pd.DataFrame(values, index=index, columns=list(columns), copy=False)  # nobody else holds the values


def strategy_position(view: PositionView | None) -> StrategyPosition | None:
    """Return a position as `self.position` holds it."""
    if view is None:
        return None
    return StrategyPosition(
        side=view.side,
        quantity=view.quantity,
        entry_price=view.entry_price,
        entry_time=from_ms(view.entry_time_ms),
        stop_loss=view.stop_loss,
        take_profit=view.take_profit,
        unrealized_pnl=view.unrealized_pnl,
    )


def _boolean(method: str, answer: Any) -> bool:
    import numpy as np

    if type(answer) in (bool, np.bool_):  # not isinstance: an object may lie about its class
        return bool(answer)
    raise _bad_answer(method, answer, "attendu True ou False")


def _number(method: str, answer: Any) -> float:
    import numpy as np

    if isinstance(answer, (bool, np.bool_)) or not isinstance(answer, (int, float, np.integer, np.floating)):
        raise _bad_answer(method, answer, "attendu un nombre")
    try:
        value = float(answer)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise _bad_answer(method, answer, "attendu un nombre fini")
    if not 0 <= value < LIMITS[method]:
        unit = (
            "montant positif" if method == "calculate_position_size" else "fraction du dernier cours (0.02 = 2 %)"
        )
        raise _bad_answer(method, answer, f"attendu : {unit}")
    return value


def _bad_answer(method: str, answer: Any, expected: str) -> StrategyError:
    # repr() of a user's object is user code: only plain values are quoted.
    shown = str(answer)[:80] if isinstance(answer, (bool, int, float, str, type(None))) else ""
    text = f"{method}() a renvoyé {shown} (type {type(answer).__name__}), {expected}."
    text = text.replace("  ", " ")
    return failed(Failure(message=text, line=None, exception=text, traceback=text))
