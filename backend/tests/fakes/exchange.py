"""A small deterministic exchange in memory behind the `ExchangeSession` port.

Like Binance: client ids are unique among *open* orders only, so sending a filled market order again really
executes twice, and `accepted` (every order that was ever taken, in order) is the judge of that. Market
orders fill at once at the last price; limit orders fill at once when they cross it, else they rest until
`trade` or `move_price`, which also fires the triggers. The legs of an OCO share one lock and one of them
executes; an exchange without OCO (`locks_triggers = False`) locks nothing for an order before its trigger.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import count

from domain.candles import Candle
from domain.errors import InvalidInput, NotFound, OrderNotExecuted, OrderNotFound, OrderRejected
from domain.markets import Market
from domain.messages import Priority
from domain.order_abilities import AmendMode, OrderAbilities, PairMode
from domain.orders import (
    TRIGGERED_TYPES,
    FillReport,
    OrderHandle,
    OrderReport,
    OrderStatus,
    OrderTicket,
    OrderType,
    PairTicket,
)
from domain.ports import Balance, Clock, PrivateStream, TradingFee
from domain.timeframes import Timeframe
from tests.fakes.exchange_books import BTC_USDT as BTC_USDT
from tests.fakes.exchange_books import Books, crosses, touches
from tests.fakes.exchange_books import PlacedOrder as PlacedOrder
from tests.fakes.private_stream import FakeStream


@dataclass(slots=True)
class _Failure:
    error: BaseException
    when: str
    times: int
    passing: int


class FakeExchange:
    """The exchange itself, shared by the sessions of all brokers.

    Args:
        clock: stamps fills (market time) and refuses orders past their validity.
    """

    def __init__(self, clock: Clock, *, markets: Sequence[Market] = (BTC_USDT,), source: str = "fake") -> None:
        self.clock = clock
        self.markets = {market.symbol: market for market in markets}
        self.prices = {market.symbol: Decimal(100) for market in markets}
        self.source = source
        self._books = Books(clock, self.markets, self.prices)
        self.free, self.locked = self._books.free, self._books.locked
        self.abilities = OrderAbilities(pair=PairMode.OCO, amend=AmendMode.ATOMIC)
        self.locks_triggers = True
        self.accepted: list[PlacedOrder] = []
        self.candles: dict[tuple[str, Timeframe], list[Candle]] = {}
        self.calls: list[str] = []
        self.hidden: dict[str, int] = {}  # client id -> how many look-ups still answer "not found"
        self.reply_fills = True  # False: create_order answers without fills, as some exchanges do
        self.first_fill_ratio: Decimal | None = None  # share of a market order executed before its answer
        self.streams: dict[int, FakeStream] = {}  # by broker; none: the exchange must be asked
        self._failures: dict[str, list[_Failure]] = defaultdict(list)
        self._gates: dict[str, asyncio.Event] = {}
        self._order_ids = count(1)

    def deposit(self, broker_id: int, currency: str, amount: Decimal | int) -> None:
        self.free[broker_id][currency] += Decimal(amount)

    def fail(
        self, method: str, error: BaseException, *, when: str = "before", times: int = 1, passing: int = 0
    ) -> None:
        """Let the next calls of `method` raise `error`, before or after the exchange has done its work.

        Args:
            passing: how many calls still pass before that.
        """
        self._failures[method].append(_Failure(error, when, times, passing))

    def gate(self, method: str) -> asyncio.Event:
        """Let calls of `method` wait, before they do their work, until the event is set."""
        return self._gates.setdefault(method, asyncio.Event())

    def orders_of(self, client_order_id: str) -> list[PlacedOrder]:
        """Return every order ever taken under a client id: more than one is a double send."""
        return [order for order in self.accepted if order.ticket.client_order_id == client_order_id]

    def move_price(self, symbol: str, price: Decimal | int | str) -> None:
        """Move the last price, fire the triggers it touches and execute the resting orders that it crosses."""
        self.prices[symbol] = Decimal(price)
        for order in list(self.accepted):
            if order.ticket.symbol == symbol and order.rests:
                self._meet(order)

    def trade(self, client_order_id: str, quantity: Decimal | str, *, price: Decimal | None = None) -> None:
        """Execute a part of a resting order, triggered by it if need be."""
        (order,) = [one for one in self.orders_of(client_order_id) if one.rests]
        self._trigger(order)
        self._execute(order, Decimal(quantity), price=price or order.ticket.price)

    async def entering(self, method: str) -> None:
        self.calls.append(method)
        await asyncio.sleep(0)
        if method in self._gates:
            await self._gates[method].wait()
        self._raise(method, "before")

    async def leaving(self, method: str) -> None:
        self._raise(method, "after")
        await asyncio.sleep(0)

    def place(self, broker_id: int, ticket: OrderTicket) -> PlacedOrder:
        """Take an order. Raises OrderRejected with Binance's words."""
        order = self._checked(broker_id, ticket)
        if self.locks_triggers or ticket.order_type not in TRIGGERED_TYPES:
            self._books.lock(order)
        self.accepted.append(order)
        if ticket.order_type is OrderType.MARKET:
            self._execute_market(order)
        else:
            self._meet(order)
        return order

    def place_pair(self, broker_id: int, pair: PairTicket) -> tuple[PlacedOrder, PlacedOrder]:
        """Take both legs or neither; the first holds the lock of both."""
        stop, profit = self._checked(broker_id, pair.stop_loss), self._checked(broker_id, pair.take_profit)
        self._books.lock(stop)
        stop.twin, profit.twin = profit, stop
        self.accepted += [stop, profit]
        return stop, profit

    def replace(self, broker_id: int, old_client_id: str, ticket: OrderTicket) -> PlacedOrder:
        """Cancel an order that has not executed at all and place another. Raises OrderRejected."""
        head = f"Ordre refusé par fake ({ticket.symbol})"
        old = next((one for one in self.orders_of(old_client_id) if one.broker_id == broker_id and one.rests), None)
        if old is None or old.fills:
            raise OrderRejected(f"{head} : Order was not canceled due to cancel restrictions.")
        self._checked(broker_id, ticket)  # what is wrong in itself is refused with nothing attempted
        self.cancel(broker_id, old_client_id)
        try:
            return self.place(broker_id, ticket)
        except OrderRejected as exc:
            raise OrderRejected(f"{exc.message} L'ordre {old_client_id} est annulé.") from exc

    def cancel(self, broker_id: int, client_order_id: str) -> None:
        for order in self.orders_of(client_order_id):
            if order.broker_id == broker_id and order.rests:
                for each in (order, order.twin):
                    if each is not None and each.rests:
                        each.status = OrderStatus.CANCELLED
                        self._books.release(each, each.quantity - each.filled)
                return
        raise OrderNotFound("Unknown order sent.")

    def find(self, broker_id: int, client_order_id: str) -> PlacedOrder:
        remaining = self.hidden.get(client_order_id, 0)
        if remaining:
            self.hidden[client_order_id] = remaining - 1
            raise OrderNotFound("Order does not exist.")
        for order in reversed(self.orders_of(client_order_id)):
            if order.broker_id == broker_id:
                return order
        raise OrderNotFound("Order does not exist.")

    def tell(self, order: PlacedOrder, *, with_fills: bool = True) -> None:
        """Let the account's stream, if it has one that is open, tell an order's state."""
        stream = self.streams.get(order.broker_id)
        if stream is not None:
            stream.send(self.report(order, with_fills=with_fills))

    def report(self, order: PlacedOrder, *, with_fills: bool = True) -> OrderReport:
        value = sum((fill.price * fill.quantity for fill in order.fills), Decimal(0))
        return OrderReport(
            exchange_order_id=order.exchange_order_id,
            client_order_id=order.ticket.client_order_id,
            symbol=order.ticket.symbol,
            side=order.ticket.side,
            order_type=order.ticket.order_type,
            status=order.status,
            quantity=order.quantity,
            filled_quantity=order.filled,
            average_price=value / order.filled if order.filled else None,
            price=order.ticket.price,
            fills=tuple(order.fills) if with_fills else (),
            market_time=self.clock.now(),
            stop_price=order.ticket.stop_price,
        )

    def _raise(self, method: str, when: str) -> None:
        for failure in self._failures[method]:
            if failure.when != when or failure.times == 0:
                continue
            if failure.passing > 0:
                failure.passing -= 1
            else:
                failure.times -= 1
                raise failure.error

    def _market(self, symbol: str) -> Market:
        if symbol not in self.markets:
            raise OrderRejected(f"Ordre refusé par fake ({symbol}) : Invalid symbol.")
        return self.markets[symbol]

    def _checked(self, broker_id: int, ticket: OrderTicket) -> PlacedOrder:
        market, last = self._market(ticket.symbol), self.prices[ticket.symbol]
        quantity, price = ticket.quantity, next(p for p in (ticket.price, ticket.stop_price, last) if p is not None)
        if ticket.quote_amount is not None:
            quantity = market.round_quantity(ticket.quote_amount / last)
        try:
            market.check(quantity=quantity, price=price, exchange="fake")
        except InvalidInput as exc:
            raise OrderRejected(f"Ordre refusé par fake ({ticket.symbol}) : {exc.message}") from exc
        if any(order.rests for order in self.orders_of(ticket.client_order_id)):
            raise OrderRejected(f"Ordre refusé par fake ({ticket.symbol}) : Duplicate order sent.")
        if touches(ticket, last):
            raise OrderRejected(f"Ordre refusé par fake ({ticket.symbol}) : Stop price would trigger immediately.")
        return PlacedOrder(str(next(self._order_ids)), broker_id, ticket, OrderStatus.OPEN, quantity)

    def _meet(self, order: PlacedOrder) -> None:
        """Let a resting order meet the last price."""
        ticket, last = order.ticket, self.prices[order.ticket.symbol]
        if touches(ticket, last):
            self._trigger(order)
        waits = ticket.order_type in TRIGGERED_TYPES and not order.is_triggered
        fires = order.is_triggered and ticket.price is None
        if order.rests and not waits and (fires or crosses(ticket, last)):
            self._execute(order, order.quantity - order.filled, price=ticket.price)

    def _trigger(self, order: PlacedOrder) -> None:
        """Let a trigger fire once: its OCO twin ends, and what was not locked before is locked now."""
        if order.is_triggered or order.ticket.order_type not in TRIGGERED_TYPES:
            return
        order.is_triggered = True
        if order.twin is not None and order.twin.rests:
            order.twin.status = OrderStatus.EXPIRED
            self._books.release(order.twin, order.twin.quantity)
            order.twin.lock_price = None
        if order.lock_price is None:
            try:
                self._books.lock(order)
            except OrderRejected:
                order.status = OrderStatus.EXPIRED

    def _execute_market(self, order: PlacedOrder) -> None:
        if self.first_fill_ratio is None:
            self._execute(order, order.quantity)
            return
        market = self.markets[order.ticket.symbol]
        self._execute(order, market.round_quantity(order.quantity * self.first_fill_ratio))

    def _execute(self, order: PlacedOrder, quantity: Decimal, *, price: Decimal | None = None) -> None:
        if not order.rests:
            return
        self._books.settle(order, quantity, price or self.prices[order.ticket.symbol])
        done = order.filled == order.quantity
        order.status = OrderStatus.FILLED if done else OrderStatus.PARTIALLY_FILLED


class FakeExchangeSession:
    """One broker's connection. `alive` False: its process was killed, nothing goes out any more."""

    def __init__(self, exchange: FakeExchange, broker_id: int) -> None:
        self._exchange = exchange
        self._broker_id = broker_id
        self.alive = True

    @property
    def candle_source(self) -> str:
        return self._exchange.source

    @property
    def abilities(self) -> OrderAbilities:
        return self._exchange.abilities

    async def load_markets(self) -> Mapping[str, Market]:
        await self._enter("load_markets")
        return dict(self._exchange.markets)

    async def fetch_balance(self) -> Balance:
        await self._enter("fetch_balance")
        free, locked = self._exchange.free[self._broker_id], self._exchange.locked[self._broker_id]
        return Balance(free=dict(free), locked=dict(locked))

    async def fetch_candles(
        self,
        symbol: str,
        timeframe: Timeframe,
        *,
        since: datetime,
        until: datetime,
        priority: Priority = Priority.CANDLES,
    ) -> Sequence[Candle]:
        await self._enter("fetch_candles")
        candles = self._exchange.candles.get((symbol, timeframe), [])
        return [candle for candle in candles if since <= candle.open_time < until]

    async def fetch_trading_fee(self, symbol: str) -> TradingFee | None:
        await self._enter("fetch_trading_fee")
        return TradingFee(Decimal("0.001"), Decimal("0.001"))

    async def fetch_price(self, symbol: str) -> Decimal:
        await self._enter("fetch_price")
        return self._exchange.prices[symbol]

    async def create_order(self, ticket: OrderTicket, *, valid_until: datetime) -> OrderReport:
        await self._enter("create_order")
        if self._exchange.clock.now() >= valid_until:
            raise OrderNotExecuted("Ordre non envoyé : délai dépassé.")
        order = self._exchange.place(self._broker_id, ticket)
        report = self._exchange.report(order, with_fills=self._exchange.reply_fills)
        await self._exchange.leaving("create_order")
        return report

    async def create_pair(self, pair: PairTicket, *, valid_until: datetime) -> tuple[OrderReport, OrderReport]:
        await self._enter("create_pair")
        if self._exchange.clock.now() >= valid_until:
            raise OrderNotExecuted("Ordres non envoyés : délai dépassé.")
        stop, profit = self._exchange.place_pair(self._broker_id, pair)
        reports = self._exchange.report(stop), self._exchange.report(profit)
        await self._exchange.leaving("create_pair")
        return reports

    async def replace_order(self, old: OrderHandle, ticket: OrderTicket, *, valid_until: datetime) -> OrderReport:
        await self._enter("replace_order")
        if self._exchange.clock.now() >= valid_until:
            raise OrderNotExecuted("Remplacement non envoyé : délai dépassé.")
        order = self._exchange.replace(self._broker_id, old.client_order_id, ticket)
        report = self._exchange.report(order, with_fills=self._exchange.reply_fills)
        await self._exchange.leaving("replace_order")
        return report

    async def cancel_order(self, order: OrderHandle) -> None:
        await self._enter("cancel_order")
        self._exchange.cancel(self._broker_id, self._client_id(order))
        await self._exchange.leaving("cancel_order")

    async def find_order(self, order: OrderHandle) -> OrderReport:
        await self._enter("find_order")
        return self._exchange.report(self._exchange.find(self._broker_id, self._client_id(order)))

    async def fetch_open_orders(self, symbol: str | None = None) -> Sequence[OrderReport]:
        await self._enter("fetch_open_orders")
        return [
            self._exchange.report(order, with_fills=False)
            for order in self._exchange.accepted
            if order.broker_id == self._broker_id
            and symbol in (None, order.ticket.symbol)
            and order.status.rests_at_exchange
        ]

    async def fetch_my_trades(self, symbol: str, *, since: datetime | None = None) -> Sequence[FillReport]:
        await self._enter("fetch_my_trades")
        return [
            fill
            for order in self._exchange.accepted
            if order.broker_id == self._broker_id and order.ticket.symbol == symbol
            for fill in order.fills
            if since is None or fill.executed_at >= since
        ]

    def private_stream(self) -> PrivateStream | None:
        return self._exchange.streams.get(self._broker_id)

    async def close(self) -> None:
        self.alive = False

    def _client_id(self, order: OrderHandle) -> str:
        """An order placed elsewhere is asked for by the exchange's id."""
        accepted = self._exchange.accepted
        by_number = [one for one in accepted if one.exchange_order_id == order.exchange_order_id]
        return order.client_order_id or next((one.ticket.client_order_id for one in by_number), "")

    async def _enter(self, method: str) -> None:
        if not self.alive:
            raise asyncio.CancelledError
        await self._exchange.entering(method)
        if not self.alive:
            raise asyncio.CancelledError


class FakeSessions:
    """The `ExchangeSessions` port; `unavailable` raises for a broker, `kill` silences all its sessions."""

    def __init__(self, exchange: FakeExchange) -> None:
        self._exchange = exchange
        self._sessions: dict[int, FakeExchangeSession] = {}
        self.unavailable: dict[int, Exception] = {}
        self._killed = False

    async def session(self, broker_id: int) -> FakeExchangeSession:
        await asyncio.sleep(0)
        if self._killed:
            raise asyncio.CancelledError
        if broker_id in self.unavailable:
            raise self.unavailable[broker_id]
        if broker_id < 0:
            raise NotFound(f"Le broker {broker_id} n'existe pas.")
        return self._sessions.setdefault(broker_id, FakeExchangeSession(self._exchange, broker_id))

    def kill(self) -> None:
        """As if the process that holds these sessions were killed: no further call reaches the exchange."""
        self._killed = True
        for session in self._sessions.values():
            session.alive = False
