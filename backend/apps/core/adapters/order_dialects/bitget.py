"""Bitget, classic spot account: market buys sized in quote, and plan orders for whatever waits for a price.

A plan order freezes nothing ("The order will not pre-freeze the position or margin", Bitget Academy, About the
order), so a stop loss and a take profit may rest together as two plan orders. When one is triggered, another
order is placed under a number of its own; `plan-sub-order` says which.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from apps.core.adapters import ccxt_translate as translate
from apps.core.adapters.ccxt_verdicts import exchange_code
from apps.core.adapters.order_dialects.base import Deadline, OrderDialect, ccxt_error, text
from apps.core.adapters.order_dialects.spawned import SpawnedOrders, carried_out
from domain.errors import OrderNotExecuted, OrderRejected
from domain.order_abilities import AmendMode, OrderAbilities, PairMode
from domain.orders import (
    TRIGGERED_TYPES,
    FillReport,
    OrderHandle,
    OrderReport,
    OrderStatus,
    OrderTicket,
    OrderType,
    Side,
)
from domain.timeframes import from_ms, to_ms

Row = Mapping[str, Any]

_PAGE = 100
_MOST_PAGES = 20
_LONGEST_WINDOW_MS = 60_000
_HISTORY = timedelta(days=89)  # Bitget: at most 90
_RECENT = timedelta(days=7)
_PLAN_STATUSES = {
    "live": OrderStatus.OPEN,
    "not_trigger": OrderStatus.OPEN,
    "executing": OrderStatus.OPEN,
    "triggered": OrderStatus.OPEN,
    "executed": OrderStatus.OPEN,  # until the order placed for it says more
    "cancel": OrderStatus.CANCELLED,
    "cancelled": OrderStatus.CANCELLED,
    "fail_trigger": OrderStatus.EXPIRED,
    "fail_execute": OrderStatus.EXPIRED,
}
_TRIGGERED = frozenset({"executing", "triggered", "executed"})
_FAILED = frozenset({"fail", "cancelled"})
_NO_PLAN = frozenset({"43025", "43001", "40109", "40768"})  # no such plan order, or no longer there


class BitgetDialect(OrderDialect):
    proofs = MappingProxyType(
        {
            "40725": OrderNotExecuted,  # service returned an error before the order was read
            "41114": OrderRejected,  # the market is under maintenance
            "43115": OrderRejected,  # the market opens soon
        }
    )

    def __init__(self, client: Any, *, name: str) -> None:
        super().__init__(client, name=name)
        self._spawned = SpawnedOrders()
        self._failed: set[str] = set()  # plan orders that were triggered in vain

    @property
    def abilities(self) -> OrderAbilities:
        return OrderAbilities(
            market_buy_in_quote=True,
            buy_fee_in_base=True,
            refused_late=frozenset({OrderType.MARKET, OrderType.LIMIT}),  # plan orders bear no window
            pair=PairMode.LINKED,
            amend=AmendMode.CANCEL_FIRST,
        )

    def market_refusal(self, symbol: str, order_type: OrderType) -> str | None:
        if self.client.options.get("uta") is True:
            return f"ce compte {self.name} est un compte unifié (UTA), dont les ordres ne sont pas pris en charge."
        return None

    async def create(self, ticket: OrderTicket, deadline: Deadline) -> OrderReport:
        if ticket.order_type in TRIGGERED_TYPES:
            answer = await self.client.private_spot_post_v2_spot_trade_place_plan_order(self._plan_request(ticket))
        else:
            request = {**self._request(ticket), **self._window(deadline)}
            answer = await self.client.private_spot_post_v2_spot_trade_place_order(request)
        return self.bare(ticket, self.acknowledged_id(ticket, answer["data"].get("orderId")))

    async def cancel(self, order: OrderHandle) -> None:
        if order.order_type not in TRIGGERED_TYPES:
            await self._cancel_plain(order.exchange_order_id, order)
            return
        named = _name(order)
        try:
            await self.client.private_spot_post_v2_spot_trade_cancel_plan_order(named)
        except ccxt_error() as exc:
            if str(exchange_code(exc)) not in _NO_PLAN:
                raise
            # It may have been triggered: then the order placed for it is what rests.
            spawned_id = await self._spawned_id(await self._plan(order))
            if spawned_id is None:
                raise self.not_found(order) from exc
            await self._cancel_plain(spawned_id, order)

    async def find(self, order: OrderHandle) -> OrderReport:
        if order.order_type not in TRIGGERED_TYPES:
            return await self._find_plain(order)
        plan = await self._plan(order)
        report = self._from_plan(plan, asked_as=order.order_type)
        spawned_id = await self._spawned_id(plan)
        if spawned_id is None:
            return replace(report, status=OrderStatus.EXPIRED) if plan["orderId"] in self._failed else report
        return carried_out(report, await self._find_plain(OrderHandle(order.symbol, exchange_order_id=spawned_id)))

    async def open_orders(self, symbol: str | None) -> list[OrderReport]:
        plans = await self._plans(self.client.private_spot_get_v2_spot_trade_current_plan_order, symbol, {})
        resting = await self.client.fetch_open_orders(symbol, None, _PAGE)
        if any(not self._spawned.knows(str(raw["id"])) for raw in resting):
            await self._learn_triggered(symbol, since=None)
        return [
            *(self._spawned.as_original(translate.order(raw, fills=())) for raw in resting),
            *(self._from_plan(plan) for plan in plans),
        ]

    async def my_trades(self, symbol: str, since: datetime | None) -> list[FillReport]:
        found: list[FillReport] = []
        since_ms = None if since is None else to_ms(since)
        params: dict[str, str] = {}
        for _ in range(_MOST_PAGES):
            rows = await self.client.fetch_my_trades(symbol, since_ms, _PAGE, params)
            found += [translate.fill(raw) for raw in rows]
            if len(rows) < _PAGE:
                break
            params = {"idLessThan": min(rows, key=lambda raw: int(raw["timestamp"]))["id"]}
        if any(not self._spawned.knows(each.exchange_order_id) for each in found):
            await self._learn_triggered(symbol, since=since)
        return [self._spawned.fill_of_original(each) for each in found]

    async def trades_of(self, raw: Row, symbol: str) -> Sequence[Row]:
        found: Sequence[Row] = await self.client.fetch_my_trades(symbol, None, _PAGE, {"orderId": raw["id"]})
        return found

    # plain orders

    def _request(self, ticket: OrderTicket) -> dict[str, str]:
        limited = ticket.order_type is OrderType.LIMIT
        return {
            "symbol": self.client.market(ticket.symbol)["id"],
            "side": ticket.side.value,
            "orderType": "limit" if limited else "market",
            "force": "gtc",
            "size": self._size(ticket),
            "clientOid": ticket.client_order_id,
            **({"price": self._price(ticket, ticket.price)} if limited else {}),
        }

    def _size(self, ticket: OrderTicket) -> str:
        in_quote = ticket.order_type is OrderType.MARKET and ticket.side is Side.BUY
        if not in_quote:
            return str(self.client.amount_to_precision(ticket.symbol, text(ticket.quantity)))
        if ticket.quote_amount is None:
            raise OrderRejected(
                f"Ordre refusé avant envoi ({self.name}, {ticket.symbol}) : un achat au marché s'y donne en "
                "montant à dépenser, qui manque."
            )
        return str(self.client.cost_to_precision(ticket.symbol, text(ticket.quote_amount)))

    def _price(self, ticket: OrderTicket, price: Decimal | None) -> str:
        return str(self.client.price_to_precision(ticket.symbol, text(price)))

    def _window(self, deadline: Deadline) -> dict[str, str]:
        return {
            "requestTime": str(int(self.client.nonce())),
            "receiveWindow": str(min(deadline.remaining_ms, _LONGEST_WINDOW_MS)),
        }

    async def _find_plain(self, order: OrderHandle) -> OrderReport:
        params = {"clientOid": order.client_order_id} if order.client_order_id else {}
        raw = await self.client.fetch_order(order.exchange_order_id or "", order.symbol, params)
        return await self.with_fills(raw, order.symbol)

    async def _cancel_plain(self, number: str | None, order: OrderHandle) -> None:
        params = {} if number else {"clientOrderId": order.client_order_id}
        await self.client.cancel_order(number, order.symbol, params)

    # plan orders

    def _plan_request(self, ticket: OrderTicket) -> dict[str, str]:
        limited = ticket.price is not None
        return {
            "symbol": self.client.market(ticket.symbol)["id"],
            "side": ticket.side.value,
            "orderType": "limit" if limited else "market",
            "planType": "amount",  # in base, a market buy too
            "size": str(self.client.amount_to_precision(ticket.symbol, text(ticket.quantity))),
            "triggerType": "fill_price",
            "triggerPrice": self._price(ticket, ticket.stop_price),
            "clientOid": ticket.client_order_id,
            "force": "gtc",
            **({"executePrice": self._price(ticket, ticket.price)} if limited else {}),
        }

    async def _plan(self, order: OrderHandle) -> Row:
        """Return a plan order, waiting or past. Raises OrderNotFound."""

        def is_it(plan: Row) -> bool:
            return plan["orderId"] == order.exchange_order_id or (
                bool(order.client_order_id) and plan.get("clientOid") == order.client_order_id
            )

        now_ms = int(self.client.nonce())
        history = {"startTime": str(now_ms - _HISTORY // timedelta(milliseconds=1)), "endTime": str(now_ms + 1_000)}
        for ask, params in (
            (self.client.private_spot_get_v2_spot_trade_current_plan_order, {}),
            (self.client.private_spot_get_v2_spot_trade_history_plan_order, history),
        ):
            found = [each for each in await self._plans(ask, order.symbol, params, until=is_it) if is_it(each)]
            if found:
                return found[0]
        raise self.not_found(order)

    async def _plans(
        self,
        ask: Callable[[Mapping[str, str]], Any],
        symbol: str | None,
        params: Mapping[str, str],
        *,
        until: Callable[[Row], bool] = lambda _: False,
    ) -> list[Row]:
        """Page through plan orders, the newest first."""
        request = {**params, "limit": str(_PAGE)}
        if symbol is not None:
            request["symbol"] = self.client.market(symbol)["id"]
        found: list[Row] = []
        for _ in range(_MOST_PAGES):
            rows = (await ask(request))["data"].get("orderList") or []
            found += rows
            if len(rows) < _PAGE or any(until(each) for each in rows):
                break
            request = {**request, "idLessThan": rows[-1]["orderId"]}
        return found

    async def _spawned_id(self, plan: Row) -> str | None:
        """Return the number of the order placed for a triggered plan order, None when there is none (yet)."""
        if plan["status"] not in _TRIGGERED:
            return None
        # ccxt has no name for this one.
        wanted = {"planOrderId": plan["orderId"]}
        answer = await self.client.request(
            "v2/spot/trade/plan-sub-order", ["private", "spot"], "GET", wanted, {"cost": 1}
        )
        rows = answer.get("data") or ()
        placed = [each["orderId"] for each in rows if each.get("status") == "success"]
        if not placed:
            if rows and all(each.get("status") in _FAILED for each in rows):
                self._failed.add(plan["orderId"])
            return None
        self._spawned.learn(placed[-1], original_id=plan["orderId"], client_order_id=plan.get("clientOid") or None)
        return str(placed[-1])

    async def _learn_triggered(self, symbol: str | None, *, since: datetime | None) -> None:
        """Learn which orders were placed for plan orders triggered of late."""
        if symbol is None:
            return  # the history of all markets is not to be had everywhere; each is asked when it is followed
        now = from_ms(int(self.client.nonce()))
        begins = max(since - _RECENT if since else now - _RECENT, now - _HISTORY)
        params = {"startTime": str(to_ms(begins)), "endTime": str(to_ms(now) + 1_000)}
        for plan in await self._plans(
            self.client.private_spot_get_v2_spot_trade_history_plan_order, symbol, params
        ):
            if not self._spawned.is_resolved(plan["orderId"]):
                await self._spawned_id(plan)

    def _from_plan(self, plan: Row, *, asked_as: OrderType = OrderType.STOP_LOSS) -> OrderReport:
        """Read a plan order. Bitget does not say whether it is a stop loss or a take profit."""
        limited = plan["orderType"] == "limit"
        trigger_price = translate.decimal(plan["triggerPrice"])
        return OrderReport(
            exchange_order_id=plan["orderId"],
            client_order_id=plan.get("clientOid") or None,
            symbol=self.client.safe_symbol(plan["symbol"], None, None, "spot"),
            side=Side(plan["side"]),
            order_type=OrderType.STOP_LIMIT if limited else asked_as,
            status=_PLAN_STATUSES[plan["status"]],
            quantity=_base_quantity(plan),
            filled_quantity=Decimal(0),
            average_price=None,
            price=translate.limit(plan.get("executePrice")) if limited else None,
            fills=(),
            market_time=datetime.fromtimestamp(int(plan["uTime"]) / 1000, tz=UTC),
            stop_price=trigger_price,
        )


def _base_quantity(plan: Row) -> Decimal:
    """Return the size in base; of one sized in quote (placed elsewhere), what it buys at its own price."""
    size = translate.decimal(plan["size"])
    if plan.get("planType") != "total":
        return size
    return size / (translate.limit(plan.get("executePrice")) or translate.decimal(plan["triggerPrice"]))


def _name(order: OrderHandle) -> dict[str, str]:
    return {"orderId": order.exchange_order_id} if order.exchange_order_id else {"clientOid": order.client_order_id}
