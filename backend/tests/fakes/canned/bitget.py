"""Bitget's classic spot API v2. Shapes: bitget.com/api-doc/spot, as ccxt 4.5 reads them."""

import base64
import hashlib
import hmac
import json
import time
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

from tests.fakes.canned.book import Book, Duplicate, Fill, NoFunds, Order, Waiting
from tests.fakes.canned.server import KEY, PASSPHRASE, SECRET, Asked, CannedServer, Refusal
from tests.fakes.recordings import data_file

SPOT = "/api/v2/spot"


def no(code: str, message: str, status: int = 400) -> Refusal:
    return Refusal({"code": code, "msg": message, "requestTime": 1760000000000, "data": None}, status)


class BitgetServer(CannedServer):
    def __init__(self) -> None:
        super().__init__()
        recorded = json.loads(data_file("bitget_spot_symbols_7.json").read_text())
        self._symbols = recorded["data"] if isinstance(recorded, dict) else recorded

    def new_book(self) -> Book:
        return Book(freezes_waiting=False)

    def check_signature(self, asked: Asked) -> None:
        if "/public/" in asked.path or asked.path.endswith("/margin/currencies"):
            return
        sent = asked.headers
        if sent.get("ACCESS-KEY") != KEY:
            raise no("40006", "Invalid ACCESS_KEY")
        if sent.get("ACCESS-PASSPHRASE") != PASSPHRASE:
            raise no("40012", "apikey/password is incorrect")
        query = f"?{unquote(asked.query)}" if asked.query else ""
        signed = f"{sent['ACCESS-TIMESTAMP']}{asked.method}{asked.path}{query}{asked.body}"
        digest = hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).digest()
        if sent.get("ACCESS-SIGN") != base64.b64encode(digest).decode():
            raise no("40009", "sign signature error")

    def answer(self, asked: Asked) -> Any:
        routes = {
            "/api/v2/public/time": lambda _: {"serverTime": str(self._now())},
            f"{SPOT}/public/symbols": lambda _: self._symbols,
            "/api/v2/margin/currencies": lambda _: [],
            "/api/v3/account/settings": self._unified,
            f"{SPOT}/account/assets": self._assets,
            f"{SPOT}/trade/place-order": self._place,
            f"{SPOT}/trade/place-plan-order": self._place_plan,
            f"{SPOT}/trade/cancel-order": self._cancel,
            f"{SPOT}/trade/cancel-plan-order": self._cancel_plan,
            f"{SPOT}/trade/orderInfo": self._order_info,
            f"{SPOT}/trade/unfilled-orders": self._unfilled,
            f"{SPOT}/trade/current-plan-order": lambda p: self._plans(p, {"open"}),
            f"{SPOT}/trade/history-plan-order": lambda p: self._plans(p, {"triggered", "cancelled", "failed"}),
            f"{SPOT}/trade/plan-sub-order": self._sub_orders,
            f"{SPOT}/trade/fills": self._fills,
        }
        route = routes.get(asked.path)
        if route is None:
            raise no("40404", "Request URL NOT FOUND", 404)
        return {"code": "00000", "msg": "success", "requestTime": self._now(), "data": route(asked.params)}

    @staticmethod
    def _now() -> int:
        return int(time.time() * 1000)

    def _unified(self, _: Any) -> Any:
        raise no("40085", "You are in Classic Account mode, and the Unified Account API is not supported")

    def _assets(self, _: Any) -> Any:
        return [
            {"coin": coin, "available": str(self.book.free[coin]), "frozen": str(self.book.locked[coin]),
             "locked": "0", "limitAvailable": "0", "uTime": "1760000000000"}
            for coin in ("BTC", "USDT")
        ]  # fmt: skip

    def _place(self, wanted: Any) -> Any:
        sized_in_quote = wanted["orderType"] == "market" and wanted["side"] == "buy"
        size = Decimal(wanted["size"])
        self._check(wanted)
        try:
            order = self.book.place(
                client_id=wanted["clientOid"],
                side=wanted["side"],
                kind=wanted["orderType"],
                quantity=Decimal(0) if sized_in_quote else size,
                price=Decimal(wanted["price"]) if "price" in wanted else None,
                in_quote=size if sized_in_quote else None,
            )
        except NoFunds:
            raise no("43012", "Insufficient balance") from None
        except Duplicate:
            raise no("40786", "Duplicate clientOid") from None
        return {"orderId": order.number, "clientOid": order.client_id}

    def _check(self, wanted: Any) -> None:
        if wanted["symbol"] != "BTCUSDT":
            raise no("40034", "Parameter does not exist")
        if wanted["orderType"] == "limit" and Decimal(wanted["size"]) * Decimal(wanted["price"]) < 1:
            raise no("45110", "less than the minimum amount 1 USDT")
        if "requestTime" in wanted and int(wanted["receiveWindow"]) + int(wanted["requestTime"]) < self._now():
            raise no("40008", "Request timestamp expired")

    def _place_plan(self, wanted: Any) -> Any:
        if wanted["planType"] != "amount" or wanted["triggerType"] not in ("fill_price", "mark_price"):
            raise no("40017", "Parameter verification failed")
        limited = wanted["orderType"] == "limit"
        if limited and "executePrice" not in wanted:
            raise no("43011", "The parameter does not meet the specification executePrice <= 0")
        held = self.book.wait(
            client_id=wanted["clientOid"],
            side=wanted["side"],
            quantity=Decimal(wanted["size"]),
            triggers={"sl": Decimal(wanted["triggerPrice"])},
            prices={"sl": Decimal(wanted["executePrice"]) if limited else None},
        )
        return {"orderId": held.number, "clientOid": held.client_id}

    def _order(self, wanted: Any) -> Order | None:
        for order in self.book.orders.values():
            if order.number == wanted.get("orderId") or order.client_id == wanted.get("clientOid"):
                return order
        return None

    def _waiting(self, wanted: Any) -> Waiting | None:
        for held in self.book.waiting.values():
            if held.number == wanted.get("orderId") or held.client_id == wanted.get("clientOid"):
                return held
        return None

    def _cancel(self, wanted: Any) -> Any:
        order = self._order(wanted)
        if order is None or order.status != "open":
            raise no("43001", "The order does not exist")
        self.book.cancel(order)
        return {"orderId": order.number, "clientOid": order.client_id}

    def _cancel_plan(self, wanted: Any) -> Any:
        held = self._waiting(wanted)
        if held is None or held.status != "open":
            raise no("43025", "Plan order does not exist")
        self.book.cancel_waiting(held)
        return {"result": "success"}

    def _order_info(self, wanted: Any) -> Any:
        order = self._order(wanted)
        return [] if order is None else [self._described(order)]

    def _unfilled(self, _: Any) -> Any:
        return [self._described(each) for each in self.book.orders.values() if each.status == "open"]

    def _described(self, order: Order) -> Any:
        status = {"open": "partially_filled" if order.fills else "live"}.get(order.status, order.status)
        detail = {
            "newFees": {"c": 0, "d": 0, "deduction": False, "r": 0, "t": 0, "totalDeductionFee": 0},
            "BTC" if order.side == "buy" else "USDT": {
                "deduction": False,
                "feeCoinCode": "BTC" if order.side == "buy" else "USDT",
                "totalDeductionFee": 0,
                "totalFee": float(-sum(each.fee for each in order.fills)),
            },
        }
        return {
            "userId": "1", "symbol": "BTCUSDT", "orderId": order.number, "clientOid": order.client_id,
            "price": str(order.price or 0), "size": str(order.in_quote or order.quantity),
            "orderType": order.kind, "side": order.side, "status": status,
            "priceAvg": str(order.value / order.filled if order.filled else 0),
            "baseVolume": str(order.filled), "quoteVolume": str(order.value),
            "enterPointSource": "API", "feeDetail": json.dumps(detail) if order.fills else "",
            "orderSource": "normal", "cancelReason": "", "cTime": str(order.time_ms),
            "uTime": str(order.fills[-1].time_ms if order.fills else order.time_ms),
        }  # fmt: skip

    def _plans(self, wanted: Any, statuses: set[str]) -> Any:
        words = {"open": "live", "triggered": "executed", "cancelled": "cancelled", "failed": "fail_execute"}
        found = [each for each in self.book.waiting.values() if each.status in statuses]
        rows = [
            {"orderId": each.number, "clientOid": each.client_id, "symbol": "BTCUSDT", "size": str(each.quantity),
             "executePrice": str(each.prices["sl"] or 0), "triggerPrice": str(each.triggers["sl"]),
             "status": words[each.status], "orderType": "limit" if each.prices["sl"] else "market",
             "side": each.side, "planType": "amount", "triggerType": "fill_price", "enterPointSource": "API",
             "cTime": str(each.time_ms), "uTime": str(each.time_ms)}
            for each in reversed(found)
        ]  # fmt: skip
        below = wanted.get("idLessThan")
        rows = [row for row in rows if below is None or int(row["orderId"]) < int(below)]
        page = rows[: int(wanted.get("limit", 20))]
        return {"nextFlag": len(page) < len(rows), "idLessThan": page[-1]["orderId"] if page else None,
                "orderList": page}  # fmt: skip

    def _sub_orders(self, wanted: Any) -> Any:
        held = self.book.waiting[wanted["planOrderId"]]
        if not held.spawned:
            return []
        kind = self.book.orders[held.spawned].kind
        return [{"orderId": held.spawned, "price": str(held.prices["sl"] or 0), "type": kind, "status": "success"}]

    def _fills(self, wanted: Any) -> Any:
        rows = [
            self._executed(order, fill)
            for order in self.book.orders.values()
            for fill in order.fills
            if wanted.get("orderId") in (None, order.number)
            and int(wanted.get("startTime", 0)) <= fill.time_ms
            and int(fill.trade_id) < int(wanted.get("idLessThan", 10**9))
        ]
        return rows[::-1][: int(wanted.get("limit", 100))]

    @staticmethod
    def _executed(order: Order, fill: Fill) -> Any:
        return {
            "userId": "1", "symbol": "BTCUSDT", "orderId": order.number, "tradeId": fill.trade_id,
            "orderType": order.kind, "side": order.side, "priceAvg": str(fill.price), "size": str(fill.quantity),
            "amount": str(fill.price * fill.quantity),
            "feeDetail": {"deduction": "no", "feeCoin": "BTC" if order.side == "buy" else "USDT",
                          "totalDeductionFee": "", "totalFee": str(-fill.fee)},
            "tradeScope": "maker" if order.kind == "limit" else "taker",
            "cTime": str(fill.time_ms), "uTime": str(fill.time_ms),
        }  # fmt: skip
