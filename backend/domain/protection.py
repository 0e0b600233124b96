"""What guards a position: which of its stop loss and take profit rest at the exchange, for how much, and why not.

Spot knows no order that only reduces a position: what rests there must never exceed what is held, so the
quantity is what is held, net of fees taken in base, cut to the step.
"""

from dataclasses import dataclass
from decimal import Decimal

from domain.errors import InvalidInput
from domain.markets import Market
from domain.order_abilities import OrderAbilities, PairMode
from domain.order_terms import pair_mode
from domain.orders import OrderType

STOP_LOSS = OrderType.STOP_LOSS.value
TAKE_PROFIT = OrderType.TAKE_PROFIT.value
_NO_PAIR = "cet exchange ne tient pas ensemble un stop loss et un take profit"


@dataclass(frozen=True, slots=True)
class Guards:
    """The prices that a long position is to be left at; None: none on that side."""

    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None

    @property
    def is_empty(self) -> bool:
        return self.stop_loss is None and self.take_profit is None


@dataclass(frozen=True, slots=True)
class ProtectionPlan:
    """What should rest at the exchange for a position.

    `kind` is OCO for both, STOP_LOSS or TAKE_PROFIT for one, None for nothing. `reason` says in French why a
    price that is wanted is watched by the engine instead; "" when none is.
    """

    kind: OrderType | None
    quantity: Decimal = Decimal(0)
    reason: str = ""


def reached(guards: Guards, price: Decimal) -> str | None:
    """Return which price of a long position was reached: "stop_loss" (first), "take_profit" or None."""
    if guards.stop_loss is not None and price <= guards.stop_loss:
        return STOP_LOSS
    if guards.take_profit is not None and price >= guards.take_profit:
        return TAKE_PROFIT
    return None


def plan_protection(
    guards: Guards, *, held: Decimal, market: Market, exchange: str, abilities: OrderAbilities | None
) -> ProtectionPlan:
    """Return what should rest at the exchange.

    Args:
        held: base quantity of the position, net of fees taken in base.
        abilities: None, not known yet: taken for an exchange that holds a pair, which its session refuses else.
    """
    if guards.is_empty:
        return ProtectionPlan(None)
    kind, reason = _kind(guards, abilities)
    if kind is None:
        return ProtectionPlan(None, reason=reason)
    quantity = market.round_quantity(held)
    try:
        for price in _triggers(kind, guards):
            market.check(quantity=quantity, price=price, exchange=exchange)
    except InvalidInput as exc:
        return ProtectionPlan(None, reason=exc.message.partition(" : ")[2].rstrip("."))
    return ProtectionPlan(kind, quantity, reason)


def _kind(guards: Guards, abilities: OrderAbilities | None) -> tuple[OrderType | None, str]:
    """A stop loss that the exchange cannot hold is watched, and then nothing may lock what it has to sell."""
    wanted = OrderType.STOP_LOSS if guards.stop_loss is not None else OrderType.TAKE_PROFIT
    refusal = None if abilities is None else abilities.refusal(wanted)
    if guards.stop_loss is None or guards.take_profit is None:
        return (None, refusal.rstrip(".")) if refusal is not None else (wanted, "")
    mode = pair_mode(abilities)
    pair_refusal = None if abilities is None else abilities.refusal(OrderType.OCO)
    if mode is PairMode.OCO and pair_refusal is None:
        return OrderType.OCO, ""
    profit_refusal = None if abilities is None else abilities.refusal(OrderType.TAKE_PROFIT)
    if mode is PairMode.LINKED and refusal is None and profit_refusal is None:
        return OrderType.OCO, ""
    why = (pair_refusal or profit_refusal or _NO_PAIR).rstrip(".")
    return (None, refusal.rstrip(".")) if refusal is not None else (OrderType.STOP_LOSS, why)


def _triggers(kind: OrderType, guards: Guards) -> list[Decimal]:
    prices = {OrderType.STOP_LOSS: guards.stop_loss, OrderType.TAKE_PROFIT: guards.take_profit}
    wanted = list(prices) if kind is OrderType.OCO else [kind]
    return [price for price in (prices[each] for each in wanted) if price is not None]
