"""A local HTTP server in a thread: answers by a function, remembers what it was asked."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class Reply:
    status: int = 200
    body: Any = None  # JSON, bytes as they are, or an iterator of bytes: a stream
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class LocalServer:
    """`answer` may be replaced at any time; it may block, to be slow. `left`: a client went away in a stream."""

    url: str
    answer: Callable[[Asked], Reply]
    asked: list[Asked] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)


class Cut(Exception):
    """Raised by a stream: the connection ends there, in the middle of the answer."""


def _named(headers: Any) -> dict[str, str]:
    return {name.title(): value for name, value in headers.items()}  # clients write them in any case


@contextmanager
def local_server(answer: Callable[[Asked], Reply]) -> Iterator[LocalServer]:
    """Serve on a free port of 127.0.0.1 until the block ends."""
    state = LocalServer("", answer)

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = Asked(self.command, self.path, _named(self.headers), json.loads(raw) if raw else None)
            state.asked.append(asked)
            reply = state.answer(asked)
            if isinstance(reply.body, Iterator):
                self._stream(reply)
                return
            payload = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            try:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)
            except (BrokenPipeError, ConnectionResetError):
                return  # the client gave up, as some tests want

        def _stream(self, reply: Reply) -> None:
            self.close_connection = True
            self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n")
            for name, value in {"Content-Type": "text/event-stream", **reply.headers}.items():
                self.wfile.write(f"{name}: {value}\r\n".encode())
            self.wfile.write(b"\r\n")
            try:
                for piece in reply.body:
                    self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                self.wfile.write(b"0\r\n\r\n")
            except Cut:
                return
            except (BrokenPipeError, ConnectionResetError):
                state.left.set()

        do_GET = do_POST = _handle

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
