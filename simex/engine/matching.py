"""Who trades with whom: pure functions on prices and quantities."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from heapq import merge

from simex.engine.orders import Order
from simex.market.depth import Level
from simex.units import ZERO, floor_to


@dataclass(frozen=True)
class Offer:
    """A quantity that a taker may have: of a resting order, or synthetic when order is None."""

    price: Decimal
    quantity: Decimal
    order: Order | None = None


@dataclass(frozen=True)
class Match:
    """An execution: price and quantity against one offer."""

    offer: Offer
    quantity: Decimal

    @property
    def price(self) -> Decimal:
        """The maker's price."""
        return self.offer.price


def crosses(side: str, limit: Decimal, price: Decimal) -> bool:
    """Tell whether an order of a side with a limit would accept a price."""
    return price <= limit if side == "BUY" else price >= limit


def priority(order: Order) -> tuple[Decimal, int]:
    """Sort key of resting orders: best price, then oldest."""
    return (-order.price if order.side == "BUY" else order.price, order.order_id)


def offers_for(side: str, resting: Iterable[Order], depth: Iterable[Level]) -> list[Offer]:
    """Return what a taker of `side` meets, best first; at one price users come before depth."""
    users = [Offer(o.price, o.remaining, o) for o in sorted(resting, key=priority)]
    synthetic = [Offer(level.price, level.quantity) for level in depth]
    sign = 1 if side == "BUY" else -1
    return list(merge(users, synthetic, key=lambda offer: offer.price * sign))


def match_quantity(side: str, offers: Iterable[Offer], quantity: Decimal, limit: Decimal | None) -> list[Match]:
    """Take a base quantity from the offers, within the limit price."""
    left = quantity
    matches = []
    for offer in offers:
        if left <= ZERO or (limit is not None and not crosses(side, limit, offer.price)):
            break
        taken = min(left, offer.quantity)
        matches.append(Match(offer, taken))
        left -= taken
    return matches


def match_quote(offers: Iterable[Offer], amount: Decimal, step: Decimal) -> list[Match]:
    """Take what a quote amount can pay, in whole steps."""
    left = amount
    matches = []
    for offer in offers:
        taken = min(offer.quantity, floor_to(left / offer.price, step))
        if taken <= ZERO:
            break
        matches.append(Match(offer, taken))
        left -= taken * offer.price
        if taken < offer.quantity:
            break
    return matches


def total(matches: Iterable[Match]) -> Decimal:
    """Return the matched base quantity."""
    return sum((match.quantity for match in matches), ZERO)


def cost(matches: Iterable[Match]) -> Decimal:
    """Return the matched quote amount, exact."""
    return sum((match.quantity * match.price for match in matches), ZERO)


def fills_of_trade(resting: Sequence[Order], price: Decimal, quantity: Decimal) -> list[tuple[Order, Decimal]]:
    """Tell what a public trade gives to resting orders.

    A trade *through* an order's price fills it whole: on the real market it would have been
    filled before the price got there. A trade *at* its price gives at most the trade's
    quantity, shared by priority. The order's own price is the price of execution.
    """
    left = quantity
    filled = []
    for order in sorted(resting, key=priority):
        if not crosses(order.side, order.price, price):
            continue
        if order.price != price:
            filled.append((order, order.remaining))
        elif left > ZERO:
            taken = min(left, order.remaining)
            left -= taken
            filled.append((order, taken))
    return filled
