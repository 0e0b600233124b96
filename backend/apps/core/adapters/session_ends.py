"""Tells the sockets of a session that it has ended, in whichever process they are (at most once: they look too)."""

import asyncio
import hashlib
from types import TracebackType
from typing import Any

import structlog
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

_AWAY = (RedisError, OSError)


def tell(session_key: str) -> None:
    """Say that the session has ended. Never fails: whoever missed it finds out by himself."""
    try:
        async_to_sync(get_channel_layer().group_send)(_group(session_key), {"type": "session.ended"})
    except _AWAY as exc:
        log.warning("session_ends.not_told", error=str(exc))


class EndOfSession:
    """Waits for what `tell` says. While Redis is away, it only waits."""

    def __init__(self, session_key: str) -> None:
        self._group = _group(session_key)
        self._layer = get_channel_layer()
        self._channel = ""
        self._message: asyncio.Task[Any] | None = None

    async def __aenter__(self) -> "EndOfSession":
        try:
            self._channel = await self._layer.new_channel()
            await self._layer.group_add(self._group, self._channel)
            self._message = asyncio.create_task(self._layer.receive(self._channel))
        except _AWAY as exc:
            log.warning("session_ends.not_listening", error=str(exc))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._message is not None:
            self._message.cancel()  # the layer forgets the channel
        try:
            await self._layer.group_discard(self._group, self._channel)
        except _AWAY as lost:
            log.warning("session_ends.not_left", error=str(lost))

    async def within(self, seconds: float) -> None:
        """Return when the end is told, or after this time. Told once, it is not waited for again."""
        if self._message is None:
            await asyncio.sleep(seconds)
            return
        told, _ = await asyncio.wait({self._message}, timeout=seconds)
        if told:
            self._message = None


def _group(session_key: str) -> str:
    return f"session.{hashlib.sha256(session_key.encode()).hexdigest()[:32]}"  # not the key itself
