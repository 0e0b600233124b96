"""What the end of a backtest's position is worth: prices against the trader, fees rounded up."""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from domain.backtest.contract import BacktestSettings, CandleSeries, ExitReason, HeldPosition, Touch
from domain.backtest.ledger import Held
from domain.backtest.touches import Touched, floats
from domain.backtest.units import Units, times

# An enum's attribute is slow to reach, and these are reached for each trade.
_SIGNAL, _STOPPED, _REACHED = ExitReason.SIGNAL, ExitReason.STOP_LOSS, ExitReason.TAKE_PROFIT
_STOP_FIRST = Touch.STOP_FIRST

# Bar, price in ticks, whether it was a market order (or a stop, which becomes one), reason, ambiguous.
Exit = tuple[int, int, bool, ExitReason, bool]


class Exits:
    """Exits of one run.

    Args:
        whole_opens: the candles' opens as whole numbers of `scale`, 0 where they are none.
        ambiguous: what is assumed when one candle met both protections and `inside` does not know.
    """

    def __init__(
        self,
        candles: CandleSeries,
        settings: BacktestSettings,
        units: Units,
        whole_opens: memoryview,
        scale: int,
        ambiguous: Touch,
        inside: Callable[[int, HeldPosition], Touch | None] | None,
    ) -> None:
        self._ambiguous, self._inside = ambiguous, inside
        self._opens, self._closes = floats(candles.open), floats(candles.close)
        self._units, self._cheaper = units, Fraction(1 - settings.slippage_ratio)
        self._slipped = self._cheaper.as_integer_ratio()
        self._tick, self._whole_opens = Fraction(units.tick), whole_opens
        sold = self._cheaper / (self._tick * scale)
        self._over, self._under = sold.as_integer_ratio()
        self._worth, self._per_fee = units.worth, units.per_fee
        self._taker = units.fee_of(settings.taker_fee_ratio).as_integer_ratio()
        self._maker = units.fee_of(settings.maker_fee_ratio).as_integer_ratio()
        self.decided_count = 0  # candles that met both protections, decided by `inside`

    def received(self, steps: int, ticks: int, *, market: bool) -> tuple[int, int]:
        """Return the money that a sale brings, net of its fee, and that fee in 10⁻⁸."""
        worth = steps * ticks * self._worth
        over, under = self._taker if market else self._maker
        fee = -(-worth * over // under)
        return worth - fee * self._per_fee, fee

    def at_open(self, bar: int) -> Exit:
        opened: int = self._whole_opens[bar]
        ticks = opened * self._over // self._under if opened else self._worse(self._opens[bar])
        return bar, ticks, True, _SIGNAL, False

    def sold_at(self, bars: Any) -> Any:
        """Return the prices of `at_open` in ticks, 0 where the opens are not whole."""
        return times(np.asarray(self._whole_opens)[bars], self._over, self._under)

    def before_hole(self, bar: int) -> Exit:
        return bar, self._worse(self._closes[bar]), True, ExitReason.HOLE, False

    def protected(self, held: Held, touched: Touched) -> Exit:
        """Return the exit in a candle that met a protection: the stop at the worse of its price and the open."""
        bar, both = touched.bar, touched.stop and touched.target
        opened, stop = self._opens[bar], held.stop if touched.stop else None
        stopped_at_open = stop is not None and opened <= self._units.price(stop)
        known = self._inside(bar, held) if both and not stopped_at_open and self._inside is not None else None
        self.decided_count += known is not None
        first = _STOP_FIRST if stopped_at_open else known or self._ambiguous
        unclear = both and known is None and not stopped_at_open
        if stop is not None and (not touched.target or first is _STOP_FIRST):
            ticks = self._worse(opened) if opened < self._units.price(stop) else self._worse_ticks(stop)
            return bar, ticks, True, _STOPPED, unclear
        return bar, held.target or 0, False, _REACHED, unclear

    def _worse_ticks(self, ticks: int) -> int:
        over, under = self._slipped
        return ticks * over // under

    def _worse(self, price: float) -> int:
        """Return a price less the slippage, in ticks, rounded down."""
        return int(Fraction(Decimal(str(price))) / self._tick * self._cheaper // 1)
