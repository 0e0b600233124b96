"""The least that two processes exchange by Redis streams: `python -m bench.echo REDIS_URL` is the other end.

A round trip is one XADD by the asker, read by the other end blocked in XREAD, whose XADD to a second stream
the asker, blocked in XREAD, reads: two writes, two wake-ups, no consumer group, no acknowledgement, a few bytes.
"""

import asyncio
import sys
from typing import Any

import uvloop
from redis.asyncio import Redis

from apps.core.adapters.redis_connection import connect

ASKED, ANSWERED = "bench:asked", "bench:answered"
_BODY = b"x" * 200  # about what a request of the gateway weighs
_BLOCK_MS = 5000


class Echo:
    """The asker's end."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._last: bytes | str = "$"

    async def round_trip(self) -> None:
        """Ask and wait for the echo.

        Raises:
            RuntimeError: the other end does not answer.
        """
        if self._last == "$":  # from the newest answer on, which is nobody's
            self._last = "0"
            await self._redis.delete(ANSWERED)
        await self._redis.xadd(ASKED, {"m": _BODY}, maxlen=100, approximate=True)
        found = _ids(await self._redis.xread({ANSWERED: self._last}, block=_BLOCK_MS))
        if not found:
            raise RuntimeError("bench.echo does not answer")
        self._last = found[-1]


async def serve(redis_url: str) -> None:
    """Answer each question, until killed."""
    redis = connect(redis_url)
    last: bytes | str = "0"
    while True:
        for entry_id in _ids(await redis.xread({ASKED: last}, block=_BLOCK_MS)):
            last = entry_id
            await redis.xadd(ANSWERED, {"m": _BODY}, maxlen=100, approximate=True)


def _ids(answer: Any) -> list[bytes]:
    """Return the ids of the only stream asked for, whatever the protocol's version gave."""
    if not answer:
        return []
    streams = answer.values() if isinstance(answer, dict) else [entries for _, entries in answer]
    found: list[bytes] = []
    for entries in streams:
        groups = entries if entries and isinstance(entries[0], list) else [entries]
        found += [entry_id for group in groups for entry_id, _ in group]
    return found


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as terminal 5's
        runner.run(serve(sys.argv[1]))
