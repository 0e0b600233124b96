"""Publishes events to browsers through Channels groups (at most once: a missed event is refetched)."""

from collections.abc import Mapping
from typing import Any

import structlog
from channels.layers import get_channel_layer
from redis.exceptions import RedisError

from apps.core.adapters.redis_connection import end_if_cancelled
from domain.messages import BrowserEvent
from domain.ports import Clock

log = structlog.get_logger(__name__)


def group_name(topic: str, user_id: int | None = None) -> str:
    """Return the Channels group of a topic, of one user when given."""
    return f"topic.{topic}" if user_id is None else f"topic.{topic}.user.{user_id}"


class ChannelsPublisher:
    """The `Publisher` port over the Channels layer. Never fails: what a page missed, it refetches."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def publish(
        self, topic: str, event_type: str, data: Mapping[str, Any], *, user_id: int | None = None
    ) -> None:
        event = BrowserEvent(topic=topic, type=event_type, data=data, sent_at=self._clock.now())
        layer = get_channel_layer()
        try:
            await layer.group_send(group_name(topic, user_id), {"type": "browser.event", "event": event.to_wire()})
        except (RedisError, OSError) as exc:
            log.warning("browser_events.not_sent", topic=topic, type=event_type, error=str(exc))
        end_if_cancelled()
