"""One closed trade, from its first purchase to its sale. Writes nothing."""

from dataclasses import dataclass
from datetime import datetime

from apps.orders.models import Position, Trade
from apps.stats import selectors
from domain.errors import NotFound
from domain.orders import OrderSource


@dataclass(frozen=True, slots=True)
class TradeDetail:
    """An order that realised a result, and what its position tells of it.

    Args:
        opened_at: market time of the first purchase; None when what was sold was never bought here.
        closing_reason: as of a position; "" when the sale was asked for as such.
        origin: name of the webhook source, "" without one.
        orders: every order executed in the position, oldest first.
    """

    trade: Trade
    opened_at: datetime | None
    closing_reason: str
    origin: str
    orders: list[Trade]


def detail_of(user_id: int, trade_id: int) -> TradeDetail:
    """Return a closed trade of this user.

    Raises:
        NotFound: the order is not this user's, or it realised no result.
    """
    owned = Trade.objects.filter(id=trade_id, user_id=user_id, profit_loss__isnull=False)
    trade: Trade | None = owned.select_related("strategy", "broker").first()
    if trade is None:
        raise NotFound(f"Trade clos {trade_id} introuvable.", details={"trade": trade_id})
    position = selectors.position_of(trade)
    return TradeDetail(
        trade=trade,
        opened_at=None if position is None else position.opened_at,
        closing_reason=_reason(trade, position),
        origin=selectors.webhook_name(user_id, trade.owner) if trade.source == OrderSource.WEBHOOK else "",
        orders=[trade] if position is None else list(selectors.orders_of(position)),
    )


def _reason(trade: Trade, position: Position | None) -> str:
    """A leg that was executed says it itself; else whoever wanted out did, when this order is what left."""
    if trade.intent == Trade.Intent.PROTECTION:
        return trade.type
    return position.closing_reason if position is not None and trade.position_id == position.pk else ""
