"""Ends a streamed answer when its reader leaves.

Django 4.2 does not listen for the end of a connection while it streams, and Daphne waits ten seconds before it
cancels: a model would go on writing, and costing, for nobody.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

Receive = Callable[[], Awaitable[dict[str, Any]]]
Application = Callable[[dict[str, Any], Receive, Any], Awaitable[None]]


def until_disconnect(application: Application, *, paths: frozenset[str]) -> Application:
    """Return the ASGI application; on these paths it is cancelled as soon as the client is gone."""

    async def watched(scope: dict[str, Any], receive: Receive, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] not in paths:
            await application(scope, receive, send)
            return
        body_read = asyncio.Event()

        async def reading() -> dict[str, Any]:
            message = await receive()
            if message["type"] != "http.request" or not message.get("more_body"):
                body_read.set()
            return message

        answering = asyncio.ensure_future(application(scope, reading, send))
        leaving = asyncio.create_task(_left(receive, body_read))
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone = leaving.done()
            leaving.cancel()
            if not answering.done():
                answering.cancel()
        if gone:
            await asyncio.gather(answering, return_exceptions=True)
        else:
            await answering

    return watched


async def _left(receive: Receive, body_read: asyncio.Event) -> None:
    await body_read.wait()  # until then Django itself reads, and knows
    while (await receive())["type"] != "http.disconnect":
        pass
