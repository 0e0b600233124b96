"""A trade as a person counts it: what was bought, sold, paid in fees and gained, so that the four agree.

Invariant: (exit price − entry price) × units − fee = result, for fees in base or in quote. A fee in a third
currency is no part of it: no rate is known here.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext

from domain.markets import split_symbol

_EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN)  # products of stored amounts stay exact
_SHOWN = Decimal("1e-8")


@dataclass(frozen=True, slots=True)
class ClosedTrade:
    """An order that realised a result.

    Args:
        exit_price: average of its executions; None when the exchange did not say.
        exit_fee, fee_currency: of this order.
        entry_fee: in quote, what the purchases of what it sold had paid.
        result: in quote, net of both fees.
    """

    symbol: str
    quantity: Decimal
    exit_price: Decimal | None
    exit_fee: Decimal
    fee_currency: str
    entry_fee: Decimal
    result: Decimal

    @property
    def fee(self) -> Decimal:
        """Return what the whole trade paid in fees, purchase and sale, in quote; exact."""
        with localcontext(_EXACT):
            return self.entry_fee + self._exit_fee_in_quote

    @property
    def entry_price(self) -> Decimal | None:
        """Return the average price of the purchases, without their fees; 8 places, half even."""
        base, quote = split_symbol(self.symbol)
        if not self.quantity or self.exit_price is None:
            return None
        with localcontext(_EXACT):
            units = self.quantity + (self.exit_fee if self.fee_currency == base else 0)
            in_quote = self.exit_fee if self.fee_currency == quote else 0
            paid = self.quantity * self.exit_price - in_quote - self.result - self.entry_fee
            return (paid / units).quantize(_SHOWN, rounding=ROUND_HALF_EVEN)

    @property
    def _exit_fee_in_quote(self) -> Decimal:
        base, quote = split_symbol(self.symbol)
        if self.fee_currency == quote:
            return self.exit_fee
        return self.exit_fee * (self.exit_price or 0) if self.fee_currency == base else Decimal(0)
