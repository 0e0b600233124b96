"""What follows a call's arrival in the web process: terminal 3 is woken, its owner's browsers see it.

After the answer and never in its way: calls that arrive together are told together, and a flood of them is
shown by its newest.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any, Protocol

import structlog

from apps.webhooks.bodies import iso
from apps.webhooks.models import Webhook
from domain.ports import Publisher

log = structlog.get_logger(__name__)

TOPIC = "webhooks"
_TOGETHER_S = 0.1
_SHOWN = 50


class WakeUp(Protocol):
    """Where terminal 3 waits for calls."""

    async def call(self) -> None: ...


class LiveArrivals:
    """Lives in the web server's event loop; `parts` are made there at the first call."""

    def __init__(self, parts: Callable[[], tuple[Publisher, WakeUp]]) -> None:
        self._parts = parts
        self._made: tuple[Publisher, WakeUp] | None = None
        self._fresh: deque[Webhook] = deque(maxlen=_SHOWN)
        self._telling: asyncio.Task[None] | None = None

    def arrived(self, call: Webhook) -> None:
        """Note a committed call; it is told within a tenth of a second."""
        self._fresh.append(call)
        if self._telling is None or self._telling.done():
            self._telling = asyncio.get_running_loop().create_task(self._tell())

    async def _tell(self) -> None:
        try:
            if self._made is None:
                self._made = self._parts()
            publisher, wake_up = self._made
            while self._fresh:
                await wake_up.call()
                await asyncio.sleep(_TOGETHER_S)  # those that come meanwhile are told with it
                batch = [self._fresh.popleft() for _ in range(len(self._fresh))]
                for user_id, bodies in _by_user(batch).items():
                    await publisher.publish(TOPIC, "calls", {"calls": bodies}, user_id=user_id)
                await wake_up.call()
        except Exception:  # boundary of a task: the rows are committed, terminal 3 looks every second
            log.exception("webhooks.arrival_not_told")


def _by_user(calls: list[Webhook]) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for call in calls:
        found[call.user_id].append(arrival_body(call))
    return found


def arrival_body(call: Webhook) -> dict[str, Any]:
    """Return a call as it arrived, without another look at the database: nobody has read its text yet."""
    return {
        "id": call.id,
        "source": call.origin_id,
        "source_name": call.source,
        "broker_name": "",
        "status": call.status,
        "code": call.code,
        "reason": call.reason,
        "symbol": "",
        "action": "",
        "payload": {},
        "call_id": "",
        "duplicate_of": None,
        "remote_address": call.remote_address,
        "is_test": call.is_test,
        "created_at": iso(call.created_at),
        "processed_at": iso(call.processed_at),
        "left_position": None,
        "trades": [],
    }
