"""Who asks for an order, for whom and in which context: what every submission tells the desk beside its terms."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from apps.core.tracing import current_trace, order_trace
from apps.orders.admission import PURSE_UNSEEN, Purse
from domain.markets import Market
from domain.orders import OrderRequest, OrderSource


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderContext:
    """The context of one submission.

    Args:
        owner: key of the position: "manual", "bot:12", "webhook:3".
        now: wall time; the order must leave before `now + valid_for`.
        intent: a `Trade.Intent`; empty: an order is an entry and a pair is a protection.
        position_id: the position that the order protects or leaves.
        market_time: time of the decision on the market's clock.
        client_order_id: given again, the order already made under it is returned and nothing is done. Of a
            pair it is the stop loss's; the take profit's and the pair's are derived from it.
        trace_id: of what led to it; empty: that of the work in progress, or the order begins its own.
        purse: what is known of the account's money; checked against what other orders hold, under a lock.
    """

    user_id: int
    broker_id: int
    source: OrderSource
    owner: str
    now: datetime
    intent: str = ""
    bot_id: int | None = None
    strategy_id: int | None = None
    webhook_id: int | None = None
    position_id: int | None = None
    market_time: datetime | None = None
    valid_for: timedelta = timedelta(seconds=20)
    client_order_id: str | None = None
    trace_id: str = ""
    purse: Purse = PURSE_UNSEEN

    def row(
        self, request: OrderRequest, market: Market, reference_price: Decimal, *, intent: str
    ) -> dict[str, Any]:
        """Return the columns of `trades` that follow from the context; `intent` applies when none was given."""
        client_order_id = self.client_order_id or uuid4().hex
        return {
            "user_id": self.user_id,
            "broker_id": self.broker_id,
            "bot_id": self.bot_id,
            "strategy_id": self.strategy_id,
            "webhook_id": self.webhook_id,
            "position_id": self.position_id,
            "source": self.source.value,
            "owner": self.owner,
            "intent": self.intent or intent,
            "client_order_id": client_order_id,
            "trace_id": self.trace_id or current_trace() or order_trace(client_order_id),
            "symbol": request.symbol,
            "step_size": market.step_size,
            "min_notional": market.min_notional,
            "reference_price": reference_price,
            "market_time": self.market_time,
            "valid_until": self.now + self.valid_for,
        }
