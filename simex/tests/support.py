"""A simex in the test's own process, and clients to talk to it."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import orjson
import pytest
from aiohttp import web

from simex.accounts import BUILT_IN
from simex.api.signing import sign
from simex.app import make_app
from simex.options import Options
from simex.simulation import Simulation

ALICE, BOB = BUILT_IN
START_MS = 1_520_000_000_000 // 60_000 * 60_000  # 2018-03-02: near the epoch, quick to reach
WITHIN_S = 30.0
ROOT = Path(__file__).resolve().parents[2]


def recording(name: str) -> Path:
    """Return a recorded file, or skip the test saying what is missing."""
    folder = Path(os.environ.get("ARISTOBOT_TEST_DATA", ROOT / ".." / "shared" / "data"))
    path = folder / name
    if not path.is_file():
        pytest.skip(f"recording {name} absent: looked in ../shared/data and ARISTOBOT_TEST_DATA")
    return path


def stepped(**changes: Any) -> Options:
    """Return options of a market moved by hand from a fixed start."""
    return Options(**{"speed": "step", "start_ms": START_MS, **changes})


@dataclass
class Answer:
    """Status, headers and JSON (or text) of an HTTP answer."""

    status: int
    headers: Any
    body: Any


@dataclass
class Client:
    """A client of one account."""

    url: str
    session: aiohttp.ClientSession
    key: str = ALICE.api_key
    secret: str = ALICE.api_secret

    async def call(self, method: str, path: str, **params: Any) -> Answer:
        """Send an unsigned request."""
        return await self._send(method, f"{path}?{urlencode(params)}" if params else path, None)

    async def signed(self, method: str, path: str, **params: Any) -> Answer:
        """Send a signed request, in the body when it is a POST."""
        values = {"timestamp": time.time_ns() // 1_000_000, **params}
        text = urlencode(values)
        text += f"&signature={sign(text, self.secret)}"
        if method == "POST":
            return await self._send(method, path, text)
        return await self._send(method, f"{path}?{text}", None)

    async def order(self, side: str, kind: str, symbol: str = "BTCUSDT", **params: Any) -> Answer:
        """Place an order."""
        return await self.signed("POST", "/api/v3/order", symbol=symbol, side=side, type=kind, **params)

    async def admin(self, name: str, **content: Any) -> Any:
        """POST to the admin and return the JSON."""
        async with self.session.post(f"{self.url}/__sim/{name}", data=orjson.dumps(content)) as got:
            return orjson.loads(await got.read())

    async def ask(self, name: str, /, **params: Any) -> Any:
        """GET from the admin and return the JSON."""
        query = f"?{urlencode(params)}" if params else ""
        return (await self._send("GET", f"/__sim/{name}{query}", None)).body

    def other(self, key: str, secret: str) -> "Client":
        """Return a client of another account."""
        return Client(self.url, self.session, key, secret)

    async def _send(self, method: str, target: str, body: str | None) -> Answer:
        headers = {"X-MBX-APIKEY": self.key}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        sending = self.session.request(method, self.url + target, data=body, headers=headers)
        async with sending as got:
            raw = await got.read()
            is_json = "json" in got.headers.get("Content-Type", "")
            return Answer(got.status, got.headers, orjson.loads(raw) if is_json else raw.decode())


@asynccontextmanager
async def serving(sim: Simulation) -> AsyncIterator[Client]:
    """Serve a simulation on a free port."""
    runner = web.AppRunner(make_app(sim), shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    timeout = aiohttp.ClientTimeout(total=WITHIN_S)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            yield Client(f"http://{host}:{port}", session)
    finally:
        await runner.cleanup()


@asynccontextmanager
async def running(options: Options) -> AsyncIterator[Client]:
    """Run a simex with these options."""
    async with serving(Simulation(options)) as client:
        yield client


async def messages(socket: aiohttp.ClientWebSocketResponse, count: int, kind: str = "") -> list[dict[str, Any]]:
    """Read stream messages, of one kind when given, until there are `count` of them."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(WITHIN_S):
        while len(found) < count:
            message = orjson.loads(await socket.receive_str())
            content = message.get("data", message)
            if not kind or content.get("e") == kind:
                found.append(content)
    return found
