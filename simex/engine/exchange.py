"""The engine: what happens to orders."""

from collections.abc import Sequence

from simex.engine.errors import CLOSED, DUPLICATE, INSUFFICIENT, UNKNOWN_CANCEL, WOULD_TAKE, WOULD_TRIGGER, rejected
from simex.engine.filters import UNPRICED, OrderRequest, check_filters
from simex.engine.lists import BAD_PRICES, OcoRequest, OrderList
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
from simex.engine.orders import Fill, Order
from simex.engine.reports import list_status
from simex.engine.settlement import Settlement
from simex.engine.triggers import STOPS, is_reached
from simex.market.tradelog import AggTrade
from simex.units import ZERO, ceil8, decimal8

FIRST_ORDER_ID = 1_000_001
FIRST_LIST_ID = 1
OPPOSITE = {"BUY": "SELL", "SELL": "BUY"}


class Exchange(Settlement):
    """The rules of trading for every account."""

    def validate(self, account_id: str, request: OrderRequest, leaving: Order | None = None) -> None:
        """Apply the checks that come before matching, as if an order about to be cancelled were gone.

        Raises:
            ApiError: a filter, a duplicate client id, no market.
        """
        price = self.books[request.symbol].last_price
        if price is None or self.is_cut_off() or self.is_halted(request.symbol, self.now_ms):
            raise CLOSED
        mine = [order for order in self.open_orders(account_id, request.symbol) if order is not leaving]
        stops = sum(order.kind in STOPS for order in mine)
        check_filters(request, self.rules[request.symbol], price, len(mine), stops)
        if request.client_id is not None and any(
            order.client_id == request.client_id for order in self.open_orders(account_id) if order is not leaving
        ):
            raise rejected(DUPLICATE)

    def place(self, account_id: str, request: OrderRequest) -> tuple[Order, list[Fill]]:
        """Execute a new order as far as it goes; the rest of a GTC order stays open.

        Raises:
            ApiError: Binance's refusal; nothing has changed then.
        """
        self.validate(account_id, request)
        if request.kind in STOPS:
            return self._place_stop(account_id, request), []
        matches = self._matches(account_id, request)
        if request.kind == "LIMIT_MAKER" and self._would_take(request):
            raise rejected(WOULD_TAKE)
        if request.time_in_force == "FOK" and total(matches) < request.quantity:
            matches = []
        self._check_funds(account_id, request, matches)
        self._expire_own(account_id, request, matches)
        order = self._new_order(account_id, request, matches)
        self._report(order, "NEW")
        fills = [self._take(order, match) for match in matches]
        self._finish_or_rest(order, request)
        return order, fills

    def cancel(self, account_id: str, order: Order | None) -> Order:
        """Cancel an open order, with the rest of its list, and release its money.

        Raises:
            ApiError: -2011 when there is no such open order.
        """
        if order is None or not order.is_open or order.account_id != account_id:
            raise UNKNOWN_CANCEL
        self._close(order, "CANCELED")
        return order

    def on_trade(self, symbol: str, trade: AggTrade) -> list[Fill]:
        """Let a public trade move the book, fill what rests and wake what waits for its price.

        What is on the book meets the trade first; the orders that it wakes are takers after it.
        A trade played again after a kill, whose effects are in the journal, only moves the book.
        """
        self.books[symbol].on_trade(trade)
        if trade.agg_id <= self.replayed.get(symbol, 0):
            return []
        self._seen[symbol] = trade.agg_id
        resting = self._open[symbol]
        if not resting:
            return []
        price = decimal8(trade.price8)
        reached = [o for o in resting.values() if o.working and crosses(o.side, o.price, price)]
        woken = [o for o in resting.values() if not o.working and is_reached(o.kind, o.side, o.stop_price, price)]
        found = fills_of_trade(reached, price, decimal8(trade.quantity8)) if reached else []
        fills = [self._fill(order, order.price, quantity, True) for order, quantity in found]
        for order in woken:
            fills += self._wake(order) if order.is_open else []
        return fills

    # stops

    def _place_stop(self, account_id: str, request: OrderRequest) -> Order:
        price = self.books[request.symbol].last_price
        if price is not None and is_reached(request.kind, request.side, request.stop_price, price):
            raise rejected(WOULD_TRIGGER)
        self._check_funds(account_id, request, ())
        order = self._new_order(account_id, request, ())
        order.working = False
        self._open[order.symbol][order.order_id] = order
        self._relock(order)
        self._report(order, "NEW")
        return order

    def _wake(self, order: Order) -> list[Fill]:
        """Put a triggered order to work as the taker it has become."""
        self._end_siblings(order, "EXPIRED")
        self._unlock(order)
        order.working, order.working_ms, order.updated_ms = True, self.now_ms, self.now_ms
        self._report(order, "NEW")
        self._changed_orders[order.order_id] = order
        request = OrderRequest(
            symbol=order.symbol,
            side=order.side,
            kind="MARKET" if order.kind in UNPRICED else "LIMIT",
            time_in_force=order.time_in_force,
            price=order.price,
            quantity=order.remaining,
            quote_quantity=ZERO,
            client_id=None,
            response="FULL",
        )
        matches = self._affordable(order, self._matches(order.account_id, request))
        if request.time_in_force == "FOK" and total(matches) < request.quantity:
            matches = []
        self._expire_own(order.account_id, request, matches)
        fills = [self._take(order, match) for match in matches]
        self._finish_or_rest(order, request)
        return fills

    def _affordable(self, order: Order, matches: list[Match]) -> list[Match]:
        """Cut a buy down to the free money: a market may jump far over the stop price."""
        rules = self.rules[order.symbol]
        free = self.ledger.balance(order.account_id, rules.quote).free
        if order.side == "SELL" or cost(matches) <= free:
            return matches
        return match_quote([match.offer for match in matches], free, rules.step)

    # lists

    def validate_oco(self, account_id: str, request: OcoRequest) -> None:
        """Apply the checks that come before a list is placed.

        Raises:
            ApiError: a filter, a duplicate id, prices on the wrong sides of the market.
        """
        above, below = request.above, request.below
        for leg in (above, below):
            self.validate(account_id, leg)
        same_legs = above.client_id is not None and above.client_id == below.client_id
        known = {one.client_id for one in self.lists_of(account_id) if not one.done}
        if same_legs or request.client_id in known:
            raise rejected(DUPLICATE)
        high, low = above.stop_price or above.price, below.stop_price or below.price
        last = self.books[above.symbol].last_price
        if last is None or not low < last < high or not request.is_right_way_up:
            raise rejected(BAD_PRICES)

    def place_oco(self, account_id: str, request: OcoRequest) -> OrderList:
        """Open both legs of a list with money set aside once, for the dearer of the two.

        Raises:
            ApiError: Binance's refusal; nothing has changed then.
        """
        self.validate_oco(account_id, request)
        for wanted in (request.above, request.below):
            if wanted.kind == "LIMIT_MAKER" and self._would_take(wanted):
                raise rejected(WOULD_TAKE)
            self._check_funds(account_id, wanted, ())
        list_id = next(reversed(self.lists), FIRST_LIST_ID - 1) + 1
        legs = [self._new_order(account_id, one, ()) for one in (request.above, request.below)]
        made = OrderList(
            list_id=list_id,
            account_id=account_id,
            symbol=request.above.symbol,
            client_id=request.client_id or f"simexlist{list_id:013d}",
            order_ids=[leg.order_id for leg in legs],
            created_ms=self.now_ms,
            updated_ms=self.now_ms,
        )
        for leg in legs:
            leg.list_id, leg.working = list_id, leg.kind not in STOPS
            self._open[leg.symbol][leg.order_id] = leg
        self._relock(max(legs, key=lambda leg: leg.price or leg.stop_price))
        self.lists[list_id] = self._changed_lists[list_id] = made
        for leg in legs:
            self._report(leg, "NEW")
        self._events.append(list_status(made, self.orders, self.now_ms))
        return made

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
            needed = ceil8(request.lock_price * request.quantity)
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
        for order in self.resting(request.symbol, OPPOSITE[request.side]):
            if order.account_id == account_id and crosses(request.side, limit, order.price):
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
            stop_price=request.stop_price,
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
        if order.is_open and (request.kind == "MARKET" or request.time_in_force != "GTC"):
            order.status = "EXPIRED"
            self._report(order, "EXPIRED")
        if not order.is_open:
            self._open[order.symbol].pop(order.order_id, None)
            self._note_list(order)
            return
        self._open[order.symbol][order.order_id] = order
        self._relock(order)
