"""The lines as they are written, for who follows them; read once for all of this process's sockets."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from apps.core.adapters.database import in_database
from apps.core.logs.reading import Tail
from apps.core.services.live_feeds import Event
from apps.journal.selectors import folder, viewer_of

_PERIOD_S = 0.3
_MOST_AT_ONCE = 300


async def follow() -> AsyncIterator[Event]:
    """Yield what the terminals write, in batches."""
    tail = await asyncio.to_thread(Tail, folder())
    while True:
        await asyncio.sleep(_PERIOD_S)
        lines = await asyncio.to_thread(tail.new)
        if lines:
            yield "lines", {"lines": lines[-_MOST_AT_ONCE:], "dropped": max(0, len(lines) - _MOST_AT_ONCE)}


async def narrowed(batch: Mapping[str, Any], user_id: int) -> Mapping[str, Any] | None:
    """Return what a user may see of a batch, None when that is nothing."""
    viewer = await in_database(viewer_of, user_id)
    lines = [shown for line in batch["lines"] if (shown := viewer.shown(line)) is not None]
    return {"lines": lines, "dropped": batch["dropped"]} if lines else None
