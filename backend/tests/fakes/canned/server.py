"""What every canned server does: listens on a free port, logs requests, plays the trouble it was told to."""

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from tests.fakes.canned.book import Book

KEY, SECRET, PASSPHRASE = "key-of-the-test", "c2VjcmV0LW9mLXRoZS10ZXN0", "phrase-of-the-test"
CREDENTIALS = {"apiKey": KEY, "secret": SECRET, "password": PASSPHRASE}


class Refusal(Exception):
    """The exchange says no: HTTP status and its own body."""

    def __init__(self, body: Any, status: int = 200) -> None:
        super().__init__(str(body))
        self.body, self.status = body, status


@dataclass
class Asked:
    """A request as it came."""

    method: str
    path: str
    query: str
    raw_query: str  # as it came, percent-encoded
    body: str
    headers: Mapping[str, str]

    @property
    def params(self) -> Any:
        """What it carries, whatever the way."""
        if self.method == "GET":
            return dict(parse_qsl(self.query))
        return json.loads(self.body) if self.body.startswith(("{", "[")) else dict(parse_qsl(self.body))


@dataclass
class Trouble:
    """What happens instead of an answer: once, before or after the exchange did its work."""

    status: int = 200
    text: str = ""
    after: bool = False
    cut: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


class CannedServer:
    """Subclasses say which routes they have, how a request is signed and how an answer is wrapped."""

    def __init__(self) -> None:
        self.url = ""
        self.reset()

    def reset(self) -> None:
        """Begin anew: a fresh account on a fresh market, nothing asked."""
        self.book = self.new_book()
        self.asked: list[Asked] = []
        self.trouble: dict[str, list[Trouble]] = {}

    def new_book(self) -> Book:
        return Book()

    def sent(self, path: str) -> list[Any]:
        """Return what was posted to a route, oldest first."""
        return [each.params for each in self.asked if each.path == path and each.method == "POST"]

    def disturb(self, path: str, **facts: Any) -> None:
        self.trouble.setdefault(path, []).append(Trouble(**facts))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["CannedServer"]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    def check_signature(self, asked: Asked) -> None:
        """Raise Refusal unless the request is signed as the exchange wants."""
        raise NotImplementedError

    def answer(self, asked: Asked) -> Any:
        """Return the body of an answer. Raises Refusal."""
        raise NotImplementedError

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        asked = Asked(
            method=request.method,
            path=request.path,
            query=request.query_string,
            raw_query=request.rel_url.raw_query_string,
            body=(await request.read()).decode(),
            headers=request.headers,
        )
        self.asked.append(asked)
        planned = self.trouble.get(asked.path) or []
        trouble = planned.pop(0) if planned else None
        if trouble is not None and not trouble.after:
            return await self._play(trouble, request)
        try:
            self.check_signature(asked)
            body, status = self.answer(asked), 200
        except Refusal as refusal:
            body, status = refusal.body, refusal.status
        if trouble is not None:
            return await self._play(trouble, request)
        return web.json_response(body, status=status)

    async def _play(self, trouble: Trouble, request: web.Request) -> web.StreamResponse:
        if trouble.cut and request.transport is not None:
            request.transport.abort()
        kind = "application/json" if trouble.text.startswith("{") else "text/html"
        return web.Response(
            status=trouble.status, text=trouble.text, content_type=kind, headers=dict(trouble.headers)
        )
