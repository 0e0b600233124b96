"""The exact way to play a strategy: a fresh instance on the window of each bar, as a live bot does it.

Slow (milliseconds a bar) and never wrong: whatever is faster is measured against it.
"""

from collections.abc import Mapping
from typing import Any

from domain.backtest.contract import CandleSeries, EntryTerms, HeldPosition
from domain.strategies.base import Strategy
from domain.strategies.contract import CandleWindow, Evaluation, PositionView
from domain.strategies.evaluate import evaluate


class LiteralDecisions:
    """The `Decisions` of a strategy class, asked bar by bar.

    Args:
        window: how many candles the strategy sees at most, the last one included.
        code: the user's text, to quote his lines in an error.
    """

    def __init__(
        self,
        strategy: type[Strategy],
        candles: CandleSeries,
        params: Mapping[str, Any],
        *,
        window: int,
        code: str = "",
    ) -> None:
        self._strategy = strategy
        self._candles = candles
        self._params = params
        self._window = window
        self._code = code
        self._last: tuple[int, float, Evaluation] | None = None

    def next_entry(self, first: int, last: int, balance: float) -> int | None:
        """Raises StrategyError when the user's code fails, as every method here."""
        return next((bar for bar in range(first, last + 1) if self._at(bar, balance, None).should_long), None)

    def entry_terms(self, bar: int, balance: float) -> EntryTerms:
        answer = self._at(bar, balance, None)
        return EntryTerms(answer.position_size, answer.stop_loss, answer.take_profit)

    def next_exit(self, position: HeldPosition, last: int, balance: float) -> int | None:
        for bar in range(position.entry_bar, last + 1):
            if self._at(bar, balance, self._view(position, bar)).should_short:
                return bar
        return None

    def _at(self, bar: int, balance: float, position: PositionView | None) -> Evaluation:
        if position is None and self._last is not None and self._last[:2] == (bar, balance):
            return self._last[2]
        answer = evaluate(self._strategy, self._seen(bar), balance, position, self._params, code=self._code)
        if position is None:
            self._last = (bar, balance, answer)
        return answer

    def _seen(self, bar: int) -> CandleWindow:
        part = slice(max(0, bar + 1 - self._window), bar + 1)
        candles = self._candles
        return CandleWindow(
            open_time_ms=candles.open_time_ms[part],
            open=candles.open[part],
            high=candles.high[part],
            low=candles.low[part],
            close=candles.close[part],
            volume=candles.volume[part],
        )

    def _view(self, position: HeldPosition, bar: int) -> PositionView:
        entry, quantity = float(position.entry_price), float(position.quantity)
        return PositionView(
            side="long",
            quantity=quantity,
            entry_price=entry,
            entry_time_ms=int(self._candles.open_time_ms[position.entry_bar]),
            stop_loss=None if position.stop_loss is None else float(position.stop_loss),
            take_profit=None if position.take_profit is None else float(position.take_profit),
            unrealized_pnl=quantity * (float(self._candles.close[bar]) - entry),
        )
