"""How orders are paid, closed and told of; what a fill or an end means for the rest of a list."""

from decimal import Decimal

from simex.engine.ledger import HOUSE
from simex.engine.orders import Fill, Order
from simex.engine.reports import EXECUTION, execution_report, list_status
from simex.engine.state import State
from simex.market.symbols import split_symbol
from simex.units import ZERO, ceil8, floor8

COMMISSION = Decimal("0.001")
FIRST_FILL_ID = 1_000_000_000_001  # far from the public trades' ids


class Settlement(State):
    """Moves money and closes orders."""

    def _fill(self, order: Order, price: Decimal, quantity: Decimal, is_maker: bool) -> Fill:
        rules = self.rules[order.symbol]
        quote = floor8(price * quantity)
        self._end_siblings(order, "EXPIRED")
        self._unlock(order)
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
        self._report(order, "TRADE", fill)
        if not is_maker:
            return
        if order.is_open:
            self._relock(order)
        else:
            self._open[order.symbol].pop(order.order_id, None)
            self._note_list(order)

    def _end_siblings(self, order: Order, status: str) -> None:
        """End the rest of an order's list: it is woken, filled in part or closed."""
        if order.list_id not in self.lists:
            return
        for order_id in self.lists[order.list_id].order_ids:
            other = self.orders[order_id]
            if other is not order and other.is_open:
                self._end(other, status)

    def _note_list(self, order: Order) -> None:
        """Close an order's list once none of its orders is open."""
        found = self.lists.get(order.list_id)
        if found is None or found.done or any(self.orders[one].is_open for one in found.order_ids):
            return
        found.done, found.updated_ms = True, self.now_ms
        self._changed_lists[found.list_id] = found
        self._events.append(list_status(found, self.orders, self.now_ms))

    def _close(self, order: Order, status: str) -> None:
        self._end_siblings(order, "CANCELED" if status == "CANCELED" else "EXPIRED")
        self._end(order, status)

    def _end(self, order: Order, status: str) -> None:
        self._unlock(order)
        order.status = status
        order.updated_ms = self.now_ms
        self._open.get(order.symbol, {}).pop(order.order_id, None)
        self._changed_orders[order.order_id] = order
        self._report(order, EXECUTION.get(status, "EXPIRED"))
        self._note_list(order)

    def _relock(self, order: Order) -> None:
        buying = order.side == "BUY"
        price = order.price or order.stop_price
        order.locked = ceil8(price * order.remaining) if buying else order.remaining
        self.ledger.lock(order.account_id, self._spent(order), order.locked)

    def _unlock(self, order: Order) -> None:
        self.ledger.lock(order.account_id, self._spent(order), -order.locked)
        order.locked = ZERO

    def _spent(self, order: Order) -> str:
        rules = self.rules[order.symbol]
        return rules.quote if order.side == "BUY" else rules.base

    def _report(self, order: Order, execution: str, fill: Fill | None = None) -> None:
        self._events.append(execution_report(order, execution, self.now_ms, fill))

    def expire_other_runs(self) -> None:
        """Close the orders left open on another market and release their money."""
        for order in [o for book in self._open.values() for o in book.values()]:
            if order.run != self.run and order.is_open:
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
        self._note_list(order)
