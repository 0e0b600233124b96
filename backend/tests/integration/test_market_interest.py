"""Leases on markets, over a real Valkey."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from channels.layers import get_channel_layer
from django.conf import settings
from redis.asyncio import Redis

from apps.core.adapters.clock import SystemClock
from apps.core.adapters.market_events import ChannelsMarketPublisher
from apps.core.adapters.redis_connection import connect
from apps.core.adapters.redis_interest import INTEREST_KEY, LEASE_S, RedisInterests
from apps.core.services import market_interest
from domain.errors import Unavailable
from domain.live_market import Interest
from domain.timeframes import Timeframe
from tests.fakes.clock import FakeClock

BTC = Interest(1, "BTC/USDT", Timeframe.M5)
ETH = Interest(2, "ETH/USDT")


@pytest.fixture
async def redis() -> AsyncIterator[Redis]:
    client = connect(settings.REDIS_URL)
    await client.delete(INTEREST_KEY)
    yield client
    await client.delete(INTEREST_KEY)
    await client.aclose()


async def test_interest_lives_for_its_lease_after_the_last_renewal(redis: Redis) -> None:
    clock = FakeClock()
    interests = RedisInterests(redis, clock=clock)
    await interests.renew(BTC)
    clock.advance(LEASE_S - 10)
    await interests.renew(ETH)
    assert list(await interests.current()) == [ETH, BTC]
    clock.advance(11)
    assert list(await interests.current()) == [ETH]
    clock.advance(LEASE_S)
    assert list(await interests.current()) == []
    assert await redis.zcard(INTEREST_KEY) == 0


async def test_renewals_of_two_sockets_are_one_interest(redis: Redis) -> None:
    for _ in range(2):
        await market_interest.renew(1, "BTC/USDT", Timeframe.M5)
    assert list(await RedisInterests(redis, clock=SystemClock()).current()) == [BTC]


async def test_renewal_cancelled_at_any_moment_ends_its_task(redis: Redis) -> None:
    async def renew_for_ever() -> None:
        while True:
            await market_interest.renew(1, "BTC/USDT", None)

    for steps in range(0, 60, 3):
        task = asyncio.create_task(renew_for_ever())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait_for(asyncio.gather(task, return_exceptions=True), 5)
        assert task.cancelled()


async def test_unreadable_lease_is_passed_over(redis: Redis) -> None:
    interests = RedisInterests(redis, clock=FakeClock())
    await interests.renew(BTC)
    later = 10**15
    await redis.zadd(INTEREST_KEY, {b"{not json": later, b'[1, "BTC/USDT", "7m"]': later})
    assert list(await interests.current()) == [BTC]


async def test_redis_away_is_said_in_french() -> None:
    nowhere = connect("redis://127.0.0.1:1/0", timeout_s=0.1)
    with pytest.raises(Unavailable, match="Redis ne répond pas"):
        await RedisInterests(nowhere, clock=FakeClock()).renew(BTC)
    await nowhere.aclose()


async def test_event_reaches_the_markets_group_alone() -> None:
    layer = get_channel_layer()
    mine, other = await layer.new_channel(), await layer.new_channel()
    await layer.group_add(market_interest.market_group("binance", "BTC/USDT"), mine)
    await layer.group_add(market_interest.market_group("binance-testnet", "BTC/USDT"), other)
    publisher = ChannelsMarketPublisher(SystemClock())
    for key in ("binance-testnet", "binance"):
        await publisher.publish(key, "BTC/USDT", "ticker", {"symbol": "BTC/USDT", "last": key})
    message = await layer.receive(mine)
    assert message["type"] == "market.event"
    assert (message["event"]["topic"], message["event"]["type"]) == ("market", "ticker")
    assert message["event"]["data"]["last"] == "binance"
    assert (await layer.receive(other))["event"]["data"]["last"] == "binance-testnet"
