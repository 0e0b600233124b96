"""Trouble on demand: which request or which stream message is to go wrong, and how."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

HTTP_KINDS = (
    "drop_before",  # the connection is cut, the request was not processed
    "drop_after",  # processed, then the connection is cut without an answer
    "delay_before",  # params: ms
    "delay_after",  # processed, answered after params ms
    "http_error",  # params: status (500), body, content_type, executed (false)
    "rate_limit",  # params: status (429 or 418), retry_after (seconds)
    "binance_error",  # params: code, msg, status (both known for usual codes), executed (false)
    "hide_order",  # processed; for params ms the new order is unknown to every question (-2013)
    "refuse_replacement",  # cancelReplace: cancelled, then the new order refused (409/-2021)
)
STREAM_KINDS = (
    "disconnect",
    "stall",  # params: ms of wall time, or messages; nothing is sent, the connection stays
    "drop",
    "duplicate",
    "reorder",  # the message goes out after the next one of its stream
    "malformed",
    "delay",  # params: ms; the message goes out that much later, others pass it
    "wrong_kline",  # params: ratio (1.01) of the close, closed (true: only closed candles)
    "no_pings",  # the server sends no ping, and does not mind
    "refuse",  # the handshake is answered 503
)
OF_CONNECTIONS = ("refuse", "no_pings")
PASSING = ("delay_before", "delay_after", "hide_order", "refuse_replacement")  # the true answer is given
USUAL = {
    -1000: (400, "An unknown error occurred while processing the request."),
    -1001: (400, "Internal error; unable to process your request. Please try again."),
    -1006: (400, "An unexpected response was received from the message bus. Execution status unknown."),
    -1007: (
        400,
        "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
    ),
    -1008: (400, "Server is currently overloaded with other requests. Please try again in a few minutes."),
    -2013: (400, "Order does not exist."),
    -2014: (401, "API-key format invalid."),
    -2015: (401, "Invalid API-key, IP, or permissions for action."),
    -2021: (409, "Order cancel-replace partially failed."),
}


@dataclass
class Fault:
    """One planned trouble.

    It looks at what matches `method`, `path`, `account` (requests) or `stream` (messages; part of
    the name). From the `nth` match on (1 is the first), each match sets it off with
    `probability`, at most `times` times (0: for ever).
    """

    fault_id: int
    kind: str
    method: str = ""
    path: str = ""
    account: str = ""
    stream: str = "@aggTrade"
    nth: int = 1
    times: int = 1
    probability: float = 1.0
    params: Mapping[str, Any] = field(default_factory=dict)
    seen: int = 0
    fired: int = 0

    @property
    def spent(self) -> bool:
        """Tell whether the fault has done all it was to do."""
        return bool(self.times) and self.fired >= self.times

    def describe(self) -> dict[str, Any]:
        """Return the fault as the admin shows it."""
        return {**vars(self), "params": dict(self.params)}


class FaultError(ValueError):
    """A fault was described wrongly."""


class Faults:
    """The faults in force, with a seeded die of their own."""

    def __init__(self, seed: int) -> None:
        self._die = random.Random(f"faults:{seed}")  # noqa: S311 - a repeatable die, no secret
        self._next_id = 1
        self.active: list[Fault] = []
        self.clock_offset_ms = 0

    def add(self, wanted: Mapping[str, Any]) -> Fault:
        """Put a fault in force.

        Raises:
            FaultError: unknown kind or field.
        """
        kind = wanted.get("kind")
        if kind not in HTTP_KINDS + STREAM_KINDS:
            kinds = ", ".join(HTTP_KINDS + STREAM_KINDS)
            raise FaultError(f"unknown fault kind {kind!r}; known: {kinds}")
        allowed = {"kind", "method", "path", "account", "stream", "nth", "times", "probability"}
        unknown = set(wanted) - allowed - {"params"}
        if unknown:
            raise FaultError(f"unknown fault field {', '.join(sorted(unknown))}")
        stream = {"stream": "@kline"} if kind == "wrong_kline" else {}
        fault = Fault(self._next_id, **{**stream, **wanted})
        self._next_id += 1
        self.active.append(fault)
        return fault

    def clear(self) -> None:
        """Forget all faults."""
        self.active.clear()
        self.clock_offset_ms = 0

    def for_request(self, method: str, path: str, account: str) -> Fault | None:
        """Return the fault that this request sets off, if any."""
        for fault in self.active:
            if fault.kind not in HTTP_KINDS or fault.spent:
                continue
            if fault.method and fault.method.upper() != method:
                continue
            if (fault.path and not path.endswith(fault.path)) or (fault.account and fault.account != account):
                continue
            if self._fires(fault):
                return fault
        return None

    def for_message(self, stream: str, text: str = "") -> Fault | None:
        """Return the fault that this stream message sets off, if any."""
        for fault in self.active:
            if fault.kind not in STREAM_KINDS or fault.kind in OF_CONNECTIONS or fault.spent:
                continue
            if fault.kind == "wrong_kline" and fault.params.get("closed", True) and '"x":true' not in text:
                continue
            if fault.stream in stream and self._fires(fault):
                return fault
        return None

    def for_connection(self, kind: str) -> Fault | None:
        """Return the fault that refuses this handshake ("refuse") or keeps this ping ("no_pings")."""
        for fault in self.active:
            if fault.kind == kind and not fault.spent and self._fires(fault):
                return fault
        return None

    def _fires(self, fault: Fault) -> bool:
        fault.seen += 1
        if fault.seen < fault.nth:
            return False
        if fault.probability < 1.0 and self._die.random() >= fault.probability:
            return False
        fault.fired += 1
        return True
