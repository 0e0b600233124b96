"""The state of the exchange: accounts, orders, fills, balances, and how it is journalled.

Invariant: a change of state is complete when `take_changes` is called; what it returns, written
to the journal as one line, is enough to bring the engine back to the same state.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from simex.engine.ledger import Ledger
from simex.engine.lists import OrderList
from simex.engine.orders import Fill, Order, fill_from, order_from, to_record
from simex.engine.reports import Event, account_position
from simex.market.depth import SyntheticBook
from simex.market.symbols import SymbolRules
from simex.market.walk import Silence
from simex.units import ZERO, money


@dataclass(frozen=True)
class Account:
    """Who may trade, with which keys."""

    account_id: str
    api_key: str
    api_secret: str


@dataclass
class State:
    """What every account has and had."""

    rules: Mapping[str, SymbolRules]
    seed: int
    run: str = ""
    now_ms: int = 0
    ledger: Ledger = field(default_factory=Ledger)
    accounts: dict[str, Account] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)
    lists: dict[int, OrderList] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.books = {name: SyntheticBook(rules, self.seed) for name, rules in self.rules.items()}
        self._open: dict[str, dict[int, Order]] = {name: {} for name in self.rules}
        self._by_key: dict[str, Account] = {}
        self._changed_orders: dict[int, Order] = {}
        self._new_fills: list[Fill] = []
        self._new_accounts: list[Account] = []
        self._changed_lists: dict[int, OrderList] = {}
        self._events: list[Event] = []
        self.halts: dict[str, list[Silence]] = {}
        self._seen: dict[str, int] = {}
        self.replayed: dict[str, int] = {}
        self.is_cut_off: Callable[[], bool] = lambda: False  # no price is to be had: no order is taken

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
        """Return the orders on the book on one side of a symbol, everybody's."""
        return [o for o in self._open[symbol].values() if o.side == side and o.working]

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

    def forget_played(self) -> None:
        """Ids begin anew: another market."""
        self.replayed.clear()
        self._seen.clear()

    def is_halted(self, symbol: str, time_ms: int) -> bool:
        """Tell whether a market stands still at a time."""
        return any(halt.covers(time_ms) for halt in self.halts.get(symbol, ()))

    # lists

    def lists_of(self, account_id: str) -> list[OrderList]:
        """Return an account's order lists, oldest first."""
        return [one for one in self.lists.values() if one.account_id == account_id]

    def find_list(self, account_id: str, list_id: int | None, client_id: str | None) -> OrderList | None:
        """Return a list by id, or the newest one with a client id."""
        for one in reversed(self.lists_of(account_id)):
            if (list_id is None or one.list_id == list_id) and (client_id is None or one.client_id == client_id):
                return one
        return None

    # journal

    @property
    def has_changed(self) -> bool:
        """Tell whether an order changed since the last `take_changes`."""
        return bool(self._changed_orders)

    def take_events(self) -> list[Event]:
        """Return what happened to accounts since the last call; to be called before `take_changes`."""
        moved: dict[str, list[str]] = {}
        for holder, asset in sorted(self.ledger.touched):
            if holder in self.accounts:
                moved.setdefault(holder, []).append(asset)
        events, self._events = self._events, []
        for account_id, assets in moved.items():
            held = [(asset, self.ledger.balance(account_id, asset)) for asset in assets]
            events.append(account_position(account_id, held, self.now_ms))
        return events

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
            "lists": [one.to_record() for one in self._changed_lists.values()],
            "balances": [self._balance_record(*pair) for pair in touched],
            "deposited": {a: str(self.ledger.deposited.get(a, ZERO)) for _, a in touched},
        }
        if any(changes.values()):
            changes["seen"] = dict(self._seen)
        self.ledger.touched.clear()
        self._changed_orders, self._new_fills, self._new_accounts = {}, [], []
        self._changed_lists = {}
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
        for record in changes.get("lists", ()):
            self.lists[record["list_id"]] = OrderList(**record)
        self.fills += [fill_from(record) for record in changes.get("fills", ())]
        for account_id, asset, free, locked in changes.get("balances", ()):
            held = self.ledger.balance(account_id, asset)
            held.free, held.locked = Decimal(free), Decimal(locked)
        for asset, amount in changes.get("deposited", {}).items():
            self.ledger.deposited[asset] = Decimal(amount)
        self.replayed.update(changes.get("seen", {}))
        self._new_accounts.clear()

    def _restore_order(self, order: Order) -> None:
        self.orders[order.order_id] = order
        book = self._open.setdefault(order.symbol, {})
        if order.is_open:
            book[order.order_id] = order
        else:
            book.pop(order.order_id, None)

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
