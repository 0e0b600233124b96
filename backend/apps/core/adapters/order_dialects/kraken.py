"""Kraken: an order with a trigger keeps its number; our id is `cl_ord_id`; no test network, no order pairs.

ccxt does not know `triggerPrice` there and lets it pass, so that a stop would leave as a plain limit order:
only `stopLossPrice` and `takeProfitPrice` are used, which make the types stop-loss(-limit) and take-profit.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from apps.core.adapters import ccxt_translate as translate
from apps.core.adapters.ccxt_client_class import SendTooLate
from apps.core.adapters.order_dialects.base import Deadline, OrderDialect, arguments, ccxt_error, trigger
from domain.errors import OrderNotExecuted, OrderRejected
from domain.order_abilities import AmendMode, OrderAbilities, PairMode
from domain.orders import FillReport, OrderHandle, OrderReport, OrderTicket, OrderType
from domain.timeframes import to_ms

_PAGE = 50
_MOST_PAGES = 20
_SHORTEST_DEADLINE_MS = 2_500  # Kraken wants at least 2 s, at most 60
_LONGEST_DEADLINE_MS = 55_000


class KrakenDialect(OrderDialect):
    proofs = MappingProxyType(
        {
            "EService:Deadline elapsed": OrderNotExecuted,
            "EAPI:Invalid nonce": OrderNotExecuted,
            "EAPI:Rate limit exceeded": OrderNotExecuted,
            "EOrder:Rate limit exceeded": OrderNotExecuted,
            # The order book answered: the order is not there.
            "EService:Market in cancel_only mode": OrderRejected,
            "EService:Market in post_only mode": OrderRejected,
            "EService:Market in limit_only mode": OrderRejected,
            "EService:Market is suspended": OrderRejected,
        }
    )

    @property
    def abilities(self) -> OrderAbilities:
        reason = (
            f"{self.name} n'a pas de paire SL + TP (OCO) et bloquerait la quantité une fois par ordre : "
            "poser un seul des deux."
        )
        return OrderAbilities(
            refusals={OrderType.OCO: reason},
            refused_late=frozenset({OrderType.MARKET, OrderType.LIMIT}),  # of others nobody says so
            pair=PairMode.NONE,
            amend=AmendMode.CANCEL_FIRST,
        )

    async def create(self, ticket: OrderTicket, deadline: Deadline) -> OrderReport:
        params = {
            **trigger(ticket),
            "clientOrderId": ticket.client_order_id,
            "oflags": "fciq",  # fees in quote, as executions tell them
            "deadline": self._deadline(deadline),
        }
        raw = await self.client.create_order(*arguments(ticket), params)
        return self.bare(ticket, self.acknowledged_id(ticket, raw.get("id")))

    async def cancel(self, order: OrderHandle) -> None:
        params = {} if order.exchange_order_id else {"clientOrderId": order.client_order_id}
        try:
            answer = await self.client.cancel_order(order.exchange_order_id, order.symbol, params)
        except ccxt_error() as exc:
            if _is_unknown_order(exc):
                raise self.not_found(order) from exc
            raise
        if int(answer["info"]["result"]["count"]) == 0:
            raise self.not_found(order)

    async def find(self, order: OrderHandle) -> OrderReport:
        raw = await (self._by_number(order) if order.exchange_order_id else self._by_our_id(order))
        return await self.with_fills(_in_our_words(raw), order.symbol)

    async def open_orders(self, symbol: str | None) -> list[OrderReport]:
        found = await self.client.fetch_open_orders(symbol)
        return [translate.order(_in_our_words(raw), fills=()) for raw in found]

    async def my_trades(self, symbol: str, since: datetime | None) -> list[FillReport]:
        # Fifty a page, of every market, the newest first.
        since_ms = None if since is None else to_ms(since)
        found: list[FillReport] = []
        for page in range(_MOST_PAGES):
            params = {"ofs": page * _PAGE} if page else {}
            rows = await self.client.fetch_my_trades(None, since_ms, None, params)
            found += [translate.fill(raw) for raw in rows if raw["symbol"] == symbol]
            if len(rows) < _PAGE or (since is None and len(found) >= _PAGE):
                break
        return sorted(found, key=lambda each: each.executed_at)

    async def trades_of(self, raw: Mapping[str, Any], symbol: str) -> Sequence[Mapping[str, Any]]:
        ids = raw["info"].get("trades")
        if not ids:
            return await super().trades_of(raw, symbol)
        found: Sequence[Mapping[str, Any]] = await self.client.fetch_order_trades(
            raw["id"], symbol, None, None, {"trades": ids}
        )
        return found

    def _deadline(self, deadline: Deadline) -> str:
        """The moment, by Kraken's clock, after which its engine refuses the order."""
        if deadline.remaining_ms < _SHORTEST_DEADLINE_MS:
            raise SendTooLate
        ends_ms = int(self.client.nonce()) + min(deadline.remaining_ms, _LONGEST_DEADLINE_MS)
        return datetime.fromtimestamp(ends_ms / 1000, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    async def _by_number(self, order: OrderHandle) -> Mapping[str, Any]:
        try:
            found: Mapping[str, Any] = await self.client.fetch_order(order.exchange_order_id, order.symbol)
        except ccxt_error() as exc:
            if _is_unknown_order(exc):
                raise self.not_found(order) from exc
            raise
        return found

    async def _by_our_id(self, order: OrderHandle) -> Mapping[str, Any]:
        wanted = {"clientOrderId": order.client_order_id, "trades": True}
        for ask in (self.client.fetch_open_orders, self.client.fetch_closed_orders):
            for raw in await ask(order.symbol, None, None, wanted):
                if raw["info"].get("cl_ord_id") == order.client_order_id:
                    found: Mapping[str, Any] = raw
                    return found
        raise self.not_found(order)


def _in_our_words(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return ccxt's order with our id only (ccxt puts `userref`, mostly 0, where there is none) and its trigger."""
    trigger_price = raw.get("stopLossPrice") or raw.get("takeProfitPrice")
    return {**raw, "clientOrderId": raw["info"].get("cl_ord_id") or None, "triggerPrice": trigger_price}


def _is_unknown_order(error: Exception) -> bool:
    return "EOrder:Unknown order" in str(error) or "EOrder:Invalid order" in str(error)
