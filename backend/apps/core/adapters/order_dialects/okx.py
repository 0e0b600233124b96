"""OKX, cash spot: our id is `clOrdId`; whatever waits for a price is an algo order with an `algoClOrdId`.

A stop loss and a take profit together are one algo order (`oco`), named after the pair: its legs are told
apart by a suffix to its number. A triggered algo order places another order, which names it (`algoId`).
`tdMode` is always cash: ccxt would send conditional orders as cross margin, which could borrow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from apps.core.adapters import ccxt_translate as translate
from apps.core.adapters.order_dialects.base import Deadline, OrderDialect, ccxt_error, text
from apps.core.adapters.order_dialects.spawned import SpawnedOrders, carried_out
from domain.errors import OrderNotExecuted, OrderNotFound
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
    Side,
)
from domain.timeframes import to_ms

Row = Mapping[str, Any]

_PAGE = 100
_MOST_PAGES = 20
_MARKET_PRICE = "-1"
_ALGO_KINDS = ("conditional", "oco", "trigger")
_STOP, _GAIN = ":sl", ":tp"
_STATUSES = {
    "live": OrderStatus.OPEN,
    "pause": OrderStatus.OPEN,
    "partially_effective": OrderStatus.OPEN,
    "effective": OrderStatus.OPEN,  # until the order placed for it says more
    "canceled": OrderStatus.CANCELLED,
    "order_failed": OrderStatus.EXPIRED,
    "partially_failed": OrderStatus.EXPIRED,
}


class OkxDialect(OrderDialect):
    proofs = MappingProxyType(
        {
            "50011": OrderNotExecuted,  # too many requests
            "50061": OrderNotExecuted,  # too many orders of the account
            "50036": OrderNotExecuted,  # `expTime` has passed
            "50102": OrderNotExecuted,  # the signature's time is out of the window
        }
    )

    def __init__(self, client: Any, *, name: str) -> None:
        super().__init__(client, name=name)
        self._spawned = SpawnedOrders()
        self._plain: set[str] = set()  # orders known to come from no algo order
        self._pairs: dict[str, tuple[str, str]] = {}  # our ids of the legs of the pairs sent from here

    @property
    def abilities(self) -> OrderAbilities:
        return OrderAbilities(
            buy_fee_in_base=True,
            refused_late=frozenset({OrderType.MARKET, OrderType.LIMIT}),  # `expTime` is not for algo orders
            pair=PairMode.OCO,
            amend=AmendMode.CANCEL_FIRST,
        )

    def headers(self, deadline: Deadline) -> Mapping[str, str]:
        return {"expTime": str(int(self.client.nonce()) + deadline.remaining_ms)}

    async def create(self, ticket: OrderTicket, deadline: Deadline) -> OrderReport:
        if ticket.order_type in TRIGGERED_TYPES:
            answer = await self.client.private_post_trade_order_algo(self._algo_request(ticket))
            return self.bare(ticket, self.acknowledged_id(ticket, self._taken(answer).get("algoId")))
        answer = await self.client.private_post_trade_order(self._request(ticket))
        return self.bare(ticket, self.acknowledged_id(ticket, self._taken(answer).get("ordId")))

    async def create_pair(self, pair: PairTicket, deadline: Deadline) -> tuple[OrderReport, OrderReport]:
        stop, gain = pair.stop_loss, pair.take_profit
        self._pairs[pair.link_id] = (stop.client_order_id, gain.client_order_id)
        request = {
            **self._common(stop),
            "ordType": "oco",
            "algoClOrdId": pair.link_id,
            "clOrdId": pair.link_id,
            **self._stop_leg(stop),
            **self._gain_leg(gain),
        }
        answer = await self.client.private_post_trade_order_algo(request)
        number = self.acknowledged_id(stop, self._taken(answer).get("algoId"))
        return self.bare(stop, f"{number}{_STOP}"), self.bare(gain, f"{number}{_GAIN}")

    async def cancel(self, order: OrderHandle) -> None:
        if order.order_type not in TRIGGERED_TYPES:
            await self._cancel_plain(order)
            return
        named = {"instId": self._market_id(order.symbol), **_algo_name(order)}
        try:
            self._taken(await self.client.private_post_trade_cancel_algos([named]))
        except ccxt_error() as exc:
            import ccxt

            if not isinstance(exc, ccxt.OrderNotFound):
                raise
            # It may have been triggered: then the order placed for it is what rests.
            algo = await self._algo(order)
            spawned_id = self._spawned_id(algo)
            if spawned_id is None or not _is_leg_triggered(algo, order):
                raise self.not_found(order) from exc
            await self._cancel_plain(OrderHandle(order.symbol, exchange_order_id=spawned_id))

    async def find(self, order: OrderHandle) -> OrderReport:
        if order.order_type not in TRIGGERED_TYPES:
            return await self._find_plain(order)
        algo = await self._algo(order)
        report = self._leg_report(algo, order) if algo["ordType"] == "oco" else self._from_algo(algo)
        spawned_id = self._spawned_id(algo)
        if spawned_id is None:
            return report
        if not _is_leg_triggered(algo, order):
            return replace(report, status=OrderStatus.CANCELLED)  # the other leg was
        spawned = await self._find_plain(OrderHandle(order.symbol, exchange_order_id=spawned_id))
        return carried_out(report, spawned)

    async def open_orders(self, symbol: str | None) -> list[OrderReport]:
        plain = await self.client.fetch_open_orders(symbol, None, _PAGE, {"instType": "SPOT"})
        found = [translate.order(_numbered(raw), fills=()) for raw in plain]
        await self._learn_spawned(found)
        listed = [self._spawned.as_original(each) for each in found]
        request = {} if symbol is None else {"instId": self._market_id(symbol)}
        for kind in _ALGO_KINDS:
            answer = await self.client.private_get_trade_orders_algo_pending(
                {"instType": "SPOT", "ordType": kind, "limit": str(_PAGE), **request}
            )
            for algo in answer.get("data") or ():
                listed += self._both_legs(algo) if kind == "oco" else [self._from_algo(algo)]
        return listed

    async def my_trades(self, symbol: str, since: datetime | None) -> list[FillReport]:
        request = {"instType": "SPOT", "instId": self._market_id(symbol), "limit": str(_PAGE)}
        if since is not None:
            request["begin"] = str(to_ms(since))
        found: list[FillReport] = []
        for _ in range(_MOST_PAGES):
            rows = (await self.client.private_get_trade_fills_history(request)).get("data") or []
            market = self.client.market(symbol)
            found += [translate.fill(self.client.parse_trade(row, market)) for row in rows]
            if len(rows) < _PAGE:
                break
            request["after"] = rows[-1]["billId"]
        await self._learn_spawned_numbers(symbol, {each.exchange_order_id for each in found})
        return sorted((self._spawned.fill_of_original(each) for each in found), key=lambda each: each.executed_at)

    async def trades_of(self, raw: Row, symbol: str) -> Sequence[Row]:
        # The history of executions lags; the recent ones are at hand at once (three days).
        wanted = {"instType": "SPOT", "instId": self._market_id(symbol), "ordId": raw["id"]}
        answer = await self.client.private_get_trade_fills(wanted)
        rows = answer.get("data") or (await self.client.private_get_trade_fills_history(wanted)).get("data") or []
        return [self.client.parse_trade(row, self.client.market(symbol)) for row in rows]

    # plain orders

    def _request(self, ticket: OrderTicket) -> dict[str, str]:
        limited = ticket.order_type is OrderType.LIMIT
        return {
            **self._common(ticket),
            "ordType": "limit" if limited else "market",
            "clOrdId": ticket.client_order_id,
            **({"px": self._price(ticket, ticket.price)} if limited else {"tgtCcy": "base_ccy"}),
        }

    def _common(self, ticket: OrderTicket) -> dict[str, str]:
        return {
            "instId": self._market_id(ticket.symbol),
            "tdMode": "cash",
            "side": ticket.side.value,
            "sz": str(self.client.amount_to_precision(ticket.symbol, text(ticket.quantity))),
        }

    async def _find_plain(self, order: OrderHandle) -> OrderReport:
        params = {"clOrdId": order.client_order_id} if order.client_order_id else {}
        raw = await self.client.fetch_order(order.exchange_order_id, order.symbol, params)
        return await self.with_fills(_numbered(raw), order.symbol)

    async def _cancel_plain(self, order: OrderHandle) -> None:
        number = (
            {"ordId": order.exchange_order_id} if order.exchange_order_id else {"clOrdId": order.client_order_id}
        )
        answer = await self.client.private_post_trade_cancel_order(
            {"instId": self._market_id(order.symbol), **number}
        )
        self._taken(answer)

    # algo orders

    def _algo_request(self, ticket: OrderTicket) -> dict[str, str]:
        leg = self._gain_leg if ticket.order_type is OrderType.TAKE_PROFIT else self._stop_leg
        return {
            **self._common(ticket),
            "ordType": "conditional",
            "algoClOrdId": ticket.client_order_id,
            "clOrdId": ticket.client_order_id,  # ccxt would put a name and a mark of its own
            **({"tgtCcy": "base_ccy"} if ticket.side is Side.BUY and ticket.price is None else {}),
            **leg(ticket),
        }

    def _stop_leg(self, ticket: OrderTicket) -> dict[str, str]:
        price = _MARKET_PRICE if ticket.price is None else self._price(ticket, ticket.price)
        return {"slTriggerPx": self._price(ticket, ticket.stop_price), "slOrdPx": price, "slTriggerPxType": "last"}

    def _gain_leg(self, ticket: OrderTicket) -> dict[str, str]:
        trigger_price = self._price(ticket, ticket.stop_price)
        return {"tpTriggerPx": trigger_price, "tpOrdPx": _MARKET_PRICE, "tpTriggerPxType": "last"}

    async def _algo(self, order: OrderHandle) -> Row:
        """Return an algo order, waiting or past. Raises OrderNotFound."""
        answer = await self.client.private_get_trade_order_algo(_algo_name(order))
        rows: Sequence[Row] = answer.get("data") or ()
        if not rows:
            raise self.not_found(order)
        return rows[0]

    def _spawned_id(self, algo: Row) -> str | None:
        """Return the number of the order placed for a triggered algo order, None when there is none (yet)."""
        numbers = [each for each in (*(algo.get("ordIdList") or ()), algo.get("ordId")) if each]
        if not numbers:
            return None
        leg = f":{algo['actualSide']}" if algo["ordType"] == "oco" else ""
        client_order_id = None if leg else algo.get("algoClOrdId") or None
        self._spawned.learn(numbers[-1], original_id=f"{algo['algoId']}{leg}", client_order_id=client_order_id)
        return str(numbers[-1])

    async def _learn_spawned(self, reports: Sequence[OrderReport]) -> None:
        for each in reports:
            await self._learn_spawned_numbers(each.symbol, {each.exchange_order_id})

    async def _learn_spawned_numbers(self, symbol: str, numbers: set[str]) -> None:
        """Ask of each order not seen before whether an algo order placed it."""
        for number in sorted(numbers - self._plain):
            if self._spawned.knows(number):
                continue
            raw = await self.client.fetch_order(number, symbol)
            algo_id = raw["info"].get("algoId")
            if not algo_id:
                self._plain.add(number)
                continue
            try:
                self._spawned_id(await self._algo(OrderHandle(symbol, exchange_order_id=algo_id)))
            except OrderNotFound:
                self._plain.add(number)

    def _from_algo(self, algo: Row) -> OrderReport:
        stop, gain = translate.limit(algo.get("slTriggerPx")), translate.limit(algo.get("tpTriggerPx"))
        order_price = algo.get("slOrdPx") if stop else algo.get("tpOrdPx") if gain else algo.get("ordPx")
        price = None if order_price == _MARKET_PRICE else translate.limit(order_price)
        at_market = OrderType.TAKE_PROFIT if gain and not stop else OrderType.STOP_LOSS
        return OrderReport(
            exchange_order_id=algo["algoId"],
            client_order_id=algo.get("algoClOrdId") or None,
            symbol=self.client.safe_symbol(algo["instId"]),
            side=Side(algo["side"]),
            order_type=OrderType.STOP_LIMIT if price else at_market,
            status=_STATUSES[algo["state"]],
            quantity=translate.decimal(algo["sz"]),
            filled_quantity=Decimal(0),
            average_price=None,
            price=price,
            fills=(),
            market_time=_moment(algo),
            stop_price=stop or gain or translate.limit(algo.get("triggerPx")),
        )

    def _leg_report(self, algo: Row, order: OrderHandle) -> OrderReport:
        stop, gain = self._both_legs(algo)
        leg = gain if order.order_type is OrderType.TAKE_PROFIT else stop
        return replace(leg, client_order_id=order.client_order_id or None)

    def _both_legs(self, algo: Row) -> tuple[OrderReport, OrderReport]:
        """Return (stop loss, take profit); an algo order holds the name of the pair, not our ids of its legs."""
        whole = replace(self._from_algo(algo), price=None)
        ours = self._pairs.get(algo.get("algoClOrdId") or "", (None, None))
        legs = (
            (_STOP, OrderType.STOP_LOSS, algo["slTriggerPx"], ours[0]),
            (_GAIN, OrderType.TAKE_PROFIT, algo["tpTriggerPx"], ours[1]),
        )
        stop, gain = (
            replace(
                whole,
                exchange_order_id=f"{algo['algoId']}{suffix}",
                client_order_id=client_order_id,
                order_type=kind,
                stop_price=translate.decimal(trigger_price),
            )
            for suffix, kind, trigger_price, client_order_id in legs
        )
        return stop, gain

    # wording

    def _market_id(self, symbol: str) -> str:
        return str(self.client.market(symbol)["id"])

    def _price(self, ticket: OrderTicket, price: Decimal | None) -> str:
        return str(self.client.price_to_precision(ticket.symbol, text(price)))

    def _taken(self, answer: Row) -> Row:
        """Return the one result of a request. Raises ccxt's error when that one failed within a success."""
        result: Row = (answer.get("data") or ({},))[0]
        if result.get("sCode") not in (None, "0"):
            self.client.handle_errors(
                200, "", "", "POST", {}, self.client.json(answer), {**answer, "code": "1"}, {}, ""
            )
        return result


def _numbered(raw: Row) -> Row:
    """Return ccxt's order under its own number, where ccxt puts that of the algo order that placed it."""
    return {**raw, "id": raw["info"]["ordId"]}


def _algo_name(order: OrderHandle) -> dict[str, str]:
    if order.exchange_order_id:
        return {"algoId": order.exchange_order_id.removesuffix(_STOP).removesuffix(_GAIN)}
    return {"algoClOrdId": order.link_id or order.client_order_id}


def _is_leg_triggered(algo: Row, order: OrderHandle) -> bool:
    if algo["ordType"] != "oco":
        return True
    wanted = "tp" if order.order_type is OrderType.TAKE_PROFIT else "sl"
    return bool(algo.get("actualSide") == wanted)


def _moment(algo: Row) -> datetime:
    told = algo.get("uTime") or algo.get("triggerTime") or algo["cTime"]
    return datetime.fromtimestamp(int(told) / 1000, tz=UTC)
