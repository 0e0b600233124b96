"""Sizes an entry of a backtest, to the last digit as `size_entry` and `Market` size a live order.

Most of them are sized in whole numbers. Wherever the answer could depend on a rounding, and wherever the
exchange or the balance would refuse, the live order's own functions decide.
"""

from decimal import Decimal
from fractions import Fraction
from math import ceil, floor, inf
from typing import Any

import numpy as np

from domain.backtest.contract import BacktestSettings, CandleSeries, EntryTerms
from domain.backtest.ledger import Held
from domain.backtest.touches import floats
from domain.backtest.units import Units, times, whole_prices
from domain.errors import InvalidInput
from domain.french import number
from domain.orders import Side
from domain.sizing import MARKET_PRICE_MARGIN, Funds, NoOrder, size_entry

_ZERO = Decimal(0)
_NEAR, _FAR = 1e-6, 1 - 1e-6  # of a step: nearer to a whole number of them, a float does not say on which side
_MOST_STEPS = 500_000_000  # with more steps than these a float's own error comes near to that
_KEPT_CHANGES = 256  # stops and take profits are mostly the same few ratios
_LESS, _MORE = 1 - 1e-9, 1 + 1e-9


class Refused(Exception):
    """An entry that the balance or the exchange's filters do not allow; the text is French."""


class Entries:
    """Entries of one run, each at the open that follows its signal.

    Args:
        whole_opens: the candles' opens as whole numbers of `scale`, 0 where they are none.
    """

    def __init__(
        self, candles: CandleSeries, settings: BacktestSettings, units: Units, whole_opens: memoryview, scale: int
    ) -> None:
        market = settings.market
        self._settings, self._units = settings, units
        self._opens, self._closes = floats(candles.open), floats(candles.close)
        self._whole_opens, self._whole_closes = whole_opens, whole_prices(candles.close, scale)
        self._tick = Fraction(market.tick_size) * scale
        self._step = float(market.step_size)
        self._cap = inf if settings.amount_cap is None else float(settings.amount_cap)
        self._payable = 1 / (
            units.per_quote * (1 + float(MARKET_PRICE_MARGIN)) * (1 + float(market.taker_fee_ratio))
        )
        dearer = Fraction(1 + settings.slippage_ratio) / self._tick
        self._over, self._under = dearer.as_integer_ratio()
        self._fee_over, self._fee_under = units.fee_of(settings.taker_fee_ratio).as_integer_ratio()
        self._least, self._most = self._limits()
        notional = Fraction(market.min_notional or 0) / Fraction(market.step_size)
        self._least_worth = ceil(notional * scale)
        self._least_stopped = ceil(notional / Fraction(market.tick_size))
        self._changes: dict[float, tuple[int, int]] = {}
        self._per_quote, self._worth, self._per_fee = units.per_quote, units.worth, units.per_fee

    def _limits(self) -> tuple[int, int]:
        market = self._settings.market
        step = Fraction(market.step_size)
        least = 1 if market.min_quantity is None else max(1, ceil(Fraction(market.min_quantity) / step))
        most = _MOST_STEPS if market.max_quantity is None else floor(Fraction(market.max_quantity) / step)
        return least, min(most, _MOST_STEPS)

    def at(self, signal: int, terms: EntryTerms, cash: int) -> Held:
        """Return the position bought at the open after a signal.

        Args:
            cash: units of money.

        Raises:
            Refused: the exchange or the balance would not have it.
        """
        stop, target = terms.stop_loss, terms.take_profit
        seen, opened = self._whole_closes[signal], self._whole_opens[signal + 1]
        steps = self.steps(signal, terms.position_size, cash)
        if not steps or not opened or not 0 <= stop < 1 or not target >= 0:
            return self._by_the_book(signal, terms, cash)
        low = high = None
        if stop:
            over, under = self._changes.get(-stop) or self._change(-stop)
            low = seen * over // under
        if target:
            over, under = self._changes.get(target) or self._change(target)
            high = seen * over // under
        ticks = -(-opened * self._over // self._under)
        return self.held(signal, steps, ticks, low, high, cash) or self._by_the_book(signal, terms, cash)

    def steps(self, signal: int, size: float, cash: int) -> int:
        """Return how many steps a size buys, 0 where whole numbers do not tell."""
        spend, payable = size if size <= self._cap else self._cap, cash * self._payable
        if spend > payable * _LESS:
            if not payable * _MORE < spend <= cash / self._per_quote:
                return 0
            spend = payable  # all that there is, less the margin
        if not spend > 0 or not self._whole_closes[signal]:
            return 0
        count = spend / (self._closes[signal] * self._step)
        steps = int(count)
        return steps if _NEAR < count - steps < _FAR and self._least <= steps <= self._most else 0

    def held(
        self, signal: int, steps: int, ticks: int, low: int | None, high: int | None, cash: int
    ) -> Held | None:
        """Return a position at given prices in ticks, None where a filter or the balance may refuse it."""
        worth = steps * ticks * self._worth
        fee = -(-worth * self._fee_over // self._fee_under)
        spent = worth + fee * self._per_fee
        if steps * self._whole_closes[signal] < self._least_worth or spent > cash:
            return None
        if low is not None and steps * low < self._least_stopped:
            return None
        return Held(signal + 1, steps, ticks, fee, low, high, cash, spent, self._units)

    def bought_at(self, bars: Any) -> Any:
        """Return the prices of entries at these opens in ticks, 0 where the opens are not whole."""
        return -times(-np.asarray(self._whole_opens)[bars], self._over, self._under)

    def changed(self, bars: Any, change: float) -> Any:
        """Return these closes changed by a ratio, in ticks, 0 where they are not whole."""
        return times(np.asarray(self._whole_closes)[bars], *self._change(change))

    def _change(self, change: float) -> tuple[int, int]:
        """Return by what to multiply, and to divide, a whole price for that price changed by a ratio, in ticks."""
        found = ((1 + Fraction(Decimal(str(change)))) / self._tick).as_integer_ratio()
        if len(self._changes) < _KEPT_CHANGES:
            self._changes[change] = found
        return found

    def _by_the_book(self, signal: int, terms: EntryTerms, cash: int) -> Held:
        """Size it as a live order is."""
        market, seen, have = self._settings.market, _price(self._closes[signal]), cash * self._units.money
        sizes = (terms.position_size, terms.stop_loss, terms.take_profit)
        entry = size_entry(market, seen, sizes, Funds(have, _ZERO, self._settings.amount_cap))
        if isinstance(entry, NoOrder):
            raise Refused(entry.reason)
        quote_amount, stop, target = entry
        quantity = market.round_quantity(quote_amount / seen)
        self._check(quantity, seen)
        if stop is not None:
            self._check(quantity, stop)  # what its own stop could not sell is not bought
        dearer = 1 + self._settings.slippage_ratio
        price = market.round_price(_price(self._opens[signal + 1]) * dearer, side=Side.BUY)
        worth = quantity * price
        fee = market.round_up(worth * self._settings.taker_fee_ratio)
        if worth + fee > have:
            raise Refused(
                f"solde insuffisant à l'ouverture : {number(worth + fee)} {market.quote} nécessaires, "
                f"{number(have)} disponibles"
            )
        low, high = (None if each is None else int(each / market.tick_size) for each in (stop, target))
        steps, ticks, fees = (
            int(quantity / market.step_size),
            int(price / market.tick_size),
            int(fee / self._units.fee),
        )
        return Held(signal + 1, steps, ticks, fees, low, high, cash, self._units.of_money(worth + fee), self._units)

    def _check(self, quantity: Decimal, price: Decimal) -> None:
        try:
            self._settings.market.check(quantity=quantity, price=price, exchange="backtest")
        except InvalidInput as exc:
            raise Refused(exc.message) from exc


def _price(value: float) -> Decimal:
    return Decimal(str(value))
