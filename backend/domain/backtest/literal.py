"""The exact way to play a strategy: a fresh instance on the window of each bar, as a live bot does it.

Slow (milliseconds a bar) and never wrong: whatever is faster is measured against it. The user's text is
run anew for each bar too, as each of a bot's evaluations has a process of its own: what the text keeps in
a module's variable would otherwise carry the future into the past.
"""

from collections.abc import Callable, Mapping
from typing import Any

from domain.backtest.contract import CandleSeries, EntryTerms, Foreseen, HeldPosition
from domain.strategies.base import Strategy
from domain.strategies.contract import CandleWindow, Evaluation, PositionView
from domain.strategies.evaluate import Asked


class LiteralDecisions:
    """The `Decisions` of a strategy, asked bar by bar.

    Args:
        fresh: runs the user's text and returns his class.
        window: how many candles the strategy sees at most, the last one included.
        code: the user's text, to quote his lines in an error.
        tick: called with each bar; may raise to stop the run.
    """

    def __init__(
        self,
        fresh: Callable[[], type[Strategy]],
        candles: CandleSeries,
        params: Mapping[str, Any],
        *,
        window: int,
        code: str = "",
        tick: Callable[[int], None] | None = None,
    ) -> None:
        self._fresh = fresh
        self._candles = candles
        self._params = params
        self._window = window
        self._code = code
        self._tick = tick
        self._last: tuple[int, float, Evaluation] | None = None
        self.asked: Asked | None = None  # the last instance made

    def next_entry(self, first: int, last: int, balance: float) -> int | None:
        """Raises StrategyError when the user's code fails, as every method here."""
        return next((bar for bar in range(first, last + 1) if self.at(bar, balance).should_long), None)

    def entry_terms(self, bar: int, balance: float) -> EntryTerms:
        answer = self.at(bar, balance)
        return EntryTerms(answer.position_size, answer.stop_loss, answer.take_profit)

    def next_exit(self, position: HeldPosition, first: int, last: int, balance: float) -> int | None:
        for bar in range(first, last + 1):
            if self.at(bar, balance, position).should_short:
                return bar
        return None

    def sure_exit(self, first: int) -> int | None:
        return None

    def foreseen(self) -> Foreseen | None:
        return None

    def at(self, bar: int, balance: float, position: HeldPosition | None = None) -> Evaluation:
        """Return the strategy's answer at the close of a bar."""
        if position is None and self._last is not None and self._last[:2] == (bar, balance):
            return self._last[2]
        if self._tick is not None:
            self._tick(bar)
        view = None if position is None else position_view(self._candles, position, bar)
        window = seen_at(self._candles, bar, self._window)
        self.asked = Asked(self._fresh(), window, balance, view, self._params, code=self._code)
        answer = self.asked.answer()
        if position is None:
            self._last = (bar, balance, answer)
        return answer


def seen_at(candles: CandleSeries, bar: int, window: int) -> CandleWindow:
    """Return the candles that a live bot sees at the close of a bar."""
    part = slice(max(0, bar + 1 - window), bar + 1)
    return CandleWindow(
        open_time_ms=candles.open_time_ms[part],
        open=candles.open[part],
        high=candles.high[part],
        low=candles.low[part],
        close=candles.close[part],
        volume=candles.volume[part],
    )


def position_view(candles: CandleSeries, position: HeldPosition, bar: int) -> PositionView:
    """Return the open position as the strategy sees it at the close of a bar."""
    entry, quantity = float(position.entry_price), float(position.quantity)
    return PositionView(
        side="long",
        quantity=quantity,
        entry_price=entry,
        entry_time_ms=int(candles.open_time_ms[position.entry_bar]),
        stop_loss=None if position.stop_loss is None else float(position.stop_loss),
        take_profit=None if position.take_profit is None else float(position.take_profit),
        unrealized_pnl=quantity * (float(candles.close[bar]) - entry),
    )
