"""The market behind a canned server: one price, orders that fill whole when it reaches them, exact money."""

from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from itertools import count

FEE = Decimal("0.001")


class NoFunds(Exception):
    """The account does not hold what the order needs."""


class Duplicate(Exception):
    """The client id is in use."""


@dataclass
class Fill:
    trade_id: str
    price: Decimal
    quantity: Decimal
    fee: Decimal  # in what is received, or in quote on exchanges that take it there
    time_ms: int


@dataclass
class Order:
    number: str
    client_id: str
    side: str
    kind: str  # market, limit
    quantity: Decimal
    price: Decimal | None = None
    status: str = "open"  # filled, cancelled
    fills: list[Fill] = field(default_factory=list)
    time_ms: int = 0
    parent: str = ""
    in_quote: Decimal | None = None

    @property
    def filled(self) -> Decimal:
        return sum((each.quantity for each in self.fills), Decimal(0))

    @property
    def value(self) -> Decimal:
        return sum((each.quantity * each.price for each in self.fills), Decimal(0))


@dataclass
class Waiting:
    """An order with one trigger, or two of which the first reached counts."""

    number: str
    client_id: str
    side: str
    quantity: Decimal
    triggers: dict[str, Decimal]  # by leg: "sl", "tp"
    prices: dict[str, Decimal | None]
    status: str = "open"  # triggered, cancelled
    leg: str = ""
    spawned: str = ""
    time_ms: int = 0


class Book:
    """One market BTC/USDT and one account.

    Args:
        keeps_number: an order with a trigger stays the same order when it is triggered (Kraken).
        freezes_waiting: whether an order with a trigger locks its quantity at once.
    """

    def __init__(self, *, keeps_number: bool = False, freezes_waiting: bool = True) -> None:
        self.price = Decimal("50000")
        self.free = {"BTC": Decimal("1"), "USDT": Decimal("100000")}
        self.locked = {"BTC": Decimal(0), "USDT": Decimal(0)}
        self.orders: dict[str, Order] = {}
        self.waiting: dict[str, Waiting] = {}
        self.now_ms = 1_760_000_000_000
        self._keeps_number = keeps_number
        self._freezes_waiting = freezes_waiting
        self._numbers = count(7001)
        self._trades = count(901)

    def new_number(self) -> str:
        return str(next(self._numbers))

    def place(
        self,
        *,
        client_id: str,
        side: str,
        kind: str,
        quantity: Decimal,
        price: Decimal | None = None,
        in_quote: Decimal | None = None,
        number: str = "",
        parent: str = "",
    ) -> Order:
        if in_quote is not None:
            quantity = (in_quote / self.price).quantize(Decimal("1e-6"), rounding=ROUND_DOWN)
        if any(each.client_id == client_id and each.status == "open" for each in self.orders.values()):
            raise Duplicate(client_id)
        order = Order(number or self.new_number(), client_id, side, kind, quantity, price, parent=parent)
        order.time_ms, order.in_quote = self._tick(), in_quote
        self._lock(order)
        self.orders[order.number] = order
        if kind == "market" or self._crosses(order):
            self._fill(order, order.quantity)
        return order

    def wait(
        self, *, client_id: str, side: str, quantity: Decimal, triggers: dict[str, Decimal],
        prices: dict[str, Decimal | None],
    ) -> Waiting:  # fmt: skip
        held = Waiting(self.new_number(), client_id, side, quantity, triggers, prices, time_ms=self._tick())
        if self._freezes_waiting and side == "sell":
            if self.free["BTC"] < quantity:
                raise NoFunds
            self._move("BTC", -quantity, quantity)
        self.waiting[held.number] = held
        return held

    def cancel(self, order: Order) -> None:
        order.status = "cancelled"
        currency, amount = self._needs(order, order.quantity - order.filled)
        self._move(currency, amount, -amount)
        self._tick()

    def cancel_waiting(self, held: Waiting) -> None:
        held.status = "cancelled"
        if self._freezes_waiting and held.side == "sell":
            self._move("BTC", held.quantity, -held.quantity)
        self._tick()

    def fill_part(self, order: Order, quantity: Decimal) -> None:
        self._fill(order, quantity)

    def move(self, price: Decimal | str) -> None:
        """Move the price: what it reaches is triggered or filled."""
        before, self.price = self.price, Decimal(price)
        for held in [each for each in self.waiting.values() if each.status == "open"]:
            for leg, trigger in held.triggers.items():
                if held.status == "open" and (before < trigger <= self.price or before > trigger >= self.price):
                    self._trigger(held, leg)
        for order in [each for each in self.orders.values() if each.status == "open"]:
            if self._crosses(order):
                self._fill(order, order.quantity - order.filled)

    def _trigger(self, held: Waiting, leg: str) -> None:
        held.status, held.leg = "triggered", leg
        if self._freezes_waiting and held.side == "sell":
            self._move("BTC", held.quantity, -held.quantity)
        price = held.prices[leg]
        number = held.number if self._keeps_number else ""
        client_id = held.client_id if self._keeps_number else f"x{held.number}"
        try:
            spawned = self.place(
                client_id=client_id, side=held.side, kind="market" if price is None else "limit",
                quantity=held.quantity, price=price, number=number, parent=held.number,
            )  # fmt: skip
        except NoFunds:
            held.status = "failed"
            return
        held.spawned = spawned.number

    def _crosses(self, order: Order) -> bool:
        if order.price is None:
            return False
        return self.price <= order.price if order.side == "buy" else self.price >= order.price

    def _needs(self, order: Order, quantity: Decimal) -> tuple[str, Decimal]:
        if order.side == "sell":
            return "BTC", quantity
        return "USDT", quantity * (order.price or self.price)

    def _lock(self, order: Order) -> None:
        currency, amount = self._needs(order, order.quantity)
        if self.free[currency] < amount or order.quantity <= 0:
            raise NoFunds
        self._move(currency, -amount, amount)

    def _move(self, currency: str, free: Decimal, locked: Decimal) -> None:
        self.free[currency] += free
        self.locked[currency] += locked

    def _fill(self, order: Order, quantity: Decimal) -> None:
        price = self.price if order.kind == "market" else order.price or self.price
        currency, amount = self._needs(order, quantity)
        self.locked[currency] -= amount
        got, received = ("BTC", quantity) if order.side == "buy" else ("USDT", quantity * price)
        self.free[got] += received - received * FEE
        order.fills.append(Fill(str(next(self._trades)), price, quantity, received * FEE, self._tick()))
        order.status = "filled" if order.filled == order.quantity else "open"

    def _tick(self) -> int:
        self.now_ms += 1_000
        return self.now_ms
