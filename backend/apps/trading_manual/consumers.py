"""`/ws/trading/`: the manual terminal's socket. Requests get one reply each; events of the chosen broker follow.

Requests are carried out side by side, at most `MAX_IN_FLIGHT` of a socket at once, so that one that waits for
a slow exchange holds up no other. Reads end with the socket. Writes run to their end: their reply is kept, and
the same request asked again on the next socket gets it.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson
import structlog
from channels.generic.websocket import AsyncWebsocketConsumer

from apps.core.adapters.browser_events import group_name
from apps.core.adapters.database import read_database
from apps.core.consumers import CLOSE_ANONYMOUS
from apps.core.services import market_interest
from apps.trading_manual import requests
from apps.trading_manual.requests import KINDS, Kind, Params, Read
from apps.trading_manual.services.replies import Reply
from apps.trading_manual.services.sign_in import still_signed_in
from apps.trading_manual.services.terminal import Terminal
from apps.trading_manual.watching import Renew, Watching
from domain.errors import AristobotError, Conflict

log = structlog.get_logger(__name__)

SIGNED_OUT = "signed_out"
MAX_IN_FLIGHT = 16
MAX_MESSAGE = 16_384  # characters; the longest request is a submission with its token, under 2,000
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

# Writes whose socket is gone: kept here until they end, so that nobody collects them.
_running_writes: set[asyncio.Task[None]] = set()


class TerminalConsumer(AsyncWebsocketConsumer):
    """One browser page.

    Args:
        terminal: gives the process's terminal, in the event loop where it is used.
        renew: keeps the live feed of the market on screen running.
    """

    def __init__(self, *, terminal: Callable[[], Terminal], renew: Renew = market_interest.renew) -> None:
        super().__init__()
        self._terminal = terminal
        self._renew = renew
        self._reads: set[asyncio.Task[None]] = set()
        self._in_flight = 0
        self._is_open = False
        self._selecting = asyncio.Lock()
        self._watching: Watching | None = None

    async def connect(self) -> None:
        await self.accept()
        if not self.scope["user"].is_authenticated:
            await self.close(code=CLOSE_ANONYMOUS)
            return
        self._is_open = True
        await self.channel_layer.group_add(self._orders_group, self.channel_name)

    async def disconnect(self, code: int) -> None:
        if not self._is_open:
            return
        self._is_open = False
        for task in tuple(self._reads):
            task.cancel()
        await self._leave()
        await self.channel_layer.group_discard(self._orders_group, self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if not self._is_open:
            return  # sent before the close reached it
        content = requests.parse(text_data) if text_data is not None and len(text_data) <= MAX_MESSAGE else None
        request_id = None if content is None else content.get("request_id")
        if content is None or not isinstance(request_id, str) or not _REQUEST_ID.fullmatch(request_id):
            await self._refuse(None, "invalid_message", "Message refusé : objet JSON avec « request_id » attendu.")
            return
        kind = KINDS.get(str(content.get("type")))
        if kind is None:
            message = f"Requête refusée : type « {str(content.get('type'))[:40]} » inconnu ; connus : "
            await self._refuse(request_id, "unknown_type", message + ", ".join(KINDS) + ".")
            return
        if self._in_flight >= MAX_IN_FLIGHT:
            message = f"Trop de requêtes à la fois ({MAX_IN_FLIGHT} en cours) : attendre une réponse."
            await self._refuse(request_id, "too_many_requests", message)
            return
        self._start(kind, request_id, content)

    async def browser_event(self, message: Mapping[str, Any]) -> None:
        """Called by Channels for each event of the user's orders."""
        if self._watching is not None:
            await self._watching.order_event(message["event"])

    async def market_event(self, message: Mapping[str, Any]) -> None:
        """Called by Channels for each event of the market on screen."""
        if self._watching is not None:
            await self._watching.market_event(message["event"])

    def _start(self, kind: Kind, request_id: str, content: Params) -> None:
        self._in_flight += 1
        tasks = self._reads if kind.write is None else _running_writes
        task = asyncio.create_task(self._serve(kind, request_id, content), name=f"terminal.{content['type']}")
        tasks.add(task)
        task.add_done_callback(lambda done: self._ended(tasks, done))

    def _ended(self, tasks: "set[asyncio.Task[None]]", done: "asyncio.Task[None]") -> None:
        tasks.discard(done)
        self._in_flight -= 1

    async def _serve(self, kind: Kind, request_id: str, content: Params) -> None:
        try:
            reply = await self._reply(kind, request_id, content)
        except AristobotError as refusal:
            reply = Reply(False, refusal.as_dict())
        except Exception as exc:  # a request's boundary: one failure must not end the socket
            log.error("terminal.request_failed", type=content["type"], user_id=self._user_id, exc_info=exc)
            message = f"Requête « {content['type']} » : erreur interne du serveur, voir le journal."
            reply = Reply(False, {"code": "internal_error", "message": message, "details": {}})
        await self._answer(request_id, reply)
        if reply.body.get("code") == SIGNED_OUT and self._is_open:
            await self.close(code=CLOSE_ANONYMOUS)

    async def _reply(self, kind: Kind, request_id: str, content: Params) -> Reply:
        params = requests.checked(kind, content)
        if kind.write is not None:
            await self._check_sign_in()
            asked = requests.asked(self._user_id, request_id, content)
            return await kind.write(self._terminal(), asked, params)
        if kind.read is None:
            raise RuntimeError(f"nothing carries out {content['type']!r}")
        if content["type"] == "select":
            async with self._selecting:  # one after the other: the last one asked for stays
                return Reply(True, await self._select(kind.read, params))
        return Reply(True, await kind.read(self._terminal(), self._user_id, params))

    async def _select(self, read: Read, params: Params) -> Mapping[str, Any]:
        """Follow another broker, symbol or timeframe; an impossible choice leaves the former one."""
        terminal = self._terminal()
        selection = await requests.selection(self._user_id, params)
        data = await read(terminal, self._user_id, params)
        await self._leave()
        if not self._is_open:
            return data  # closed while the choice was being read
        self._watching = Watching(selection, terminal, renew=self._renew, send=self._send)
        if selection.group is not None:
            await self.channel_layer.group_add(selection.group, self.channel_name)
        self._watching.start()
        return data

    async def _leave(self) -> None:
        left, self._watching = self._watching, None
        if left is None:
            return
        left.stop()
        if left.selection.group is not None:
            await self.channel_layer.group_discard(left.selection.group, self.channel_name)

    async def _check_sign_in(self) -> None:
        key = getattr(self.scope.get("session"), "session_key", None)
        if not key or not await read_database(still_signed_in, self._user_id, key):
            raise Conflict("Rien n'a été fait : la session est terminée, se reconnecter.", code=SIGNED_OUT)

    async def _refuse(self, request_id: str | None, code: str, message: str) -> None:
        await self._answer(request_id, Reply(False, {"code": code, "message": message, "details": {}}))

    async def _answer(self, request_id: str | None, reply: Reply) -> None:
        part = "data" if reply.ok else "error"
        await self._send({"request_id": request_id, "ok": reply.ok, part: reply.body})

    async def _send(self, message: Mapping[str, Any]) -> None:
        if self._is_open:
            await self.send(text_data=orjson.dumps(message).decode())

    @property
    def _user_id(self) -> int:
        return int(self.scope["user"].pk)

    @property
    def _orders_group(self) -> str:
        return group_name("orders", self._user_id)
