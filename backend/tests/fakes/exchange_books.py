"""The accounts and orders of the fake exchange: what is free, what is locked by which order, what executed."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from itertools import count

from domain.errors import OrderRejected
from domain.markets import Market
from domain.orders import TRIGGERED_TYPES, FillReport, OrderStatus, OrderTicket, OrderType, Side
from domain.ports import Clock

BTC_USDT = Market(
    symbol="BTC/USDT",
    exchange_id="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick_size=Decimal("0.01"),
    step_size=Decimal("0.00001"),
    min_quantity=Decimal("0.00001"),
    max_quantity=Decimal("9000"),
    min_notional=Decimal("5"),
)


@dataclass(slots=True, eq=False)
class PlacedOrder:
    """An order as the exchange holds it."""

    exchange_order_id: str
    broker_id: int
    ticket: OrderTicket
    status: OrderStatus
    quantity: Decimal  # of a buy sized by what it spends: what that bought
    fills: list[FillReport] = field(default_factory=list)
    is_triggered: bool = False
    lock_price: Decimal | None = None  # price at which what is left of it is locked; None: nothing is
    twin: "PlacedOrder | None" = None  # the other leg of an OCO

    @property
    def filled(self) -> Decimal:
        return sum((fill.quantity for fill in self.fills), Decimal(0))

    @property
    def rests(self) -> bool:
        return self.status.rests_at_exchange


class Books:
    """Balances by account, moved only together with the order that moves them."""

    def __init__(self, clock: Clock, markets: Mapping[str, Market], prices: Mapping[str, Decimal]) -> None:
        self._clock = clock
        self._markets = markets
        self._prices = prices
        self._trade_ids = count(1)
        self.free: dict[int, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
        self.locked: dict[int, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))

    def lock(self, order: PlacedOrder) -> None:
        """Set aside what the rest of an order may cost. Raises OrderRejected with Binance's words."""
        ticket = order.ticket
        given = (ticket.price, ticket.stop_price, self._prices[ticket.symbol])
        price = next(each for each in given if each is not None)
        currency, amount = self._cost(order, order.quantity - order.filled, price)
        if self.free[order.broker_id][currency] < amount:
            raise OrderRejected(
                f"Ordre refusé par fake ({ticket.symbol}) : Account has insufficient balance for requested action."
            )
        order.lock_price = price
        self.free[order.broker_id][currency] -= amount
        self.locked[order.broker_id][currency] += amount

    def release(self, order: PlacedOrder, quantity: Decimal) -> None:
        """Free what was locked for that much of an order."""
        if order.lock_price is None:
            return
        currency, amount = self._cost(order, quantity, order.lock_price)
        self.locked[order.broker_id][currency] -= amount
        self.free[order.broker_id][currency] += amount

    def settle(self, order: PlacedOrder, quantity: Decimal, price: Decimal) -> None:
        """Execute that much of an order whose cost is locked; the commission is taken on what is received."""
        market = self._markets[order.ticket.symbol]
        buying = order.ticket.side is Side.BUY
        paid, spent = (market.quote, quantity * price) if buying else (market.base, quantity)
        currency, received = (market.base, quantity) if buying else (market.quote, quantity * price)
        fee = received * market.taker_fee_ratio
        self.release(order, quantity)
        self.free[order.broker_id][paid] -= spent
        self.free[order.broker_id][currency] += received - fee
        order.fills.append(
            FillReport(
                exchange_trade_id=str(next(self._trade_ids)),
                exchange_order_id=order.exchange_order_id,
                price=price,
                quantity=quantity,
                fee=fee,
                fee_currency=currency,
                executed_at=self._clock.now() + timedelta(microseconds=len(order.fills)),
            )
        )

    def _cost(self, order: PlacedOrder, quantity: Decimal, price: Decimal) -> tuple[str, Decimal]:
        market = self._markets[order.ticket.symbol]
        return (market.quote, quantity * price) if order.ticket.side is Side.BUY else (market.base, quantity)


def touches(ticket: OrderTicket, last: Decimal) -> bool:
    """Tell whether the last price triggers an order with a trigger."""
    if ticket.stop_price is None or ticket.order_type not in TRIGGERED_TYPES:
        return False
    waits_above = (ticket.side is Side.BUY) != (ticket.order_type is OrderType.TAKE_PROFIT)
    return last >= ticket.stop_price if waits_above else last <= ticket.stop_price


def crosses(ticket: OrderTicket, last: Decimal) -> bool:
    """Tell whether the last price executes a limit."""
    if ticket.price is None:
        return False
    return last <= ticket.price if ticket.side is Side.BUY else last >= ticket.price
