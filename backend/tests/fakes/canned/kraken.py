"""Kraken's spot REST. Shapes: docs.kraken.com/api/docs/rest-api, as ccxt 4.5 reads them."""

import base64
import hashlib
import hmac
import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.fakes.canned.book import FEE, Book, Fill, NoFunds, Order, Waiting
from tests.fakes.canned.server import KEY, SECRET, Asked, CannedServer, Refusal
from tests.fakes.recordings import data_file

PRIVATE = "/0/private"
_TYPES = {"stop-loss", "stop-loss-limit", "take-profit", "take-profit-limit", "market", "limit"}


def no(words: str) -> Refusal:
    return Refusal({"error": [words]})


class KrakenServer(CannedServer):
    def __init__(self) -> None:
        super().__init__()
        recorded = json.loads(data_file("ccxt_markets_kraken.json").read_text())
        self._pairs = {each["id"]: each["info"] for each in recorded.values()}
        self._last_nonce = 0
        self._kinds: dict[str, str] = {}

    def new_book(self) -> Book:
        return Book(keeps_number=True)

    def check_signature(self, asked: Asked) -> None:
        if not asked.path.startswith(PRIVATE):
            return
        nonce = asked.params["nonce"]
        if asked.headers.get("API-Key") != KEY:
            raise no("EAPI:Invalid key")
        hashed = hashlib.sha256(f"{nonce}{asked.body}".encode()).digest()
        digest = hmac.new(base64.b64decode(SECRET), asked.path.encode() + hashed, hashlib.sha512).digest()
        if asked.headers.get("API-Sign") != base64.b64encode(digest).decode():
            raise no("EAPI:Invalid signature")
        if int(nonce) <= self._last_nonce:
            raise no("EAPI:Invalid nonce")
        self._last_nonce = int(nonce)

    def answer(self, asked: Asked) -> Any:
        routes = {
            "/0/public/AssetPairs": lambda _: self._pairs,
            "/0/public/Assets": lambda _: {},
            "/0/public/Time": lambda _: {"unixtime": 1760000000, "rfc1123": ""},
            f"{PRIVATE}/BalanceEx": self._balance,
            f"{PRIVATE}/AddOrder": self._add,
            f"{PRIVATE}/CancelOrder": self._cancel,
            f"{PRIVATE}/QueryOrders": self._query,
            f"{PRIVATE}/OpenOrders": lambda p: {"open": self._listed(p, is_open=True)},
            f"{PRIVATE}/ClosedOrders": lambda p: {"closed": self._listed(p, is_open=False), "count": 1},
            f"{PRIVATE}/QueryTrades": lambda p: self._trades(set(p["txid"].split(","))),
            f"{PRIVATE}/TradesHistory": self._history,
        }
        route = routes.get(asked.path)
        if route is None:
            raise no("EGeneral:Unknown method")
        return {"error": [], "result": route(asked.params)}

    def _balance(self, _: Any) -> Any:
        names = {"XXBT": "BTC", "USDT": "USDT"}
        return {
            name: {
                "balance": str(self.book.free[code] + self.book.locked[code]),
                "hold_trade": str(self.book.locked[code]),
            }
            for name, code in names.items()
        }

    def _add(self, wanted: Any) -> Any:
        kind = wanted["ordertype"]
        if wanted["pair"] != "XBTUSDT":
            raise no("EQuery:Unknown asset pair")
        if kind not in _TYPES or wanted.get("oflags") not in (None, "fciq"):
            raise no("EGeneral:Invalid arguments:ordertype")
        self._check_deadline(wanted)
        volume = Decimal(wanted["volume"])
        if volume < Decimal("0.00005"):
            raise no("EOrder:Order minimum not met")
        try:
            number = self._taken(kind, wanted, volume)
        except NoFunds:
            raise no("EOrder:Insufficient funds") from None
        return {"descr": {"order": self._sentence(number)}, "txid": [number]}

    @staticmethod
    def _check_deadline(wanted: Any) -> None:
        ends = datetime.fromisoformat(wanted["deadline"])
        left = ends - datetime.now(tz=ends.tzinfo)
        if not timedelta(seconds=2) <= left <= timedelta(seconds=60):
            raise no("EGeneral:Invalid arguments:deadline")

    def _taken(self, kind: str, wanted: Any, volume: Decimal) -> str:
        facts = {"client_id": wanted["cl_ord_id"], "side": wanted["type"], "quantity": volume}
        price = Decimal(wanted["price"]) if "price" in wanted else None
        if kind in ("market", "limit"):
            number = self.book.place(kind=kind, price=price, **facts).number
        else:
            limit = Decimal(wanted["price2"]) if kind.endswith("-limit") else None
            number = self.book.wait(triggers={"sl": price or Decimal(0)}, prices={"sl": limit}, **facts).number
        self._kinds[number] = kind
        return number

    def _sentence(self, number: str) -> str:
        order = self._known()[number]
        return f"{order.side} {order.quantity} XBTUSDT @ {self._kinds[number].replace('-', ' ')} 1"

    def _known(self) -> dict[str, Order | Waiting]:
        # A triggered order keeps its number: what it has become hides what it was.
        return {**self.book.waiting, **self.book.orders}

    def _named(self, wanted: Any) -> list[Order | Waiting]:
        return [
            each
            for each in self._known().values()
            if (wanted.get("cl_ord_id") in (None, each.client_id))
            and (wanted.get("txid") is None or each.number in wanted["txid"].split(","))
        ]

    def _cancel(self, wanted: Any) -> Any:
        found = [each for each in self._named(wanted) if each.status == "open"]
        if not found:
            raise no("EOrder:Unknown order")
        for each in found:
            if isinstance(each, Waiting):
                self.book.cancel_waiting(each)
            else:
                self.book.cancel(each)
        return {"count": len(found)}

    def _query(self, wanted: Any) -> Any:
        found = self._named({"txid": wanted["txid"]})
        if not found:
            raise no("EOrder:Invalid order")
        return {each.number: self._described(each) for each in found}

    def _listed(self, wanted: Any, *, is_open: bool) -> Any:
        return {
            each.number: self._described(each)
            for each in self._named({"cl_ord_id": wanted.get("cl_ord_id")})
            if (each.status == "open") is is_open
        }

    def _described(self, each: Order | Waiting) -> Any:
        order = each if isinstance(each, Order) else None
        held = self.book.waiting.get(each.number)
        status = {"open": "open", "filled": "closed", "cancelled": "canceled"}[each.status]
        fills = order.fills if order else []
        limit = held.prices["sl"] if held else None
        price = held.triggers["sl"] if held else order.price if order else None
        filled = sum((one.quantity for one in fills), Decimal(0))
        value = sum((one.quantity * one.price for one in fills), Decimal(0))
        return {
            "refid": None, "userref": 0, "cl_ord_id": each.client_id, "status": status,
            "opentm": each.time_ms / 1000, "starttm": 0, "expiretm": 0,
            "descr": {"pair": "XBTUSDT", "type": each.side, "ordertype": self._kinds[each.number],
                      "price": str(price or 0), "price2": str(limit or 0), "leverage": "none",
                      "order": self._sentence(each.number), "close": ""},
            "vol": str(each.quantity), "vol_exec": str(filled), "cost": str(value), "fee": "0",
            "price": str(value / filled if filled else 0), "stopprice": "0.00000", "limitprice": "0.00000",
            "misc": "", "oflags": "fciq", "trades": [one.trade_id for one in fills],
            **({"closetm": (fills[-1].time_ms if fills else each.time_ms) / 1000} if status != "open" else {}),
        }  # fmt: skip

    def _trades(self, wanted: set[str] | None, since_s: float = 0) -> dict[str, Any]:
        return {
            fill.trade_id: self._executed(order, fill)
            for order in self.book.orders.values()
            for fill in order.fills
            if (wanted is None or fill.trade_id in wanted) and fill.time_ms / 1000 > since_s
        }

    @staticmethod
    def _executed(order: Order, fill: Fill) -> Any:
        value = fill.price * fill.quantity
        return {
            "ordertxid": order.number, "postxid": "T", "pair": "XBTUSDT", "time": fill.time_ms / 1000,
            "type": order.side, "ordertype": order.kind, "price": str(fill.price), "cost": str(value),
            "fee": str(value * FEE),  # in quote whichever side, as `fciq` asks
            "vol": str(fill.quantity), "margin": "0", "misc": "", "trade_id": int(fill.trade_id),
            "maker": order.kind == "limit",
        }  # fmt: skip

    def _history(self, wanted: Any) -> Any:
        rows = self._trades(None, float(wanted.get("start", 0)))
        begins = int(wanted.get("ofs", 0))
        newest_first = list(rows)[::-1][begins : begins + 50]
        return {"trades": {number: rows[number] for number in newest_first}, "count": len(rows)}
