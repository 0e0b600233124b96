"""The market streams: ``/ws/<stream>`` and ``/stream?streams=a/b``."""

import asyncio
import contextlib
import re
import time
from typing import Any

import orjson
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from simex.depth_streams import is_depth_stream
from simex.market.klines import INTERVALS
from simex.simulation import Simulation
from simex.streams import Consumer

PING_EVERY_S = 20.0
PONG_WITHIN_S = 60.0
LIFE_S = 24 * 3600.0
INCOMING_PER_S = 5
MOST_STREAMS = 1024
BATCH = 200
MOST_UNSENT = 262_144  # bytes the system has not taken: the consumer does not read
UNSENT_WAIT_S = 0.002
KINDS = ("trade", "aggTrade", "bookTicker", "miniTicker", "ticker")
NAME = re.compile(r"^([a-z0-9]+)@([A-Za-z]+)(?:_(\w+))?$")


def is_stream(sim: Simulation, name: str) -> bool:
    """Tell whether a stream exists here."""
    if name.partition("@")[0].upper() not in sim.rules:
        return False
    if is_depth_stream(name):
        return True
    match = NAME.match(name)
    if match is None:
        return False
    kind, interval = match.group(2), match.group(3)
    return interval in INTERVALS if kind == "kline" else kind in KINDS and interval is None


def text_frame(text: bytes) -> bytes:
    """Return a server's unmasked, uncompressed text frame (RFC 6455, 5.2)."""
    size = len(text)
    if size < 126:
        return bytes((0x81, size)) + text
    if size < 65_536:
        return bytes((0x81, 126)) + size.to_bytes(2, "big") + text
    return bytes((0x81, 127)) + size.to_bytes(8, "big") + text


class StreamServer:
    """Serves WebSocket connections, each by a `Connection` or one of its kinds."""

    def __init__(self, sim: Simulation, kind: "type[Connection] | None" = None) -> None:
        self._sim = sim
        self._kind = kind or Connection

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection until it ends."""
        headers = self._sim.headers()
        if self._sim.faults.for_connection("refuse") is not None:
            return web.Response(status=503, headers=headers)
        wrapped = request.path.startswith("/stream")
        text = request.query.get("streams", "") if wrapped else request.match_info.get("tail", "")
        names = [name for name in text.split("/") if name]
        if len(names) > MOST_STREAMS:
            return web.Response(status=400, headers=headers)
        socket = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=65_536)
        socket.headers.update(headers)
        await socket.prepare(request)
        await self._kind(self._sim, socket, request, wrapped).serve(names)
        return socket


class Connection:
    """One client: its subscriptions, its queue, its pings."""

    def __init__(self, sim: Simulation, socket: web.WebSocketResponse, request: web.Request, wrapped: bool) -> None:
        self._sim = sim
        self._socket = socket
        self._request = request
        self._consumer = Consumer(wrapped, self._abort)
        self._pong_at = time.monotonic()
        self._incoming: list[float] = []

    async def serve(self, names: list[str]) -> None:
        """Send what is subscribed and listen until either side leaves."""
        self._listen_to([name for name in names if is_stream(self._sim, name)])
        tasks = [asyncio.create_task(self._send()), asyncio.create_task(self._ping())]
        try:
            await self._receive()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._sim.hub.remove(self._consumer)

    def _listen_to(self, names: list[str]) -> None:
        self._sim.hub.subscribe(self._consumer, names)
        self._sim.depth.begin(names, self._sim.wall())

    def _abort(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()

    async def _send(self) -> None:
        """Send what waits, many frames in one write: one write each costs ten times as much."""
        consumer = self._consumer
        with contextlib.suppress(ConnectionError):
            while True:
                await consumer.more.wait()
                consumer.more.clear()
                while consumer.waiting:
                    last = await self._write_all_but_last()
                    await self._socket.send_frame(last, WSMsgType.TEXT)
                    self._sim.hub.sent(consumer)

    async def _write_all_but_last(self) -> bytes:
        waiting, transport = self._consumer.waiting, self._request.transport
        texts = [waiting.popleft().encode() for _ in range(min(BATCH, len(waiting)))]
        if transport is None or transport.is_closing():
            raise ConnectionResetError
        transport.write(b"".join(text_frame(text) for text in texts[:-1]))
        while transport.get_write_buffer_size() > MOST_UNSENT:  # noqa: ASYNC110
            await asyncio.sleep(UNSENT_WAIT_S)  # asyncio gives no event for a buffer's size
        return texts[-1]

    async def _ping(self) -> None:
        born = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while True:
                await asyncio.sleep(PING_EVERY_S)
                now = time.monotonic()
                if now - self._pong_at > PONG_WITHIN_S or now - born > LIFE_S:
                    self._abort()
                    return
                if self._sim.faults.for_connection("no_pings") is not None:
                    self._pong_at = now  # none is asked for, so none is missed
                    continue
                await self._socket.ping(str(self._sim.wall()).encode())

    async def _receive(self) -> None:
        async for message in self._socket:
            if message.type == WSMsgType.PING:
                await self._socket.pong(message.data)
            elif message.type == WSMsgType.PONG:
                self._pong_at = time.monotonic()
            elif message.type == WSMsgType.TEXT:
                await self._on_text(message)
            if self._too_fast():
                await self._socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"Too many requests")
                return

    def _too_fast(self) -> bool:
        now = time.monotonic()
        self._incoming = [at for at in self._incoming if now - at < 1.0] + [now]
        return len(self._incoming) > INCOMING_PER_S

    async def _on_text(self, message: WSMessage) -> None:
        try:
            wanted = orjson.loads(message.data)
            answer = self._command(wanted)
        except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError):
            answer = {"error": {"code": 3, "msg": "Invalid JSON"}}
        await self._socket.send_frame(orjson.dumps(answer), WSMsgType.TEXT)

    def _command(self, wanted: dict[str, Any]) -> dict[str, Any]:
        method, names, number = wanted["method"], wanted.get("params", []), wanted.get("id")
        hub, consumer = self._sim.hub, self._consumer
        if method == "LIST_SUBSCRIPTIONS":
            return {"result": sorted(consumer.streams), "id": number}
        if method not in ("SUBSCRIBE", "UNSUBSCRIBE"):
            return {"error": {"code": 2, "msg": "Invalid request: unknown variant"}, "id": number}
        known = [name for name in names if is_stream(self._sim, name)]
        if method == "UNSUBSCRIBE":
            hub.unsubscribe(consumer, known)
        elif len(consumer.streams) + len(known) > MOST_STREAMS:
            return {"error": {"code": 2, "msg": "Too many streams"}, "id": number}
        else:
            self._listen_to(known)
        return {"result": None, "id": number}
