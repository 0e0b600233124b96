"""Binance (and simex, which speaks its protocol): every type of ours by its own name, OCO lists, cancelReplace.

An order is looked up by our id whatever its type; one with a trigger keeps its number when it is triggered.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from apps.core.adapters.order_dialects.base import (
    PAGE,
    Deadline,
    OrderDialect,
    arguments,
    ccxt_error,
    text,
    trigger,
)
from domain.errors import OrderOutcomeUnknown, OrderRejected
from domain.order_abilities import AmendMode, OrderAbilities, PairMode
from domain.orders import OrderHandle, OrderReport, OrderTicket, OrderType, PairTicket, Side

_RECEIVE_WINDOW_MS = 5_000
_KINDS = {
    OrderType.MARKET: "MARKET",
    OrderType.LIMIT: "LIMIT",
    OrderType.STOP_LOSS: "STOP_LOSS",
    OrderType.TAKE_PROFIT: "TAKE_PROFIT",
    OrderType.STOP_LIMIT: "STOP_LOSS_LIMIT",
}
_PAIR_KINDS = frozenset({"LIMIT_MAKER", "STOP_LOSS"})
# What the new half of a cancelReplace may answer without having refused: Binance does not know either.
_NO_PROOF = frozenset({-1000, -1001, -1006, -1007})


class BinanceDialect(OrderDialect):
    @property
    def abilities(self) -> OrderAbilities:
        if self.client.id != "binance":  # Binance US and the like: their order lists were never tried
            reason = f"Paire SL + TP non vérifiée pour {self.name}."
            spot = self.client.has.get("spot")
            kinds = (
                {OrderType.OCO: reason} if spot else dict.fromkeys(OrderType, f"{self.name} n'a pas de comptant.")
            )
            return OrderAbilities(
                refusals=kinds,
                buy_fee_in_base=True,
                refused_late=frozenset(OrderType),
                pair=PairMode.NONE,
                amend=AmendMode.CANCEL_FIRST,
            )
        return OrderAbilities(
            buy_fee_in_base=True, refused_late=frozenset(OrderType), pair=PairMode.OCO, amend=AmendMode.ATOMIC
        )

    def market_refusal(self, symbol: str, order_type: OrderType) -> str | None:
        facts = self.client.market(symbol)["info"]
        offered = facts.get("orderTypes") or ()
        if order_type is OrderType.OCO:
            if facts.get("ocoAllowed") is True and set(offered) >= _PAIR_KINDS:
                return None
            return f"{self.name} ne prend pas de paire OCO sur {symbol}."
        if _KINDS[order_type] in offered:
            return None
        return f"{self.name} ne prend pas d'ordre {_KINDS[order_type]} sur {symbol} (types : {', '.join(offered)})."

    async def create(self, ticket: OrderTicket, deadline: Deadline) -> OrderReport:
        params = {**trigger(ticket), "clientOrderId": ticket.client_order_id, **self._window(deadline)}
        raw = await self.client.create_order(*arguments(ticket), params)
        return self.acknowledged(ticket, raw)

    async def create_pair(self, pair: PairTicket, deadline: Deadline) -> tuple[OrderReport, OrderReport]:
        stop, gain = pair.stop_loss, pair.take_profit
        market = self.client.market(stop.symbol)
        above, below = ("gain", "stop") if stop.side is Side.SELL else ("stop", "gain")
        legs = {
            "gain": {"Type": "LIMIT_MAKER", "Price": self._price(gain), "ClientOrderId": gain.client_order_id},
            "stop": {"Type": "STOP_LOSS", "StopPrice": self._price(stop), "ClientOrderId": stop.client_order_id},
        }
        answer = await self.client.private_post_orderlist_oco(
            {
                "symbol": market["id"],
                "side": stop.side.value.upper(),
                "quantity": self.client.amount_to_precision(stop.symbol, text(stop.quantity)),
                "listClientOrderId": pair.link_id,
                "newOrderRespType": "FULL",
                **{f"above{name}": value for name, value in legs[above].items()},
                **{f"below{name}": value for name, value in legs[below].items()},
                **self._window(deadline),
            }
        )
        return self._leg(answer, stop, market), self._leg(answer, gain, market)

    async def replace(self, old: OrderHandle, ticket: OrderTicket, deadline: Deadline) -> OrderReport:
        # ONLY_NEW: an order that has executed in part is left alone, and so nothing is placed.
        params = {**trigger(ticket), "clientOrderId": ticket.client_order_id, **self._window(deadline)}
        request = {
            **self.client.create_order_request(*arguments(ticket), params),
            "cancelReplaceMode": "STOP_ON_FAILURE",
            "cancelRestrictions": "ONLY_NEW",
            **_name("cancelOrderId", "cancelOrigClientOrderId", old),
        }
        try:
            answer = await self.client.private_post_order_cancelreplace(request)
        except ccxt_error() as exc:
            verdict = _replace_verdict(exc, exchange=self.name, symbol=ticket.symbol)
            if verdict is None:
                raise
            raise verdict from exc
        market = self.client.market(ticket.symbol)
        return self.acknowledged(ticket, self.client.parse_order(answer.get("newOrderResponse") or {}, market))

    async def cancel(self, order: OrderHandle) -> None:
        params = {} if order.exchange_order_id else {"clientOrderId": order.client_order_id}
        await self.client.cancel_order(order.exchange_order_id, order.symbol, params)

    async def find(self, order: OrderHandle) -> OrderReport:
        params = {"clientOrderId": order.client_order_id} if order.client_order_id else {}
        raw = await self.client.fetch_order(order.exchange_order_id, order.symbol, params)
        return await self.with_fills(raw, order.symbol)

    async def trades_of(self, raw: Mapping[str, Any], symbol: str) -> Sequence[Mapping[str, Any]]:
        found: Sequence[Mapping[str, Any]] = await self.client.fetch_my_trades(
            symbol, None, PAGE, {"orderId": raw["id"]}
        )
        return found

    def _window(self, deadline: Deadline) -> dict[str, int]:
        """The time of the signature and how long it holds: a request that is late is refused there."""
        window_ms = min(_RECEIVE_WINDOW_MS, deadline.remaining_ms)
        return {"timestamp": int(self.client.nonce()), "recvWindow": window_ms}

    def _price(self, leg: OrderTicket) -> str:
        return str(self.client.price_to_precision(leg.symbol, text(leg.stop_price)))

    def _leg(self, answer: Mapping[str, Any], leg: OrderTicket, market: Any) -> OrderReport:
        reports = {each["clientOrderId"]: each for each in answer.get("orderReports") or ()}
        raw = reports.get(leg.client_order_id)
        return self.acknowledged(leg, None if raw is None else self.client.parse_order(raw, market))


def _name(by_number: str, by_client_id: str, order: OrderHandle) -> dict[str, str]:
    if order.exchange_order_id:
        return {by_number: order.exchange_order_id}
    return {by_client_id: order.client_order_id}


def _replace_verdict(error: Exception, *, exchange: str, symbol: str) -> Exception | None:
    """Return what became of both halves of a cancelReplace, None when the error does not tell of halves.

    Source: Binance, "Cancel an Existing Order and Send a New Order": -2021 one half failed, -2022 both did,
    with `data.{cancelResult,newOrderResult,cancelResponse,newOrderResponse}`.
    """
    body = _json_of(error)
    halves = body.get("data")
    if body.get("code") not in (-2021, -2022) or not isinstance(halves, Mapping):
        return None
    results = halves.get("cancelResult"), halves.get("newOrderResult")
    cancelling, placing = (_refusal(halves.get(name)) for name in ("cancelResponse", "newOrderResponse"))
    details = {"exchange": exchange, "cancel_result": results[0], "new_order_result": results[1]}
    head = f"Remplacement de l'ordre refusé par {exchange} ({symbol})"
    if results == ("FAILURE", "NOT_ATTEMPTED") and cancelling[0] not in _NO_PROOF:
        return OrderRejected(
            f"{head} : l'ancien n'a pas été annulé ({cancelling[1]}), le nouveau n'a pas été posé.", details=details
        )
    if results == ("SUCCESS", "FAILURE") and placing[0] not in _NO_PROOF:
        return OrderRejected(
            f"{head} : l'ancien est annulé, mais le nouveau est refusé ({placing[1]}).",
            details=details,
            code="replacement_rejected",
        )
    return OrderOutcomeUnknown(
        f"Remplacement de l'ordre au sort inconnu chez {exchange} ({symbol}), les deux sont recherchés : "
        f"annulation {results[0]}, nouvel ordre {results[1]}.",
        details=details,
    )


def _refusal(half: Any) -> tuple[int | None, str]:
    if not isinstance(half, Mapping):
        return None, "sans explication"
    return half.get("code"), f"{half.get('msg')} (code {half.get('code')})"


def _json_of(error: Exception) -> Mapping[str, Any]:
    """Return the exchange's answer, which ccxt's exceptions quote after some words of its own."""
    words = str(error)
    try:
        body = json.loads(words[words.index("{") :])
    except ValueError:
        return {}
    return body if isinstance(body, Mapping) else {}
