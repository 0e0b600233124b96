"""`POST /api/webhooks/in/<token>/`: the one address that strangers may call.

An ASGI application in front of Django: a call costs one committed row and no session, no cookie, no form
token. Whoever has no right to an address gets the same 404 after the same work, whatever is wrong with it
(unknown, former, revoked, disabled, called from elsewhere): refusals are written down after the answer left.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import orjson
import structlog

from apps.core.tracing import webhook_trace
from apps.webhooks.gate import DatabaseDown, Gate, TurnedAway
from apps.webhooks.models import Webhook
from apps.webhooks.services import reception
from apps.webhooks.services.reception import Arrival
from domain.ports import Clock
from domain.webhooks.origins import Network, caller
from domain.webhooks.parse import MAX_BYTES

log = structlog.get_logger(__name__)

PREFIX = "/api/webhooks/in/"
_ANSWER_WITHIN_S = 2.5  # TradingView gives up after 3 s
_MOST_AT_ONCE = 256  # beyond it calls are told to come back rather than queued
_ANSWERS = {
    404: ("not_found", "Adresse inconnue."),
    405: ("method_not_allowed", "Cette adresse reçoit des messages par POST."),
    413: ("too_long", "Message trop long."),
    429: ("too_many", "Trop d'appels : réessayer plus tard."),
    503: (
        "unavailable",
        "Appel peut-être non enregistré : le renvoyer (le même « id » n'est exécuté qu'une fois).",
    ),
}

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class Threads(Protocol):
    """Runs ORM functions in threads that keep their connection."""

    async def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any: ...


class Arrivals(Protocol):
    """Is told of committed calls, after the answer. Must not block."""

    def arrived(self, call: Webhook) -> None: ...


class WebhookDoor:
    """The ASGI application. Lives in one event loop.

    Args:
        trusted_proxies: whose X-Forwarded-For is believed.
    """

    def __init__(
        self,
        *,
        gate: Gate,
        database: Threads,
        arrivals: Arrivals,
        clock: Clock,
        trusted_proxies: Sequence[Network] = (),
    ) -> None:
        self._gate = gate
        self._database = database
        self._arrivals = arrivals
        self._clock = clock
        self._trusted = trusted_proxies
        self._inside = 0
        self._later: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one call."""
        if scope["method"] != "POST":
            await _refuse(send, 405)
        elif self._inside >= _MOST_AT_ONCE:
            await _refuse(send, 503)
        else:
            self._inside += 1
            try:
                await self._answer(scope, receive, send)
            finally:
                self._inside -= 1

    async def _answer(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                body = await _body(receive)
                if body is None:
                    return
                call = reception.arrival(body, remote_address=self._caller(scope), received_at=self._clock.now())
                outcome = await self._database.run(self._gate.receive, _token(scope), call)
        except (*DatabaseDown, TimeoutError) as exc:
            log.error("webhooks.not_kept", error=str(exc).strip() or type(exc).__name__)
            await _refuse(send, 503)
            return
        if isinstance(outcome, TurnedAway):
            await _refuse(send, outcome.status)
            self._write_down(outcome, call)
            return
        await _send(send, 202, {"status": "accepted", "id": str(outcome.reference)})
        log.info(
            "webhooks.received",
            user_id=outcome.user_id,
            trace_id=webhook_trace(outcome.id),
            webhook_id=outcome.id,
            source_id=outcome.origin_id,
        )
        self._arrivals.arrived(outcome)

    def _caller(self, scope: Mapping[str, Any]) -> str:
        peer = (scope.get("client") or ("", 0))[0]
        forwarded = ",".join(
            value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"
        )
        return caller(peer, forwarded, self._trusted)

    def _write_down(self, refused: TurnedAway, call: Arrival) -> None:
        if refused.address is None:
            return
        log.warning(
            "webhooks.turned_away",
            user_id=refused.address.user_id,
            source_id=refused.address.source_id,
            code=refused.code,
            remote_address=call.remote_address,
        )
        task = asyncio.get_running_loop().create_task(self._keep_refused(refused, call))
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _keep_refused(self, refused: TurnedAway, call: Arrival) -> None:
        try:
            row = await self._database.run(self._gate.write_down, refused, call)
        except Exception:  # boundary of a task: the caller has his answer
            log.exception("webhooks.refusal_not_kept")
            return
        if row is not None:
            self._arrivals.arrived(row)


def _token(scope: Mapping[str, Any]) -> str:
    path: str = scope["path"]
    return path.removeprefix(PREFIX).strip("/")


async def _body(receive: Receive) -> bytes | None:
    """Read the body, a little more than the limit at most; None when the caller hung up before its end."""
    parts: list[bytes] = []
    size = 0
    while size <= MAX_BYTES:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if not message.get("more_body"):
            break
    return b"".join(parts)


async def _refuse(send: Send, status: int) -> None:
    code, message = _ANSWERS[status]
    await _send(send, status, {"code": code, "message": message, "details": {}})


async def _send(send: Send, status: int, body: Mapping[str, Any]) -> None:
    text = orjson.dumps(body)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(text)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})
