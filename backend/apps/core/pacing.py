"""No socket may keep the event loop for itself: one that says too much is closed, and may come back later."""

import time
from typing import Any

from apps.core.proxies import Application, Scope
from domain.webhooks.rate import Bucket

CLOSE_TOO_MUCH = 4429
# A page says some ten messages a minute; one whose user types and moves orders, some hundred.
PER_MINUTE = 1_200


def paced(application: Application, *, per_minute: int = PER_MINUTE) -> Application:
    """Return the ASGI application that hears so many messages a minute of each socket, and then closes it."""

    async def guarded(scope: Scope, receive: Any, send: Any) -> None:
        bucket = Bucket.full(per_minute, at=time.monotonic())

        async def heard() -> Any:
            message = await receive()
            if message["type"] != "websocket.receive" or bucket.take(at=time.monotonic(), per_minute=per_minute):
                return message
            await send({"type": "websocket.close", "code": CLOSE_TOO_MUCH})
            return {"type": "websocket.disconnect", "code": CLOSE_TOO_MUCH}

        await application(scope, heard, send)

    guarded.application = application  # type: ignore[attr-defined]
    return guarded
