"""What tests of orders need around them: a user, a broker, the clock, the exchange and an executor."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from asgiref.sync import sync_to_async
from django.db import connections

from apps.accounts.models import User
from apps.brokers.models import Broker, Exchange
from apps.market_data.models import ExchangeSymbol
from apps.orders import desk
from apps.orders.admission import Purse
from apps.orders.context import OrderContext
from apps.orders.database import close_claims
from apps.orders.executor import OrderExecutor
from apps.orders.models import Trade
from domain.order_abilities import OrderAbilities, PairMode
from domain.orders import OrderRequest, OrderSource, OrderType, Side
from tests.fakes.clock import FakeClock
from tests.fakes.exchange import BTC_USDT, FakeExchange, FakeSessions
from tests.fakes.publisher import FakePublisher


class FreeLease:
    """A lease that is always granted."""

    mark = ""
    until = datetime.max.replace(tzinfo=UTC)

    def __init__(self, others_until: datetime | None = None) -> None:
        self.others_until = others_until or self.until

    async def acquire(self) -> None: ...

    async def check(self) -> None: ...

    async def release(self) -> None: ...


@dataclass(slots=True)
class OrdersRoom:
    """One broker with 10,000 USDT and 10 BTC at a fake exchange where BTC/USDT is worth 100."""

    user: User
    broker: Broker
    clock: FakeClock
    exchange: FakeExchange
    publisher: FakePublisher

    def executor(self, *, others_until: datetime | None = None) -> tuple[OrderExecutor, FakeSessions]:
        """Return a new process's executor on the same database and exchange."""
        sessions, lease = FakeSessions(self.exchange), FreeLease(others_until)
        return OrderExecutor(sessions, self.publisher, self.clock, lease=lease), sessions

    def submit(
        self,
        side: Side = Side.BUY,
        quantity: str = "1",
        price: str | None = None,
        *,
        stop_loss: Decimal | None = None,
        take_profit: Decimal | None = None,
        **more: Any,
    ) -> Trade:
        """Commit a market order, or a limit order when `price` is given."""
        request = OrderRequest(
            symbol="BTC/USDT",
            side=side,
            order_type=OrderType.MARKET if price is None else OrderType.LIMIT,
            quantity=Decimal(quantity),
            price=None if price is None else Decimal(price),
            stop_loss=stop_loss,
            take_profit=take_profit,
        )
        context, wanted = self._asked(request, more)
        return desk.submit(context, wanted, market=BTC_USDT, reference_price=self._price(), **more)

    def submit_pair(self, quantity: str = "2", **more: Any) -> tuple[Trade, Trade]:
        """Commit a stop loss at 90 and a take profit at 110."""
        request = OrderRequest(
            symbol="BTC/USDT",
            side=Side.SELL,
            order_type=OrderType.OCO,
            quantity=Decimal(quantity),
            stop_loss=Decimal(90),
            take_profit=Decimal(110),
        )
        context, wanted = self._asked(request, more)
        return desk.submit_pair(context, wanted, market=BTC_USDT, reference_price=self._price(), **more)

    def _asked(self, request: OrderRequest, more: dict[str, Any]) -> tuple[OrderContext, OrderRequest]:
        """Take out of `more` what belongs to the context (and `request`, `free`)."""
        names = [field.name for field in fields(OrderContext) if field.name in more]
        given = {name: more.pop(name) for name in names}
        if "free" in more:
            given["purse"] = Purse(more.pop("free"))
        context: dict[str, Any] = {
            "user_id": self.user.id,
            "broker_id": self.broker.id,
            "source": OrderSource.MANUAL,
            "owner": "manual",
            "now": self.clock.now(),
            **given,
        }
        return OrderContext(**context), more.pop("request", request)

    def _price(self) -> Decimal:
        return self.exchange.prices["BTC/USDT"]

    def become(self, abilities: OrderAbilities) -> None:
        """Let the exchange take other orders, and the desk know it."""
        self.exchange.abilities = abilities
        self.exchange.locks_triggers = abilities.pair is not PairMode.LINKED
        wire = abilities.to_wire()
        Exchange.objects.update_or_create(id=self.broker.exchange, defaults={"order_abilities": wire})

    async def submitted(self, *args: Any, **more: Any) -> Trade:
        """`submit` from an asynchronous test."""
        trade: Trade = await sync_to_async(self.submit)(*args, **more)
        return trade

    async def settle(self, executor: OrderExecutor, *, seconds: float = 90, step: float = 1.0) -> None:
        """Let an executor work through some time."""
        waited = 0.0
        while waited < seconds:
            await executor.cycle()
            self.clock.advance(step)
            waited += step

    def conserved(self) -> bool:
        """Tell whether the exchange's own books are whole: nothing locked without an order."""
        locked = self.exchange.locked[self.broker.id]
        return any(o.status.rests_at_exchange for o in self.exchange.accepted) or not any(locked.values())


def make_room() -> OrdersRoom:
    """Create the user and broker rows and an exchange that knows the account."""
    clock = FakeClock()
    user = User.objects.create(username=f"trader-{uuid4().hex[:8]}")
    broker = Broker.objects.create(user=user, name="Simulateur", exchange="simex")
    exchange = FakeExchange(clock)
    exchange.deposit(broker.id, "USDT", 10_000)
    exchange.deposit(broker.id, "BTC", 10)
    return OrdersRoom(user, broker, clock, exchange, FakePublisher())


def know_market(room: OrdersRoom) -> None:
    """Let the rows say what the exchange trades and takes, as terminal 5 would have stored them."""
    ExchangeSymbol.objects.get_or_create(
        exchange=room.broker.exchange,
        symbol=BTC_USDT.symbol,
        defaults={
            "exchange_symbol": BTC_USDT.exchange_id,
            "base": BTC_USDT.base,
            "quote": BTC_USDT.quote,
            "min_amount": BTC_USDT.min_quantity,
            "max_amount": BTC_USDT.max_quantity,
            "min_notional": BTC_USDT.min_notional,
            "price_precision": BTC_USDT.tick_size,
            "amount_precision": BTC_USDT.step_size,
            "maker_fee_ratio": BTC_USDT.maker_fee_ratio,
            "taker_fee_ratio": BTC_USDT.taker_fee_ratio,
        },
    )
    room.become(room.exchange.abilities)


@asynccontextmanager
async def orders_room() -> AsyncIterator[OrdersRoom]:
    """`make_room` for asynchronous tests; closes the connections of the ORM's threads afterwards."""
    try:
        yield await sync_to_async(make_room)()
    finally:
        await close_claims()
        await sync_to_async(connections.close_all)()


async def until(condition: Callable[[], bool], *, timeout_s: float = 10.0) -> None:
    """Let the loop run until the condition holds. Raises TimeoutError."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 — what is awaited has no event of its own
            await asyncio.sleep(0)


async def refreshed(trade: Trade) -> Trade:
    """Return the row as it is now."""
    found: Trade = await Trade.objects.aget(id=trade.id)
    return found
