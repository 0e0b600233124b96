"""Bounds what a stranger can make the web server hold: Daphne takes a whole body in before anybody may refuse."""

from io import BytesIO
from typing import Any

from daphne.http_protocol import WebRequest

MAX_BYTES = 4 * 1024 * 1024  # the longest body we take, a strategy's text, is under 1 MiB
_REFUSAL = (
    b"HTTP/1.1 413 Content Too Large\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b'\r\n{"code": "too_long", "message": "Requ\xc3\xaate refus\xc3\xa9e : corps de plus de 4 Mio.", "details": {}}'
)


def install() -> None:
    """Close the connection of a body that is announced, or found, to be too long. Once per process."""
    if getattr(WebRequest, "has_body_limit", False):
        return
    announced, received = WebRequest.gotLength, WebRequest.handleContentChunk

    def got_length(self: Any, length: int | None) -> None:
        self.body_size, self.is_too_long = 0, False
        announced(self, 0 if length is not None and length > MAX_BYTES else length)
        if length is not None and length > MAX_BYTES:
            _turn_away(self)

    def handle_chunk(self: Any, data: bytes) -> None:
        self.body_size += len(data)
        if self.body_size > MAX_BYTES and not self.is_too_long:
            _turn_away(self)
        if not self.is_too_long:
            received(self, data)

    WebRequest.gotLength, WebRequest.handleContentChunk = got_length, handle_chunk
    WebRequest.has_body_limit = True


def _turn_away(request: Any) -> None:
    request.is_too_long = True
    request.content = BytesIO()
    request.channel.transport.write(_REFUSAL)
    request.channel.transport.loseConnection()
