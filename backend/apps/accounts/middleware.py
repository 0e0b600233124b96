"""What keeps the list of open sessions true: each use is noted, and a socket ends with its session."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import structlog
from django.db import DatabaseError
from django.utils import timezone

from apps.accounts.services import devices
from apps.core.adapters.database import in_database
from apps.core.adapters.session_ends import EndOfSession
from domain.errors import Unavailable

log = structlog.get_logger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# Not 4401 (« nobody is signed in »): a page whose session got a new key, by a change of password, reconnects
# with it; another page reconnects, and is then told 4401.
CLOSE_SESSION_ENDED = 4408


class SessionUse:
    """Django middleware: notes the use of a session after each call of the API by a signed-in user."""

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self._get_response = get_response

    def __call__(self, request: Any) -> Any:
        response = self._get_response(request)
        if request.path.startswith("/api/") and request.user.is_authenticated and request.session.session_key:
            self._note(request)
        return response

    def _note(self, request: Any) -> None:
        try:
            devices.note_seen(
                request.user,
                request.session.session_key,
                address=request.META.get("REMOTE_ADDR") or None,
                user_agent=request.META.get("HTTP_USER_AGENT", ""),
                now=timezone.now(),
            )
        except DatabaseError as exc:  # the session ended meanwhile, or PostgreSQL is away: the call was answered
            log.warning("session.use_not_noted", error=str(exc))


class OpenSessionOnly:
    """ASGI middleware: closes a socket (code 4408) at the end of the session it was opened with.

    Without it, a session that its user closed elsewhere could go on trading by a socket that is still open. The
    end is told through the Channels layer, at once; the database is asked too from time to time, because what is
    told that way may be lost.
    """

    def __init__(self, inner: Callable[..., Awaitable[None]], *, period_s: float = 5.0) -> None:
        self.inner = inner
        self._period_s = period_s

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        key = scope["session"].session_key if scope["user"].is_authenticated else None
        if key is None:
            await self.inner(scope, receive, send)
            return
        ended = asyncio.Event()
        watch = asyncio.create_task(self._watch(key, ended))
        try:
            await self.inner(scope, lambda: self._receive(receive, send, ended), send)
        finally:
            watch.cancel()

    async def _watch(self, key: str, ended: asyncio.Event) -> None:
        async with EndOfSession(key) as told:
            while not await self._has_ended(key):
                await told.within(self._period_s)
        ended.set()

    async def _has_ended(self, key: str) -> bool:
        try:
            return not await in_database(devices.is_open, key)
        except Unavailable as exc:
            log.warning("session.not_checked", error=exc.message)
            return False

    async def _receive(self, receive: Receive, send: Send, ended: asyncio.Event) -> Message:
        message, end = asyncio.ensure_future(receive()), asyncio.ensure_future(ended.wait())
        try:
            await asyncio.wait({message, end}, return_when=asyncio.FIRST_COMPLETED)
            if not end.done():
                return message.result()
            await send({"type": "websocket.close", "code": CLOSE_SESSION_ENDED})
            return {"type": "websocket.disconnect", "code": CLOSE_SESSION_ENDED}
        finally:
            message.cancel()
            end.cancel()
