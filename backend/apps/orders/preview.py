"""What an order would be, before it is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from domain.order_terms import OrderTerms
from domain.orders import OrderType


@dataclass(frozen=True, slots=True)
class PreviewLeg:
    """One of the two orders of a stop loss + take profit."""

    order_type: OrderType
    stop_price: Decimal | None
    notional: Decimal
    fee: Decimal


@dataclass(frozen=True, slots=True)
class Preview:
    """An order rounded and checked, and what it would cost.

    Args:
        quantity: base, cut to the step; an estimate when `quote_amount` is given.
        quote_amount: what a market buy would spend, where the exchange sizes it so.
        notional: quote, at the price that is expected to apply.
        fee: in `fee_currency`, estimated at the taker's fee and rounded up.
        needed: what is set aside in `needed_currency` until the order ends.
        available: free minus what other orders hold of that currency, None when the balance was not given.
        legs: stop loss and take profit of an OCO, else empty; the other fields are then the stop loss's.
    """

    quantity: Decimal
    price: Decimal | None
    stop_price: Decimal | None
    quote_amount: Decimal | None
    notional: Decimal
    fee: Decimal
    fee_currency: str
    needed: Decimal
    needed_currency: str
    available: Decimal | None
    legs: tuple[PreviewLeg, ...] = ()


def preview_of(terms: OrderTerms, available: Decimal | None, *, legs: Sequence[OrderTerms] = ()) -> Preview:
    """Return the preview of terms already checked."""
    return Preview(
        quantity=terms.quantity,
        price=terms.price,
        stop_price=terms.stop_price,
        quote_amount=terms.quote_amount,
        notional=terms.notional,
        fee=terms.fee,
        fee_currency=terms.fee_currency,
        needed=terms.reserved_amount,
        needed_currency=terms.reserved_currency,
        available=available,
        legs=tuple(PreviewLeg(leg.order_type, leg.stop_price, leg.notional, leg.fee) for leg in legs),
    )
