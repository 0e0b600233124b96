"""Joins the parts of terminal 2, the heartbeat."""

import asyncio
import signal
from collections.abc import Mapping
from typing import Any

from django.conf import settings

from apps.core.adapters.binance_stream import BinanceFeed
from apps.core.adapters.browser_events import ChannelsPublisher
from apps.core.adapters.clock import SystemClock
from apps.core.adapters.presence import Presence
from apps.core.adapters.redis_connection import connect
from apps.core.adapters.redis_signals import RedisRawStream, RedisSignalStream
from apps.core.services.health import HEARTBEAT_NAMES
from apps.core.services.heartbeat import HeartbeatService
from apps.core.services.heartbeat_events import EventOutbox, RawOutbox
from apps.core.services.heartbeat_signals import SignalSender
from aristobot.wiring.logs import start_logs


async def run(*, source: str, location: str) -> None:
    """Run a heartbeat until SIGTERM or SIGINT."""
    start_logs("heartbeat" if source == "primary" else f"heartbeat_{source}")
    clock = SystemClock()
    redis = connect(settings.REDIS_URL)
    feed = BinanceFeed(ws_url=settings.BINANCE_WS_URL, rest_url=settings.BINANCE_REST_URL, clock=clock)
    service = HeartbeatService(
        feed=feed,
        sender=SignalSender(publisher=RedisSignalStream(redis), clock=clock, source=source, location=location),
        events=EventOutbox(ChannelsPublisher(clock)),
        raw=RawOutbox(RedisRawStream(redis, source=source)),
        clock=clock,
        source=source,
        location=location,
        symbols=[symbol.strip().upper() for symbol in settings.HEARTBEAT_SYMBOLS if symbol.strip()],
    )

    def details() -> Mapping[str, Any]:
        return service.panel.live() if service.panel is not None else {}

    presence = Presence(name=HEARTBEAT_NAMES[source], redis=redis, clock=clock, details=details)
    try:
        await _until_signalled(service, presence)
    finally:
        await feed.close()
        await redis.aclose()


async def _until_signalled(service: HeartbeatService, presence: Presence) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(service.run(), name="heartbeat"),
            tasks.create_task(presence.run(), name="presence"),
        ]
        await stop.wait()
        for task in running:
            task.cancel()
