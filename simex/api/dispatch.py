"""From an HTTP request to its answer: faults, limits, keys, parameters, handler, log.

A request is logged, and what it changed is journalled, in one line before its answer leaves.
"""

import asyncio
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import Any
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

from simex.api.call import Call, Route
from simex.api.rest_lists import LISTS
from simex.api.rest_private import PRIVATE
from simex.api.rest_public import PUBLIC
from simex.api.rest_replace import REPLACE, ReplaceError
from simex.api.signing import check_signature, check_timestamp, signed_payload
from simex.api.weights import LimitError, Limits
from simex.engine.errors import ApiError, missing
from simex.faults import PASSING, USUAL, Fault
from simex.live.answers import require_market
from simex.simulation import Simulation

KNOWN_WITHOUT_MARKET = ("/api/v3/ping", "/api/v3/time", "/api/v3/exchangeInfo")
ROUTES = {**PUBLIC, **PRIVATE, **LISTS, **REPLACE}
JSON = "application/json;charset=UTF-8"
CLIENT_IDS = ("newClientOrderId", "origClientOrderId", "listClientOrderId")
LOGGED = ("symbol", "side", "type", "quantity", "quoteOrderQty", "price", "stopPrice", "orderId")


@dataclass
class Reply:
    """An answer not yet sent."""

    status: int
    content: Any
    verdict: str
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    content_type: str = JSON

    @property
    def body(self) -> bytes:
        """The bytes to send."""
        return orjson.dumps(self.content) if self.raw is None else self.raw


def refusal(error: ApiError) -> Reply:
    """Turn a refusal into an answer."""
    content: dict[str, Any] = {"code": error.code, "msg": error.message}
    if isinstance(error, ReplaceError):
        content["data"] = error.detail
    headers = {"Retry-After": str(error.retry_after_s)} if isinstance(error, LimitError) else {}
    return Reply(error.status, content, f"rejected {error.code}", headers)


class Dispatcher:
    """Answers every REST request of the exchange."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self._limits = Limits(sim.options.limit_factor)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one HTTP request, or cut its connection when a fault says so."""
        call = await self._read(request)
        fault = self._sim.faults.for_request(call.method, call.path, self._claimed(call))
        if fault is not None and fault.kind == "delay_before":
            await asyncio.sleep(float(fault.params.get("ms", 1000)) / 1000)
        if fault is not None and not _executes(fault):
            reply = fault_reply(fault)
            self._note(call, reply)
        else:
            reply = await self._answer(call, fault)
        if fault is not None and fault.kind in ("drop_before", "drop_after"):
            return _cut(request)
        if fault is not None and fault.kind == "delay_after":
            await asyncio.sleep(float(fault.params.get("ms", 1000)) / 1000)
        headers = {**self._headers(call), **reply.headers, "Content-Type": reply.content_type}
        return web.Response(status=reply.status, body=reply.body, headers=headers)

    async def _read(self, request: web.Request) -> Call:
        path, _, query = request.raw_path.partition("?")
        body = (await request.read()).decode("utf-8", "replace")
        payload, signature = signed_payload(query, body)
        pairs = parse_qsl(payload if not (query and body) else f"{query}&{body}", True)
        params = {name: value for name, value in pairs if name != "signature"}
        return Call(
            sim=self._sim,
            limits=self._limits,
            method=request.method,
            path=path,
            params=params,
            payload=payload,
            signature=signature,
            api_key=request.headers.get("X-MBX-APIKEY"),
            address=request.remote or "",
        )

    def _claimed(self, call: Call) -> str:
        found = self._sim.exchange.account_by_key(call.api_key) if call.api_key else None
        return found.account_id if found else ""

    async def _answer(self, call: Call, fault: Fault | None) -> Reply:
        """Run the request; what it changed and its log line are kept before this returns."""
        call.planned = fault
        try:
            route = self._admit(call)
            if route.is_slow is not None and route.is_slow(call.params):
                content = await asyncio.to_thread(route.handler, call)
            else:
                content = route.handler(call)
            if isawaitable(content):  # a relayed market's past is the upstream's to tell
                content = await content
            reply = Reply(200, content, "accepted")
        except ApiError as error:
            reply = refusal(error)
        if fault is not None and fault.kind == "hide_order" and call.order_id is not None:
            self._sim.hide(call.order_id, int(fault.params.get("ms", 2000)))
        if fault is not None and fault.kind not in PASSING:
            planned = fault_reply(fault)
            planned.verdict = f"{reply.verdict} {planned.verdict}"
            reply = planned
        self._note(call, reply)
        return reply

    def _admit(self, call: Call) -> Route:
        route = ROUTES.get((call.method, call.path))
        now_ms = self._sim.wall()
        self._limits.use(call.address, route.cost(call.params) if route else 1, now_ms)
        if route is None:
            raise ApiError(-1099, f"Not found: {call.method} {call.path}", 404)
        if route.signed:
            self._authorise(call, now_ms)
        elif call.path.startswith("/api/v3/") and call.path not in KNOWN_WITHOUT_MARKET:
            require_market(self._sim.relay)
        route.check_parameters(call.params)
        return route

    def _authorise(self, call: Call, now_ms: int) -> None:
        if not call.api_key:
            raise ApiError(-2014, "API-key format invalid.", 401)
        found = self._sim.exchange.account_by_key(call.api_key)
        if found is None:
            raise ApiError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        if "timestamp" not in call.params:
            raise missing("timestamp")
        check_signature(call.payload, call.signature, found.api_secret)
        check_timestamp(call.params, now_ms + self._sim.faults.clock_offset_ms)
        call.account = found

    def _headers(self, call: Call) -> dict[str, str]:
        now_ms = self._sim.wall()
        used = str(self._limits.used(call.address, now_ms))
        headers = {
            **self._sim.headers(),
            "X-MBX-USED-WEIGHT": used,
            "X-MBX-USED-WEIGHT-1M": used,
        }
        if call.account is not None and "order" in call.path.lower():
            ten_s, day = self._limits.order_counts(call.account.account_id, now_ms)
            headers["X-MBX-ORDER-COUNT-10S"] = str(ten_s)
            headers["X-MBX-ORDER-COUNT-1D"] = str(day)
        return headers

    def _note(self, call: Call, reply: Reply) -> None:
        entry: dict[str, Any] = {
            "method": call.method,
            "path": call.path,
            "account": self._claimed(call) or None,
            "client_order_id": next((call.params[n] for n in CLIENT_IDS if call.params.get(n)), None),
            "verdict": reply.verdict,
            "status": reply.status,
            "order_id": call.order_id,
            "wall_ms": self._sim.wall(),
            "market_ms": self._sim.clock.now_ms,
        }
        entry |= {name: call.params[name] for name in LOGGED if name in call.params}
        self._sim.commit(entry)


def _executes(fault: Fault) -> bool:
    if fault.kind == "drop_after" or fault.kind in PASSING:
        return True
    return bool(fault.params.get("executed", False)) and fault.kind != "drop_before"


def fault_reply(fault: Fault) -> Reply:
    """Return the answer that a fault puts in place of the true one."""
    params = fault.params
    match fault.kind:
        case "drop_before":
            return Reply(0, None, "dropped before")
        case "drop_after":
            return Reply(0, None, "dropped after")
        case "rate_limit":
            status = int(params.get("status", 429))
            content = {"code": -1003, "msg": "Too many requests; planned by a fault."}
            headers = {"Retry-After": str(params.get("retry_after", 1))}
            return Reply(status, content, f"fault {status}", headers)
        case "binance_error":
            code = int(params["code"])
            usual, text = USUAL.get(code, (400, "Planned."))
            content = {"code": code, "msg": str(params.get("msg", text))}
            return Reply(int(params.get("status", usual)), content, f"fault {content['code']}")
    status = int(params.get("status", 500))
    body = str(params.get("body", "<html><body>Internal error</body></html>"))
    kind = str(params.get("content_type", "text/html"))
    return Reply(status, None, f"fault {status}", raw=body.encode(), content_type=kind)


def _cut(request: web.Request) -> web.StreamResponse:
    """Close the connection without a byte of answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=499)
