"""The whole numbers a run counts in: prices in ticks, quantities in steps, money in its smallest part.

Whole numbers are exact as Decimals are, and several times faster. Decimals are made where one looks.
"""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from domain.backtest.contract import BacktestSettings, CandleSeries

_FEE_PLACES = 8  # `Market.round_up`
_SAMPLE = 64
_WHOLE = 2**53  # whole numbers under this are floats without a rounding
_EXACT = 10**15  # decimals of so many digits are told apart by floats


class Units:
    """What one tick, one step and one unit of money of a run are worth.

    Args:
        settings: its market, and the initial amount, which may have more decimals than a trade's worth.
    """

    def __init__(self, settings: BacktestSettings) -> None:
        market = settings.market
        self.tick, self.step = market.tick_size, market.step_size
        profit_places = max(_FEE_PLACES, places(self.tick) + places(self.step))
        money_places = max(profit_places, places(settings.initial_amount))
        self.fee, self.profit = Decimal(1).scaleb(-_FEE_PLACES), Decimal(1).scaleb(-profit_places)
        self.money = Decimal(1).scaleb(-money_places)
        self.per_quote: int = 10**money_places  # units of money in one of the quote currency
        self.per_fee: int = 10 ** (money_places - _FEE_PLACES)
        self.per_profit: int = 10 ** (money_places - profit_places)
        self.worth: int = int(self.tick * self.step * self.per_quote)  # of one step at a price of one tick
        # A price of n ticks is n × this over that, rounded once.
        self.tick_over, self.tick_under = Fraction(self.tick).as_integer_ratio()

    def of_money(self, amount: Decimal) -> int:
        return int(amount.scaleb(places(self.money)))

    def price(self, ticks: int) -> float:
        return ticks * self.tick_over / self.tick_under

    def prices(self, ticks: Any) -> Any:
        """Return `price` of an array; NaN where that would be rounded twice."""
        if not len(ticks) or int(ticks.max()) * self.tick_over < _WHOLE > self.tick_under:
            return ticks * self.tick_over / self.tick_under
        return np.full(len(ticks), np.nan)

    def fee_of(self, ratio: Decimal) -> Fraction:
        """Return by what to multiply an amount of money for its fee, before it is rounded up."""
        return Fraction(ratio) * Fraction(10**_FEE_PLACES, self.per_quote)


def places(value: Decimal) -> int:
    """Return how many decimals a number is written with."""
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def price_scale(candles: CandleSeries) -> int:
    """Return a power of ten that makes whole numbers of most of the candles' prices."""
    every = max(1, len(candles) // _SAMPLE)
    sample = [*candles.open[::every].tolist(), *candles.close[::every].tolist()]
    found = max((places(Decimal(str(price))) for price in sample), default=0)
    highest = float(candles.high.max()) if len(candles) else 0.0
    while found and highest * 10**found >= _EXACT:
        found -= 1
    scale: int = 10**found
    return scale


def whole_prices(prices: Any, scale: int) -> memoryview:
    """Return prices as whole numbers of a scale, 0 for those that are none (and are worked out one by one)."""
    values = np.asarray(prices, dtype="float64")
    found = np.rint(values * scale)
    found[(found / scale != values) | (np.abs(found) >= _EXACT)] = 0
    return memoryview(found.astype("int64"))


def quotients(whole: Sequence[int], over: int, under: int) -> Any:
    """Return whole numbers × over / under as floats, each rounded once."""
    if max(whole, default=0) * over < _WHOLE > under:
        return np.array(whole, dtype="float64") * over / under
    return [each * over / under for each in whole]


def times(values: Any, over: int, under: int) -> Any:
    """Return whole numbers × over // under, or zeros where 64 bits would not hold them."""
    if len(values) and (max(1, int(np.abs(values).max())) * over >= 2**63 or under >= 2**63):
        return np.zeros(len(values), dtype="int64")
    return values * over // under
