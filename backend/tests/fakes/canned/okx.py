"""OKX's API v5, cash spot. Shapes: okx.com/docs-v5, as ccxt 4.5 reads them."""

import base64
import hashlib
import hmac
import time
from decimal import Decimal
from typing import Any

from tests.fakes.canned.book import Duplicate, NoFunds, Order, Waiting
from tests.fakes.canned.server import KEY, PASSPHRASE, SECRET, Asked, CannedServer, Refusal

TRADE = "/api/v5/trade"
INSTRUMENT = {
    "alias": "", "baseCcy": "BTC", "category": "1", "ctMult": "", "ctType": "", "ctVal": "", "ctValCcy": "",
    "expTime": "", "instFamily": "", "instId": "BTC-USDT", "instType": "SPOT", "lever": "10",
    "listTime": "1606468572000",
    "lotSz": "0.00000001", "maxIcebergSz": "9999999999", "maxLmtSz": "9999999999", "maxMktSz": "1000000",
    "minSz": "0.00001", "optType": "", "quoteCcy": "USDT", "settleCcy": "", "state": "live", "stk": "",
    "tickSz": "0.1", "uly": "",
}  # fmt: skip


def no(code: str, message: str) -> Refusal:
    return Refusal({"code": code, "msg": message, "data": []}, 401 if code.startswith("501") else 200)


def order_no(code: str, message: str) -> Refusal:
    """An order that was read and refused: the reason is inside."""
    row = {"clOrdId": "", "ordId": "", "algoId": "", "sCode": code, "sMsg": message, "tag": ""}
    return Refusal({"code": "1", "msg": "All operations failed", "data": [row]})


class OkxServer(CannedServer):
    def check_signature(self, asked: Asked) -> None:
        if asked.path.startswith("/api/v5/public"):
            return
        sent = asked.headers
        if sent.get("OK-ACCESS-KEY") != KEY:
            raise no("50111", "Invalid OK-ACCESS-KEY")
        if sent.get("OK-ACCESS-PASSPHRASE") != PASSPHRASE:
            raise no("50105", "OK-ACCESS-PASSPHRASE incorrect")
        query = f"?{asked.raw_query}" if asked.query else ""
        signed = f"{sent['OK-ACCESS-TIMESTAMP']}{asked.method}{asked.path}{query}{asked.body}"
        digest = hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).digest()
        if sent.get("OK-ACCESS-SIGN") != base64.b64encode(digest).decode():
            raise no("50113", "Invalid Sign")
        if "expTime" in sent and int(sent["expTime"]) < time.time() * 1000:
            raise no("50036", "The expTime can't be earlier than the current system time")

    def answer(self, asked: Asked) -> Any:
        routes = {
            "/api/v5/public/time": lambda _: [{"ts": str(int(time.time() * 1000))}],
            "/api/v5/public/instruments": lambda _: [INSTRUMENT],
            "/api/v5/account/balance": self._balance,
            f"{TRADE}/order": self._order_info if asked.method == "GET" else self._place,
            f"{TRADE}/order-algo": self._algo_info if asked.method == "GET" else self._place_algo,
            f"{TRADE}/cancel-order": self._cancel,
            f"{TRADE}/cancel-algos": self._cancel_algo,
            f"{TRADE}/orders-pending": self._pending,
            f"{TRADE}/orders-algo-pending": self._algos_pending,
            f"{TRADE}/fills": self._fills,
            f"{TRADE}/fills-history": self._fills,
        }
        route = routes.get(asked.path)
        if route is None:
            raise no("404", "Not found")
        return {"code": "0", "msg": "", "data": route(asked.params)}

    def _balance(self, _: Any) -> Any:
        rows = [
            {"ccy": code, "cashBal": str(self.book.free[code] + self.book.locked[code]),
             "eq": str(self.book.free[code] + self.book.locked[code]), "availBal": str(self.book.free[code]),
             "availEq": str(self.book.free[code]), "frozenBal": str(self.book.locked[code])}
            for code in ("BTC", "USDT")
        ]  # fmt: skip
        return [{"details": rows, "totalEq": "1", "uTime": "1760000000000"}]

    def _place(self, wanted: Any) -> Any:
        self._check(wanted)
        if wanted["ordType"] == "market" and wanted.get("tgtCcy") != "base_ccy":
            raise order_no("51000", "Parameter tgtCcy error")
        try:
            order = self.book.place(
                client_id=wanted["clOrdId"], side=wanted["side"], kind=wanted["ordType"],
                quantity=Decimal(wanted["sz"]), price=Decimal(wanted["px"]) if "px" in wanted else None,
            )  # fmt: skip
        except NoFunds:
            raise order_no("51008", "Order failed. Insufficient USDT balance in account.") from None
        except Duplicate:
            raise order_no("51016", "Client order ID already exists.") from None
        return [
            {"clOrdId": order.client_id, "ordId": order.number, "sCode": "0", "sMsg": "Order placed", "tag": ""}
        ]

    @staticmethod
    def _check(wanted: Any) -> None:
        if wanted["instId"] != "BTC-USDT":
            raise order_no("51001", "Instrument ID does not exist")
        if wanted["tdMode"] != "cash":
            raise order_no("51000", "Parameter tdMode error")
        if Decimal(wanted["sz"]) < Decimal(INSTRUMENT["minSz"]):
            raise order_no("51020", "Your order should meet or exceed the minimum order amount.")

    def _place_algo(self, wanted: Any) -> Any:
        self._check(wanted)
        legs = [leg for leg in ("sl", "tp") if f"{leg}TriggerPx" in wanted]
        if len(legs) != {"conditional": 1, "oco": 2}.get(wanted["ordType"]):
            raise order_no("51000", "Parameter ordType error")
        prices = {leg: Decimal(wanted[f"{leg}OrdPx"]) for leg in legs}
        try:
            held = self.book.wait(
                client_id=wanted["algoClOrdId"], side=wanted["side"], quantity=Decimal(wanted["sz"]),
                triggers={leg: Decimal(wanted[f"{leg}TriggerPx"]) for leg in legs},
                prices={leg: None if price == -1 else price for leg, price in prices.items()},
            )  # fmt: skip
        except NoFunds:
            raise order_no("51008", "Order failed. Insufficient BTC balance in account.") from None
        return [{"algoClOrdId": held.client_id, "algoId": held.number, "sCode": "0", "sMsg": "", "tag": ""}]

    def _order(self, wanted: Any) -> Order | None:
        for order in self.book.orders.values():
            if order.number == wanted.get("ordId") or order.client_id == wanted.get("clOrdId"):
                return order
        return None

    def _algo(self, wanted: Any) -> Waiting | None:
        for held in self.book.waiting.values():
            if held.number == wanted.get("algoId") or held.client_id == wanted.get("algoClOrdId"):
                return held
        return None

    def _order_info(self, wanted: Any) -> Any:
        order = self._order(wanted)
        if order is None:
            raise no("51603", "Order does not exist")
        return [self._described(order)]

    def _algo_info(self, wanted: Any) -> Any:
        held = self._algo(wanted)
        if held is None:
            raise no("51603", "Order does not exist")
        return [self._described_algo(held)]

    def _cancel(self, wanted: Any) -> Any:
        order = self._order(wanted)
        if order is None or order.status != "open":
            raise order_no("51400", "Cancellation failed as the order does not exist.")
        self.book.cancel(order)
        return [{"clOrdId": order.client_id, "ordId": order.number, "sCode": "0", "sMsg": ""}]

    def _cancel_algo(self, wanted: Any) -> Any:
        (named,) = wanted
        held = self._algo(named)
        if held is None or held.status != "open":
            raise order_no("51400", "Cancellation failed as the order does not exist.")
        self.book.cancel_waiting(held)
        return [{"algoId": held.number, "sCode": "0", "sMsg": ""}]

    def _pending(self, _: Any) -> Any:
        return [self._described(each) for each in self.book.orders.values() if each.status == "open"]

    def _algos_pending(self, wanted: Any) -> Any:
        found = [self._described_algo(each) for each in self.book.waiting.values() if each.status == "open"]
        return [each for each in found if each["ordType"] == wanted["ordType"]]

    @staticmethod
    def _described(order: Order) -> Any:
        state = {"open": "partially_filled" if order.fills else "live", "cancelled": "canceled"}
        return {
            "accFillSz": str(order.filled), "algoClOrdId": "", "algoId": order.parent, "attachAlgoOrds": [],
            "avgPx": str(order.value / order.filled) if order.filled else "", "cTime": str(order.time_ms),
            "category": "normal", "ccy": "", "clOrdId": "" if order.parent else order.client_id,
            "fee": str(-sum(each.fee for each in order.fills)), "feeCcy": "BTC" if order.side == "buy" else "USDT",
            "fillPx": "", "fillSz": "0", "fillTime": "", "instId": "BTC-USDT", "instType": "SPOT", "lever": "",
            "ordId": order.number, "ordType": order.kind, "pnl": "0", "posSide": "", "px": str(order.price or ""),
            "rebate": "0", "rebateCcy": "USDT", "side": order.side, "slOrdPx": "", "slTriggerPx": "",
            "state": state.get(order.status, order.status), "sz": str(order.quantity), "tag": "", "tdMode": "cash",
            "tgtCcy": "base_ccy" if order.kind == "market" else "", "tpOrdPx": "", "tpTriggerPx": "", "tradeId": "",
            "uTime": str(order.fills[-1].time_ms if order.fills else order.time_ms),
        }  # fmt: skip

    @staticmethod
    def _described_algo(held: Waiting) -> Any:
        state = {"open": "live", "triggered": "effective", "cancelled": "canceled", "failed": "order_failed"}
        row = {
            "algoId": held.number, "algoClOrdId": held.client_id, "clOrdId": "", "instId": "BTC-USDT",
            "instType": "SPOT", "ordType": "oco" if len(held.triggers) == 2 else "conditional",
            "ordId": held.spawned, "ordIdList": [held.spawned] if held.spawned else [], "ordPx": "",
            "actualSide": held.leg, "actualSz": "", "actualPx": "", "side": held.side, "state": state[held.status],
            "sz": str(held.quantity), "tdMode": "cash", "tgtCcy": "", "triggerPx": "", "triggerTime": "",
            "slTriggerPx": "", "slOrdPx": "", "tpTriggerPx": "", "tpOrdPx": "",
            "cTime": str(held.time_ms), "uTime": str(held.time_ms),
        }  # fmt: skip
        for leg, trigger in held.triggers.items():
            row[f"{leg}TriggerPx"] = str(trigger)
            row[f"{leg}OrdPx"] = str(held.prices[leg] or -1)
        return row

    def _fills(self, wanted: Any) -> Any:
        rows = [
            {"instType": "SPOT", "instId": "BTC-USDT", "tradeId": fill.trade_id, "ordId": order.number,
             "clOrdId": "" if order.parent else order.client_id, "billId": fill.trade_id, "tag": "",
             "fillPx": str(fill.price), "fillSz": str(fill.quantity), "side": order.side, "posSide": "",
             "execType": "M" if order.kind == "limit" else "T",
             "feeCcy": "BTC" if order.side == "buy" else "USDT", "fee": str(-fill.fee), "ts": str(fill.time_ms)}
            for order in self.book.orders.values()
            for fill in order.fills
            if wanted.get("ordId") in (None, order.number)
            and fill.time_ms >= int(wanted.get("begin", 0))
            and int(fill.trade_id) < int(wanted.get("after", 10**9))
        ]  # fmt: skip
        return rows[::-1][: int(wanted.get("limit", 100))]
