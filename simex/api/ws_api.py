"""The WebSocket API at ``/ws-api/v3``, as far as user-data streams need it.

A request is logged like a REST one (method ``WS``, path ``/ws-api/v3/NAME``) and may meet the
same faults.
"""

from typing import Any

import orjson
from aiohttp import WSMessage, WSMsgType

from simex.api.dispatch import fault_reply
from simex.api.signing import check_signature, check_timestamp
from simex.api.ws import Connection
from simex.engine.errors import ApiError, missing
from simex.faults import PASSING
from simex.streams import user_streams

PATH = "/ws-api/v3"
ACTIVE = ApiError(-2035, "User Data Stream subscription already active.")


class ApiConnection(Connection):
    """One client of the WebSocket API."""

    _next_subscription = 0

    async def _on_text(self, message: WSMessage) -> None:
        try:
            wanted = orjson.loads(message.data)
            number, method = wanted.get("id"), str(wanted["method"])
            params = {str(name): str(value) for name, value in (wanted.get("params") or {}).items()}
        except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError):
            error = {"code": -1100, "msg": "Illegal characters found in a parameter."}
            await self._reply({"id": None, "status": 400, "error": error})
            return
        answer = self._answer(method, params)
        if answer is None:
            self._abort()
            return
        await self._reply({"id": number, **answer})

    async def _reply(self, content: dict[str, Any]) -> None:
        await self._socket.send_frame(orjson.dumps(content), WSMsgType.TEXT)

    def _answer(self, method: str, params: dict[str, str]) -> dict[str, Any] | None:
        """Return status and result or error; None when a fault cuts the connection."""
        found = self._sim.exchange.account_by_key(params.get("apiKey", ""))
        account_id = found.account_id if found else ""
        fault = self._sim.faults.for_request("WS", f"{PATH}/{method}", account_id)
        if fault is not None and fault.kind not in PASSING:
            planned = fault_reply(fault)
            self._note(method, account_id, planned.verdict, planned.status)
            return {"status": planned.status, "error": planned.content} if planned.content else None
        try:
            answer: dict[str, Any] = {"status": 200, "result": self._serve_method(method, params)}
            verdict = "accepted"
        except ApiError as error:
            answer = {"status": error.status, "error": {"code": error.code, "msg": error.message}}
            verdict = f"rejected {error.code}"
        self._note(method, account_id, verdict, answer["status"])
        return answer

    def _serve_method(self, method: str, params: dict[str, str]) -> Any:
        match method:
            case "ping":
                return {}
            case "time":
                return {"serverTime": self._now_ms}
            case "userDataStream.subscribe.signature":
                return {"subscriptionId": self._subscribe(params)}
            case "userDataStream.unsubscribe":
                return self._unsubscribe(params.get("subscriptionId"))
            case "session.subscriptions":
                return [{"subscriptionId": one} for one in sorted(set(self._consumer.numbers.values()))]
        raise ApiError(-1020, "This operation is not supported.")

    @property
    def _now_ms(self) -> int:
        return self._sim.wall() + self._sim.faults.clock_offset_ms

    def _subscribe(self, params: dict[str, str]) -> int:
        if "apiKey" not in params:
            raise missing("apiKey")
        found = self._sim.exchange.account_by_key(params["apiKey"])
        if found is None:
            raise ApiError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        if "timestamp" not in params:
            raise missing("timestamp")
        signed = "&".join(f"{name}={params[name]}" for name in sorted(params) if name != "signature")
        check_signature(signed, params.get("signature"), found.api_secret)
        check_timestamp(params, self._now_ms)
        streams = user_streams(found.account_id)
        if streams[0] in self._consumer.numbers:
            raise ACTIVE
        number = self._next_subscription
        self._next_subscription += 1
        self._consumer.numbers.update(dict.fromkeys(streams, number))
        self._sim.hub.subscribe(self._consumer, streams)
        return number

    def _unsubscribe(self, number: str | None) -> dict[str, Any]:
        numbers = self._consumer.numbers
        gone = [name for name, one in numbers.items() if number is None or str(one) == number]
        self._sim.hub.unsubscribe(self._consumer, gone)
        for name in gone:
            del numbers[name]
        return {}

    def _note(self, method: str, account_id: str, verdict: str, status: int) -> None:
        entry = {"method": "WS", "path": f"{PATH}/{method}", "account": account_id or None}
        entry |= {"client_order_id": None, "verdict": verdict, "order_id": None}
        times = {"status": status, "wall_ms": self._sim.wall(), "market_ms": self._sim.clock.now_ms}
        self._sim.commit({**entry, **times})
