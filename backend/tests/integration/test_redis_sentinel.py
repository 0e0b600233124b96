"""Redis behind three Sentinels: addresses, and every way of ours goes on by itself after a failover."""

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from channels_redis.pubsub import RedisPubSubChannelLayer
from redis.exceptions import RedisError

from apps.core.adapters.redis_address import channel_host, sentinel_address
from apps.core.adapters.redis_connection import connect
from apps.core.adapters.redis_signals import RedisSignalStream
from domain.errors import Unavailable
from domain.messages import Signal
from domain.timeframes import Timeframe, from_ms
from tests.system.redis_group import RedisGroup

MINUTE_MS = 60_000
GOAL_S = 30.0


def test_address_of_sentinels_is_read() -> None:
    address = sentinel_address(
        "sentinel://robot:p%40ss@10.0.0.1:26379,10.0.0.2,[::1]:5/aristobot?db=2&sentinel_password=x"
    )
    assert address is not None
    assert address.hosts == (("10.0.0.1", 26379), ("10.0.0.2", 26379), ("::1", 5))
    assert (address.service, address.redis) == ("aristobot", {"db": 2, "username": "robot", "password": "p@ss"})
    assert address.sentinel == {"password": "x"}


def test_other_addresses_stay_as_they_are() -> None:
    assert sentinel_address("redis://127.0.0.1:6379/0") is None
    assert channel_host("unix:///tmp/v.sock?db=0") == {"address": "unix:///tmp/v.sock?db=0"}


@pytest.mark.parametrize("url", ["sentinel:///aristobot", "sentinel://a:1,b:2", "sentinel://:secret@a:x/service"])
def test_incomplete_address_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="REDIS_URL") as refused:
        sentinel_address(url)
    assert "secret" not in str(refused.value)


@pytest.fixture
def group(tmp_path: Path) -> Iterator[RedisGroup]:
    made = RedisGroup(tmp_path / "redis")
    try:
        made.start()
        yield made
    finally:
        made.stop()


def minute(number: int) -> Signal:
    return Signal(
        timeframe=Timeframe.M1,
        close_time=from_ms(number * MINUTE_MS),
        symbol="BTCUSDT",
        feed="binance",
        source="primary",
        location="test",
        sent_at=datetime.now(UTC),
    )


async def test_signals_and_browser_events_go_on_after_the_primary_was_killed(group: RedisGroup) -> None:
    writer, reader = connect(group.url), connect(group.url)
    layer = RedisPubSubChannelLayer(hosts=[channel_host(group.url)], prefix="t")
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    received = RedisSignalStream(reader).read(after="0", block_s=1.0)
    stream = RedisSignalStream(writer)
    await stream.publish(minute(1))
    assert (await anext(received))[1].close_time == from_ms(MINUTE_MS)

    killed_at = time.monotonic()
    waiting = asyncio.ensure_future(anext(received))  # a blocked read, as the engine's is
    port = group.primary()
    group.send(port, signal.SIGKILL)
    async with asyncio.timeout(GOAL_S):
        await _insist(lambda: stream.publish(minute(2)))
        assert (await waiting)[1].close_time == from_ms(2 * MINUTE_MS)
    signals_s = time.monotonic() - killed_at
    async with asyncio.timeout(GOAL_S):
        event = asyncio.ensure_future(layer.receive(channel))
        while not event.done():  # pub/sub keeps nothing: what is said before the subscription is back is lost
            with suppress(RedisError, OSError):
                await layer.group_send("room", {"type": "browser.event"})
            await asyncio.wait([event], timeout=0.2)
    events_s = time.monotonic() - killed_at
    assert group.primary() != port
    print(f"\nRedis primary killed: signals after {signals_s:.1f} s, browser events after {events_s:.1f} s")  # noqa: T201
    for client in (writer, reader):
        await client.aclose()
    await layer.flush()


async def _insist(call: object) -> None:
    """What the heartbeat does with an unsent signal: again each second, here faster."""
    while True:
        try:
            await call()  # type: ignore[operator]
        except Unavailable:
            await asyncio.sleep(0.1)
        else:
            return
