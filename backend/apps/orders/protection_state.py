"""Where a position's stop loss and take profit are held, as people see it; reads only."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from apps.orders.models import Position, Trade
from apps.orders.selectors import LIVE_STATUSES
from domain.french import number
from domain.orders import OrderStatus, OrderType
from domain.protection import STOP_LOSS, TAKE_PROFIT, Guards

NONE, EXCHANGE, PLACING, ENGINE = "none", "exchange", "placing", "engine"
_TEXTS = {
    EXCHANGE: "chez l'exchange",
    PLACING: "en cours de pose chez l'exchange",
    ENGINE: "surveillé par le moteur",
}
_RESTING = (OrderStatus.OPEN.value, OrderStatus.PARTIALLY_FILLED.value)


def guards_of(position: Position) -> Guards:
    """Return the prices a position is to be left at."""
    return Guards(stop_loss=position.stop_loss, take_profit=position.take_profit)


def legs_of(position_id: int) -> list[Trade]:
    """Return the orders that protect a position and are not over, oldest first."""
    rows = Trade.objects.filter(position_id=position_id, intent=Trade.Intent.PROTECTION, status__in=LIVE_STATUSES)
    return list(rows.order_by("id"))


def holder_of(side: str, legs: Sequence[Trade]) -> str:
    """Return who holds one side of a protection: EXCHANGE, PLACING (on its way), or ENGINE."""
    kind = OrderType.STOP_LOSS if side == STOP_LOSS else OrderType.TAKE_PROFIT
    own = [leg for leg in legs if leg.type == kind]
    if any(leg.status in _RESTING for leg in own):
        return EXCHANGE
    return PLACING if own else ENGINE


def protection_body(position: Position, legs: Sequence[Trade] | None = None) -> dict[str, Any] | None:
    """Return the JSON body of a position's protection, None when it has none or is not held any more.

    Args:
        legs: its live protection orders; None looks them up.
    """
    prices = {STOP_LOSS: position.stop_loss, TAKE_PROFIT: position.take_profit}
    wanted = {side: price for side, price in prices.items() if price is not None}
    if not wanted or position.status == Position.Status.CLOSED:
        return None
    found = legs_of(position.id) if legs is None else legs
    holders = {side: holder_of(side, found) for side in wanted}
    return {
        "stop_loss": holders.get(STOP_LOSS, NONE),
        "take_profit": holders.get(TAKE_PROFIT, NONE),
        "text": _text(wanted, holders),
    }


def _text(wanted: dict[str, Decimal], holders: dict[str, str]) -> str:
    """« SL 61 200 · TP 63 900, chez l'exchange », or each with its own holder where they differ."""
    names = {STOP_LOSS: "SL", TAKE_PROFIT: "TP"}
    shown = {side: f"{names[side]} {number(price)}" for side, price in wanted.items()}
    if len(set(holders.values())) == 1:
        return f"{' · '.join(shown.values())}, {_TEXTS[next(iter(holders.values()))]}"
    return " · ".join(f"{text}, {_TEXTS[holders[side]]}" for side, text in shown.items())
