"""`/ws/`: one socket per browser, topics to subscribe to, own data only."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer

from apps.core.adapters.browser_events import group_name
from apps.core.services.live_feeds import LiveFeed, Queue
from domain.messages import TOPICS, USER_TOPICS, BrowserEvent

CLOSE_ANONYMOUS = 4401


class EventsConsumer(AsyncJsonWebsocketConsumer):
    """Relays events of the subscribed topics.

    Topics arrive from other terminals through Channels groups (a user's own for the private ones), and from
    the web process's own feeds (`status`, `stream`) while this socket listens.
    """

    def __init__(self, *, feeds: Mapping[str, LiveFeed]) -> None:
        super().__init__()
        self.feeds = feeds
        self.topics: set[str] = set()
        self._relays: dict[str, tuple[Queue, asyncio.Task[None]]] = {}

    async def connect(self) -> None:
        await self.accept()
        if not self.scope["user"].is_authenticated:
            await self.close(code=CLOSE_ANONYMOUS)

    async def disconnect(self, code: int) -> None:
        for topic in tuple(self.topics):
            await self._unsubscribe(topic)

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        if not self.scope["user"].is_authenticated:
            return  # sent before the close reached it
        action = content.get("type") if isinstance(content, dict) else None
        wanted = content.get("topics") if isinstance(content, dict) else None
        if action not in ("subscribe", "unsubscribe") or not isinstance(wanted, list):
            await self._refuse(f"Message refusé : type {action!r}, attendu « subscribe » ou « unsubscribe ».")
            return
        unknown = [topic for topic in wanted if topic not in TOPICS]
        if unknown:
            await self._refuse(f"Abonnement refusé : sujets inconnus {unknown}, connus : {', '.join(TOPICS)}.")
            return
        for topic in wanted:
            await (self._subscribe(topic) if action == "subscribe" else self._unsubscribe(topic))
        await self.send_json({"type": "subscribed", "topics": sorted(self.topics)})

    async def browser_event(self, message: Mapping[str, Any]) -> None:
        """Called by Channels for each event of a group this socket is in."""
        await self.send_json(message["event"])

    async def _subscribe(self, topic: str) -> None:
        if topic in self.topics:
            return
        self.topics.add(topic)
        await self.channel_layer.group_add(self._group(topic), self.channel_name)
        feed = self.feeds.get(topic)
        if feed is not None:
            queue = feed.join()
            self._relays[topic] = (queue, asyncio.create_task(self._relay(topic, queue)))

    async def _unsubscribe(self, topic: str) -> None:
        if topic not in self.topics:
            return
        self.topics.discard(topic)
        relay = self._relays.pop(topic, None)
        if relay is not None:
            queue, task = relay
            self.feeds[topic].leave(queue)
            task.cancel()
        await self.channel_layer.group_discard(self._group(topic), self.channel_name)

    async def _relay(self, topic: str, queue: Queue) -> None:
        while True:
            event_type, body = await queue.get()
            narrow = self.feeds[topic].narrow
            seen = body if narrow is None else await narrow(body, self.scope["user"].pk)
            if seen is None:
                continue
            event = BrowserEvent(topic=topic, type=event_type, data=seen, sent_at=datetime.now(UTC))
            await self.send_json(event.to_wire())

    async def _refuse(self, message: str) -> None:
        await self.send_json({"type": "error", "code": "invalid_message", "message": message})

    def _group(self, topic: str) -> str:
        return group_name(topic, self.scope["user"].pk if topic in USER_TOPICS else None)

    @classmethod
    async def decode_json(cls, text_data: str) -> Any:
        """Malformed JSON is answered like any other refused message, not by closing the socket."""
        try:
            return await super().decode_json(text_data)
        except ValueError:
            return None
