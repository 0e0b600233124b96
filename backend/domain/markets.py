"""A market (instrument) of an exchange and every rounding Aristobot does.

Rounded once, here: quantity down to the step, price to the tick against the trader, fees up.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal

from domain.errors import InvalidInput
from domain.french import number
from domain.orders import Side

_EIGHT_PLACES = Decimal("1e-8")
_BUY = Side.BUY  # an enum's attribute costs more than the rounding, in a backtest's loop


@dataclass(frozen=True, slots=True)
class Market:
    """One spot instrument as an exchange trades it. Sizes are in base, notionals in quote; None = no limit."""

    symbol: str  # ccxt name, "BTC/USDT"
    exchange_id: str  # the exchange's own name, "BTCUSDT"
    base: str
    quote: str
    tick_size: Decimal
    step_size: Decimal
    min_quantity: Decimal | None = None
    max_quantity: Decimal | None = None
    min_notional: Decimal | None = None
    maker_fee_ratio: Decimal = Decimal("0.001")
    taker_fee_ratio: Decimal = Decimal("0.001")
    active: bool = True
    market_type: str = "spot"

    def round_quantity(self, quantity: Decimal) -> Decimal:
        """Cut to the step, towards zero."""
        return (quantity / self.step_size).to_integral_value(ROUND_DOWN) * self.step_size

    def round_price(self, price: Decimal, *, side: Side) -> Decimal:
        """Round to the tick against the trader: a buy up, a sell down."""
        rounding = ROUND_CEILING if side is _BUY else ROUND_FLOOR
        return (price / self.tick_size).to_integral_value(rounding) * self.tick_size

    def round_up(self, amount: Decimal) -> Decimal:
        """Round an amount to set aside up to 8 places (fees are never underestimated)."""
        return amount.quantize(_EIGHT_PLACES, ROUND_CEILING)

    def check(self, *, quantity: Decimal, price: Decimal, exchange: str) -> None:
        """Check the filters for an already rounded quantity at `price`.

        Raises:
            InvalidInput: quantity or notional outside the limits, in French with the values.
        """
        head = f"Ordre refusé avant envoi ({exchange}, {self.symbol})"
        if quantity <= 0:
            raise InvalidInput(
                f"{head} : quantité nulle après arrondi au pas de {number(self.step_size)} {self.base}.",
                details={"step_size": str(self.step_size)},
                code="quantity_too_small",
            )
        if self.min_quantity is not None and quantity < self.min_quantity:
            raise InvalidInput(
                f"{head} : quantité {number(quantity)} {self.base} inférieure au minimum "
                f"{number(self.min_quantity)} {self.base}.",
                details={"quantity": str(quantity), "minimum": str(self.min_quantity)},
                code="quantity_too_small",
            )
        if self.max_quantity is not None and quantity > self.max_quantity:
            raise InvalidInput(
                f"{head} : quantité {number(quantity)} {self.base} supérieure au maximum "
                f"{number(self.max_quantity)} {self.base}.",
                details={"quantity": str(quantity), "maximum": str(self.max_quantity)},
                code="quantity_too_large",
            )
        notional = quantity * price
        if self.min_notional is not None and notional < self.min_notional:
            raise InvalidInput(
                f"{head} : valeur {number(notional)} {self.quote} inférieure au minimum "
                f"{number(self.min_notional)} {self.quote}.",
                details={"notional": str(notional), "minimum": str(self.min_notional)},
                code="notional_too_small",
            )


def split_symbol(symbol: str) -> tuple[str, str]:
    """Return (base, quote) of a ccxt symbol: "BTC/USDT" and "BTC/USDT:USDT" give ("BTC", "USDT")."""
    base, _, rest = symbol.partition("/")
    return base, rest.partition(":")[0]
