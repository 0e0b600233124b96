"""The browser's socket: who may listen, what is relayed, what is refused."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import AnonymousUser

from apps.core.adapters.browser_events import ChannelsPublisher
from apps.core.adapters.clock import SystemClock
from apps.core.consumers import EventsConsumer
from apps.core.pacing import CLOSE_TOO_MUCH, paced
from apps.core.services.live_feeds import Event, LiveFeed

# A consumer looks at the thread's database connections after each message, whoever left them there.
pytestmark = pytest.mark.django_db(transaction=True)


class SomeUser:
    is_authenticated = True

    def __init__(self, pk: int) -> None:
        self.pk = pk


def socket(user: Any, feeds: dict[str, LiveFeed] | None = None) -> WebsocketCommunicator:
    communicator = WebsocketCommunicator(EventsConsumer.as_asgi(feeds=feeds or {}), "/ws/")
    communicator.scope["user"] = user
    return communicator


async def subscribed(user: Any, topics: list[str], feeds: dict[str, LiveFeed] | None = None) -> Any:
    communicator = socket(user, feeds)
    assert (await communicator.connect())[0]
    await communicator.send_json_to({"type": "subscribe", "topics": topics})
    assert await communicator.receive_json_from(timeout=5) == {"type": "subscribed", "topics": sorted(topics)}
    return communicator


async def test_anonymous_socket_is_closed_with_its_code() -> None:
    communicator = socket(AnonymousUser())
    await communicator.connect()
    closing = await communicator.receive_output(5)
    assert (closing["type"], closing["code"]) == ("websocket.close", 4401)
    await communicator.disconnect()


async def test_event_reaches_subscribers_of_its_topic_only() -> None:
    listener = await subscribed(SomeUser(1), ["heartbeat"])
    other = await subscribed(SomeUser(2), ["orders"])
    await ChannelsPublisher(SystemClock()).publish("heartbeat", "candle", {"timeframe": "1m"})
    event = await listener.receive_json_from(timeout=5)
    assert (event["v"], event["topic"], event["type"]) == (1, "heartbeat", "candle")
    assert event["data"] == {"timeframe": "1m"}
    assert await other.receive_nothing(timeout=0.2)
    await listener.disconnect()
    await other.disconnect()


async def test_private_event_reaches_its_user_only() -> None:
    mine = await subscribed(SomeUser(1), ["orders"])
    theirs = await subscribed(SomeUser(2), ["orders"])
    await ChannelsPublisher(SystemClock()).publish("orders", "trade", {"id": 7}, user_id=1)
    assert (await mine.receive_json_from(timeout=5))["data"] == {"id": 7}
    assert await theirs.receive_nothing(timeout=0.2)
    await mine.disconnect()
    await theirs.disconnect()


@pytest.mark.parametrize("text", ["{", "[]", '{"type": "subscribe"}', '{"type": "subscribe", "topics": ["tout"]}'])
async def test_malformed_message_is_answered_in_french_and_the_socket_lives(text: str) -> None:
    communicator = socket(SomeUser(1))
    await communicator.connect()
    await communicator.send_to(text_data=text)
    refusal = await communicator.receive_json_from(timeout=5)
    assert refusal["type"] == "error"
    assert "refusé" in refusal["message"]
    await communicator.send_json_to({"type": "subscribe", "topics": ["bots"]})
    assert (await communicator.receive_json_from(timeout=5))["topics"] == ["bots"]
    await communicator.disconnect()


async def test_feed_starts_with_its_first_listener_and_stops_with_its_last() -> None:
    stopped = asyncio.Event()
    starts = 0

    async def source() -> AsyncIterator[Event]:
        nonlocal starts
        starts += 1
        try:
            yield "batch", {"messages": [1]}
            await asyncio.Event().wait()
        finally:
            stopped.set()

    feeds = {"stream": LiveFeed("stream", source)}
    assert starts == 0
    first = await subscribed(SomeUser(1), ["stream"], feeds)
    assert (await first.receive_json_from(timeout=5))["data"] == {"messages": [1]}
    second = await subscribed(SomeUser(2), ["stream"], feeds)
    await first.disconnect()
    assert not stopped.is_set()
    await second.disconnect()
    await asyncio.wait_for(stopped.wait(), 5)
    assert starts == 1


async def test_socket_that_says_too_much_is_closed_and_another_is_heard() -> None:
    application = paced(EventsConsumer.as_asgi(feeds={}), per_minute=3)
    flooding, calm = (WebsocketCommunicator(application, "/ws/") for _ in range(2))
    for socket in (flooding, calm):
        socket.scope["user"] = SomeUser(1)
        await socket.connect()
    for _ in range(4):
        await flooding.send_json_to({"type": "?"})
    for _ in range(3):
        assert (await flooding.receive_json_from(timeout=5))["code"] == "invalid_message"
    closing = await flooding.receive_output(5)
    assert (closing["type"], closing["code"]) == ("websocket.close", CLOSE_TOO_MUCH)
    await calm.send_json_to({"type": "?"})
    assert (await calm.receive_json_from(timeout=5))["code"] == "invalid_message"
    await calm.disconnect()
