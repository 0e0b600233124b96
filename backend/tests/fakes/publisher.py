"""A publisher that remembers what was published."""

from collections.abc import Mapping
from typing import Any


class FakePublisher:
    def __init__(self) -> None:
        self.events: list[tuple[str, str, dict[str, Any], int | None]] = []

    async def publish(
        self, topic: str, event_type: str, data: Mapping[str, Any], *, user_id: int | None = None
    ) -> None:
        self.events.append((topic, event_type, dict(data), user_id))
