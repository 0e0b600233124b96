"""An account at each kind of exchange, and what a test does with it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from apps.core.adapters.clock import SystemClock
from domain.markets import Market
from domain.orders import OrderReport, OrderTicket, OrderType, PairTicket, Side
from domain.ports import ExchangeSession

CLOCK = SystemClock()
BTC = "BTC/USDT"


@dataclass
class World:
    session: ExchangeSession
    market: Market
    move_price: Callable[[Decimal], None]

    async def order(self, *, valid_for_s: float = 10.0, **changes: Any) -> OrderReport:
        ticket = self.ticket(**changes)
        return await self.session.create_order(ticket, valid_until=CLOCK.now() + timedelta(seconds=valid_for_s))

    async def pair(self, quantity: Decimal) -> tuple[PairTicket, tuple[OrderReport, OrderReport]]:
        """Hold `quantity` between a stop 10 % below the market and a take profit 10 % above it."""
        leg = {"side": Side.SELL, "quantity": quantity}
        pair = PairTicket(
            link_id=uuid4().hex,
            stop_loss=self.ticket(**leg, order_type=OrderType.STOP_LOSS, stop_price=await self.price_times("0.9")),
            take_profit=self.ticket(
                **leg, order_type=OrderType.TAKE_PROFIT, stop_price=await self.price_times("1.1")
            ),
        )
        until = CLOCK.now() + timedelta(seconds=10)
        return pair, await self.session.create_pair(pair, valid_until=until)

    def ticket(self, **changes: Any) -> OrderTicket:
        facts = {
            "client_order_id": uuid4().hex,
            "symbol": BTC,
            "side": Side.BUY,
            "order_type": OrderType.MARKET,
            "quantity": Decimal("0.02"),
        }
        return OrderTicket(**{**facts, **changes})

    async def price_times(self, ratio: str) -> Decimal:
        return self.market.round_price(await self.session.fetch_price(BTC) * Decimal(ratio), side=Side.SELL)

    async def far_below(self) -> Decimal:
        return await self.price_times("0.8")
