"""The engine: accounts, open orders and what happens to them.

Invariant: a change of state is complete when `take_changes` is called; what it returns, written
to the journal as one line, is enough to bring the engine back to the same state.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from simex.engine.errors import DUPLICATE, INSUFFICIENT, UNKNOWN_CANCEL, WOULD_TAKE, rejected
from simex.engine.filters import OrderRequest, check_filters
from simex.engine.ledger import HOUSE, Ledger
from simex.engine.matching import (
    Match,
    cost,
    crosses,
    fills_of_trade,
    match_quantity,
    match_quote,
    offers_for,
    total,
)
from simex.engine.orders import Fill, Order, fill_from, order_from, to_record
from simex.market.depth import SyntheticBook
from simex.market.symbols import SymbolRules, split_symbol
from simex.market.tradelog import AggTrade
from simex.units import ZERO, ceil8, decimal8, floor8, money

COMMISSION = Decimal("0.001")
FIRST_ORDER_ID = 1_000_001
FIRST_FILL_ID = 1_000_000_000_001  # far from the public trades' ids
OPPOSITE = {"BUY": "SELL", "SELL": "BUY"}


@dataclass(frozen=True)
class Account:
    """Who may trade, with which keys."""

    account_id: str
    api_key: str
    api_secret: str


@dataclass
class Exchange:
    """State and rules of trading for every account."""

    rules: Mapping[str, SymbolRules]
    seed: int
    run: str = ""
    now_ms: int = 0
    ledger: Ledger = field(default_factory=Ledger)
    accounts: dict[str, Account] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.books = {name: SyntheticBook(rules, self.seed) for name, rules in self.rules.items()}
        self._open: dict[str, dict[int, Order]] = {name: {} for name in self.rules}
        self._by_key: dict[str, Account] = {}
        self._changed_orders: dict[int, Order] = {}
        self._new_fills: list[Fill] = []
        self._new_accounts: list[Account] = []

    # accounts

    def add_account(self, account: Account) -> None:
        """Open an account, empty."""
        self.accounts[account.account_id] = account
        self._by_key[account.api_key] = account
        self._new_accounts.append(account)

    def account_by_key(self, api_key: str) -> Account | None:
        """Return the account of an API key."""
        return self._by_key.get(api_key)

    # orders

    def open_orders(self, account_id: str, symbol: str | None = None) -> list[Order]:
        """Return an account's open orders, oldest first."""
        names = self._open if symbol is None else (symbol,)
        return [
            order for name in names for order in self._open.get(name, {}).values() if order.account_id == account_id
        ]

    def resting(self, symbol: str, side: str) -> list[Order]:
        """Return the orders that rest on one side of a symbol, everybody's."""
        return [order for order in self._open[symbol].values() if order.side == side]

    def find(self, account_id: str, symbol: str, order_id: int | None, client_id: str | None) -> Order | None:
        """Return an order by id, or the newest one with a client id."""
        if order_id is not None:
            order = self.orders.get(order_id)
            mine = order is not None and (order.account_id, order.symbol) == (account_id, symbol)
            if not mine or (client_id is not None and order and order.client_id != client_id):
                return None
            return order
        for order in reversed(self.orders.values()):
            if (order.account_id, order.symbol, order.client_id) == (account_id, symbol, client_id):
                return order
        return None

    def validate(self, account_id: str, request: OrderRequest) -> None:
        """Apply the checks that come before matching.

        Raises:
            ApiError: a filter, a duplicate client id, no market.
        """
        price = self.books[request.symbol].last_price
        if price is None:
            raise rejected("Market is closed.")
        mine = self.open_orders(account_id, request.symbol)
        check_filters(request, self.rules[request.symbol], price, len(mine))
        if request.client_id is not None and any(
            order.client_id == request.client_id for order in self.open_orders(account_id)
        ):
            raise rejected(DUPLICATE)

    def place(self, account_id: str, request: OrderRequest) -> tuple[Order, list[Fill]]:
        """Execute a new order as far as it goes; the rest of a GTC order stays open.

        Raises:
            ApiError: Binance's refusal; nothing has changed then.
        """
        self.validate(account_id, request)
        matches = self._matches(account_id, request)
        if request.kind == "LIMIT_MAKER" and self._would_take(request):
            raise rejected(WOULD_TAKE)
        if request.time_in_force == "FOK" and total(matches) < request.quantity:
            matches = []
        self._check_funds(account_id, request, matches)
        self._expire_own(account_id, request, matches)
        order = self._new_order(account_id, request, matches)
        fills = [self._take(order, match) for match in matches]
        self._finish_or_rest(order, request)
        return order, fills

    def cancel(self, account_id: str, order: Order | None) -> Order:
        """Cancel an open order and release its money.

        Raises:
            ApiError: -2011 when there is no such open order.
        """
        if order is None or not order.is_open or order.account_id != account_id:
            raise UNKNOWN_CANCEL
        self._close(order, "CANCELED")
        return order

    def on_trade(self, symbol: str, trade: AggTrade) -> list[Fill]:
        """Let a public trade move the book and fill what rests at or through its price."""
        self.books[symbol].on_trade(trade)
        resting = self._open[symbol]
        if not resting:
            return []
        price = decimal8(trade.price8)
        reached = [order for order in resting.values() if crosses(order.side, order.price, price)]
        found = fills_of_trade(reached, price, decimal8(trade.quantity8)) if reached else []
        return [self._fill(order, order.price, quantity, True) for order, quantity in found]

    # execution

    def _others(self, account_id: str, request: OrderRequest) -> list[Order]:
        wanted = OPPOSITE[request.side]
        return [o for o in self.resting(request.symbol, wanted) if o.account_id != account_id]

    def _matches(self, account_id: str, request: OrderRequest) -> list[Match]:
        depth = self.books[request.symbol].levels(OPPOSITE[request.side])
        offers = offers_for(request.side, self._others(account_id, request), depth)
        if request.quote_quantity:
            return match_quote(offers, request.quote_quantity, self.rules[request.symbol].step)
        limit = None if request.kind == "MARKET" else request.price
        return match_quantity(request.side, offers, request.quantity, limit)

    def _would_take(self, request: OrderRequest) -> bool:
        wanted = OPPOSITE[request.side]
        depth = self.books[request.symbol].levels(wanted)
        offers = offers_for(request.side, self.resting(request.symbol, wanted), depth)
        return bool(offers) and crosses(request.side, request.price, offers[0].price)

    def _check_funds(self, account_id: str, request: OrderRequest, matches: Sequence[Match]) -> None:
        rules = self.rules[request.symbol]
        asset = rules.quote if request.side == "BUY" else rules.base
        if request.side == "BUY" and request.kind == "MARKET":
            needed = request.quote_quantity or cost(matches)
        elif request.side == "BUY":
            needed = ceil8(request.price * request.quantity)
        else:
            needed = request.quantity or total(matches)
        if self.ledger.balance(account_id, asset).free < needed:
            raise rejected(INSUFFICIENT)

    def _expire_own(self, account_id: str, request: OrderRequest, matches: Sequence[Match]) -> None:
        """Expire the account's own orders that the new one would meet (EXPIRE_MAKER)."""
        worst = matches[-1].price if matches else None
        limit = worst if request.kind == "MARKET" else request.price
        if limit is None:
            return
        for order in self.open_orders(account_id, request.symbol):
            if order.side != request.side and crosses(request.side, limit, order.price):
                self._close(order, "EXPIRED_IN_MATCH")

    def _new_order(self, account_id: str, request: OrderRequest, matches: Sequence[Match]) -> Order:
        order_id = next(reversed(self.orders), FIRST_ORDER_ID - 1) + 1
        order = Order(
            order_id=order_id,
            account_id=account_id,
            symbol=request.symbol,
            client_id=request.client_id or f"simex{order_id:017d}",
            side=request.side,
            kind=request.kind,
            time_in_force=request.time_in_force,
            price=request.price,
            quantity=request.quantity or total(matches),
            quote_quantity=request.quote_quantity,
            created_ms=self.now_ms,
            updated_ms=self.now_ms,
            run=self.run,
        )
        self.orders[order_id] = order
        self._changed_orders[order_id] = order
        return order

    def _take(self, order: Order, match: Match) -> Fill:
        if match.offer.order is None:
            book = self.books[order.symbol]
            book.take(OPPOSITE[order.side], match.price, match.quantity)
        else:
            self._fill(match.offer.order, match.price, match.quantity, True)
        return self._fill(order, match.price, match.quantity, False)

    def _finish_or_rest(self, order: Order, request: OrderRequest) -> None:
        if not order.is_open:
            return
        if request.kind == "MARKET" or request.time_in_force != "GTC":
            order.status = "EXPIRED"
            return
        self._open[order.symbol][order.order_id] = order
        self._relock(order)

    def _fill(self, order: Order, price: Decimal, quantity: Decimal, is_maker: bool) -> Fill:
        rules = self.rules[order.symbol]
        quote = floor8(price * quantity)
        self.ledger.lock(order.account_id, self._spent(order), -order.locked)
        order.locked = ZERO
        buying = order.side == "BUY"
        received = quantity if buying else quote
        commission = floor8(received * COMMISSION)
        gain, spend = (rules.base, rules.quote) if buying else (rules.quote, rules.base)
        self.ledger.pay(order.account_id, HOUSE, spend, quote if buying else quantity)
        self.ledger.pay(HOUSE, order.account_id, gain, received - commission)
        order.executed += quantity
        order.quote_executed += quote
        order.status = "FILLED" if order.executed == order.quantity else "PARTIALLY_FILLED"
        order.updated_ms = self.now_ms
        fill = Fill(
            trade_id=self.fills[-1].trade_id + 1 if self.fills else FIRST_FILL_ID,
            order_id=order.order_id,
            account_id=order.account_id,
            symbol=order.symbol,
            price=price,
            quantity=quantity,
            quote=quote,
            commission=commission,
            commission_asset=gain,
            time_ms=self.now_ms,
            is_buyer=buying,
            is_maker=is_maker,
        )
        self._record_fill(order, fill, is_maker)
        return fill

    def _record_fill(self, order: Order, fill: Fill, is_maker: bool) -> None:
        self.fills.append(fill)
        self._new_fills.append(fill)
        self._changed_orders[order.order_id] = order
        if not is_maker:
            return
        if order.is_open:
            self._relock(order)
        else:
            self._open[order.symbol].pop(order.order_id, None)

    def _spent(self, order: Order) -> str:
        rules = self.rules[order.symbol]
        return rules.quote if order.side == "BUY" else rules.base

    def _relock(self, order: Order) -> None:
        buying = order.side == "BUY"
        order.locked = ceil8(order.price * order.remaining) if buying else order.remaining
        self.ledger.lock(order.account_id, self._spent(order), order.locked)

    def _close(self, order: Order, status: str) -> None:
        self.ledger.lock(order.account_id, self._spent(order), -order.locked)
        order.locked = ZERO
        order.status = status
        order.updated_ms = self.now_ms
        self._open.get(order.symbol, {}).pop(order.order_id, None)
        self._changed_orders[order.order_id] = order

    # journal

    def take_changes(self) -> dict[str, Any]:
        """Return what changed since the last call, ready for the journal; {} for nothing.

        Raises:
            ConservationError: the ledger's invariant is broken.
        """
        touched = sorted(self.ledger.touched)
        self.ledger.check(asset for _, asset in touched)
        changes: dict[str, Any] = {
            "accounts": [asdict(account) for account in self._new_accounts],
            "orders": [to_record(order) for order in self._changed_orders.values()],
            "fills": [to_record(fill) for fill in self._new_fills],
            "balances": [self._balance_record(*pair) for pair in touched],
            "deposited": {a: str(self.ledger.deposited.get(a, ZERO)) for _, a in touched},
        }
        self.ledger.touched.clear()
        self._changed_orders, self._new_fills, self._new_accounts = {}, [], []
        return {name: value for name, value in changes.items() if value}

    def _balance_record(self, account_id: str, asset: str) -> list[str]:
        held = self.ledger.balance(account_id, asset)
        return [account_id, asset, str(held.free), str(held.locked)]

    def restore(self, changes: Mapping[str, Any]) -> None:
        """Apply one line of the journal."""
        for record in changes.get("accounts", ()):
            self.add_account(Account(**record))
        for record in changes.get("orders", ()):
            self._restore_order(order_from(record))
        self.fills += [fill_from(record) for record in changes.get("fills", ())]
        for account_id, asset, free, locked in changes.get("balances", ()):
            held = self.ledger.balance(account_id, asset)
            held.free, held.locked = Decimal(free), Decimal(locked)
        for asset, amount in changes.get("deposited", {}).items():
            self.ledger.deposited[asset] = Decimal(amount)
        self._new_accounts.clear()

    def _restore_order(self, order: Order) -> None:
        self.orders[order.order_id] = order
        book = self._open.setdefault(order.symbol, {})
        if order.is_open:
            book[order.order_id] = order
        else:
            book.pop(order.order_id, None)

    def expire_other_runs(self) -> None:
        """Close the orders left open on another market and release their money."""
        for order in [o for book in self._open.values() for o in book.values()]:
            if order.run != self.run:
                self._release_foreign(order)

    def _release_foreign(self, order: Order) -> None:
        if order.symbol in self.rules:
            self._close(order, "EXPIRED")
            return
        base, quote = split_symbol(order.symbol)
        spent = quote if order.side == "BUY" else base
        self.ledger.lock(order.account_id, spent, -order.locked)
        order.locked, order.status = ZERO, "EXPIRED"
        self._open[order.symbol].pop(order.order_id, None)
        self._changed_orders[order.order_id] = order

    def describe_state(self) -> dict[str, Any]:
        """Return everything for the admin: balances, open orders, the conservation verdict."""
        self.ledger.check()
        holders: Iterable[str] = self.ledger.holdings
        return {
            "run": self.run,
            "market_time": self.now_ms,
            "balances": {holder: self.ledger.describe(holder) for holder in holders},
            "open_orders": [o.describe_query() for b in self._open.values() for o in b.values()],
            "orders": len(self.orders),
            "fills": len(self.fills),
            "deposited": {asset: money(v) for asset, v in self.ledger.deposited.items()},
            "conserved": True,
        }

    def describe_orders(self) -> list[dict[str, Any]]:
        """Return every order ever accepted, oldest first, with its account and its fills."""
        fills: dict[int, list[dict[str, Any]]] = {}
        for fill in self.fills:
            fills.setdefault(fill.order_id, []).append(fill.describe_trade())
        orders = sorted(self.orders.values(), key=lambda order: order.order_id)
        return [
            {"account_id": o.account_id, **o.describe_query(), "fills": fills.get(o.order_id, [])} for o in orders
        ]
