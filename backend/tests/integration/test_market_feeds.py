"""Live market data from the simulated exchange's own streams to the browsers' groups."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
import pytest
from channels.layers import get_channel_layer
from django.conf import settings as django_settings
from pytest_django.fixtures import SettingsWrapper
from redis.asyncio import Redis

from apps.core.adapters.clock import SystemClock
from apps.core.adapters.market_events import ChannelsMarketPublisher
from apps.core.adapters.market_stream import CcxtMarketSources
from apps.core.adapters.redis_connection import connect
from apps.core.adapters.redis_interest import INTEREST_KEY, RedisInterests
from apps.core.services.market_feeds import MarketFeeds
from apps.core.services.market_interest import market_group, renew
from domain.live_market import MarketStreamKey, StreamKind
from domain.timeframes import Timeframe
from tests.fakes.gateway_world import GatewayWorld, make_gateway
from tests.fakes.simex_process import SimexProcess, running_simex

CLOCK = SystemClock()
BTC = "BTC/USDT"
WITHIN_S = 20.0
BUSY = ("--speed", "600", "--depth-every", "20")  # some fifty books a second


@pytest.fixture(scope="module")
def simex() -> Iterator[SimexProcess]:
    with running_simex("--seed", "9", "--symbols", "BTCUSDT,ETHUSDT", *BUSY) as process:
        yield process


@dataclass
class World:
    gateway: GatewayWorld
    simex: SimexProcess
    redis: Redis

    @asynccontextmanager
    async def feeds(self) -> AsyncIterator[MarketFeeds]:
        """Terminal 5's part, for the length of a block."""

        async def exchange_key_of(broker_id: int) -> str:
            return (await self.gateway.directory.get(broker_id)).exchange

        feeds = MarketFeeds(
            interests=RedisInterests(self.redis, clock=CLOCK),
            exchange_key_of=exchange_key_of,
            sources=CcxtMarketSources(self.gateway.manager, clock=CLOCK),
            publisher=ChannelsMarketPublisher(CLOCK),
            clock=CLOCK,
        )
        task = asyncio.create_task(feeds.run())
        try:
            yield feeds
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def listeners(self) -> int:
        async with httpx.AsyncClient() as http:
            return int((await http.get(f"{self.simex.url}/__sim/run")).json()["consumers"])

    async def nobody_listens(self) -> None:
        async with asyncio.timeout(WITHIN_S):
            while await self.listeners():
                await CLOCK.sleep(0.05)


@pytest.fixture
async def world(simex: SimexProcess, settings: SettingsWrapper) -> AsyncIterator[World]:
    settings.SIMEX_URL = simex.url
    gateway = make_gateway(CLOCK, speed=10_000.0)
    gateway.directory.add(1, 1, "simex", simex.new_account())
    await gateway.manager.preload()
    redis = connect(django_settings.REDIS_URL)
    await redis.delete(INTEREST_KEY)
    yield World(gateway, simex, redis)
    await redis.delete(INTEREST_KEY)
    await redis.aclose()
    await gateway.manager.close()


class Looker:
    """A browser's place in a market's group."""

    def __init__(self, channel: str) -> None:
        self._channel = channel

    async def wait_for(self, event_type: str, **wanted: Any) -> dict[str, Any]:
        """Return the data of the next event of that type with these values."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                event = (await get_channel_layer().receive(self._channel))["event"]
                data: dict[str, Any] = event["data"]
                if event["type"] == event_type and wanted.items() <= data.items():
                    return data


async def looking(symbol: str = BTC) -> Looker:
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add(market_group("simex", symbol), channel)
    return Looker(channel)


async def test_trader_sees_book_ticker_and_candle_move_until_nobody_looks(world: World) -> None:
    looker = await looking()
    await renew(1, BTC, Timeframe.M5)
    async with world.feeds() as feeds:
        await looker.wait_for("feed", state="live")
        book = await looker.wait_for("book")
        assert (len(book["bids"]), len(book["asks"])) == (20, 20)
        assert Decimal(book["bids"][0][0]) < Decimal(book["asks"][0][0])
        moved = await looker.wait_for("book")
        assert moved["bids"] != book["bids"]
        ticker = await looker.wait_for("ticker")
        assert Decimal(ticker["low"]) <= Decimal(ticker["last"]) <= Decimal(ticker["high"])
        closed = await looker.wait_for("candle", closed=True)
        opened = await looker.wait_for("candle", closed=False)
        assert closed["timeframe"] == "5m"
        assert (opened["candle"][0] - closed["candle"][0]) % 300_000 == 0
        tape = await looker.wait_for("tape")
        times = [row[0] for row in tape["trades"]]
        assert len(times) > 10  # the past, not only what came since
        assert times == sorted(times, reverse=True)
        assert {row[3] for row in tape["trades"]} == {"buy", "sell"}
        assert await world.listeners() == 4
        await world.redis.delete(INTEREST_KEY)
        await world.nobody_listens()
        assert feeds.open_feeds == 0


async def test_cut_streams_come_back_and_the_trader_is_told(world: World) -> None:
    looker = await looking()
    await renew(1, BTC, None)
    async with world.feeds():
        await looker.wait_for("feed", state="live")
        await asyncio.to_thread(world.simex.admin, "POST", "streams", {"action": "disconnect"})
        down = await looker.wait_for("feed", state="down")
        assert "chez Simulateur" in down["message"]
        assert "Nouvel essai dans 1 s." in down["message"]
        await looker.wait_for("feed", state="live")
        await looker.wait_for("book")


async def test_restarted_terminal_5_finds_its_feeds_by_the_leases(world: World) -> None:
    looker = await looking()
    await renew(1, BTC, None)
    async with world.feeds():
        await looker.wait_for("book")
    await world.nobody_listens()
    async with world.feeds() as feeds:
        await looker.wait_for("book")
        assert feeds.open_feeds == 3


async def test_asked_once_the_exchange_says_the_same_as_its_streams(world: World) -> None:
    sources = CcxtMarketSources(world.gateway.manager, clock=CLOCK)
    for kind, timeframe in (
        (StreamKind.BOOK, None),
        (StreamKind.TICKER, None),
        (StreamKind.TAPE, None),
        (StreamKind.CANDLE, Timeframe.M1),
    ):
        key = MarketStreamKey("simex", "ETH/USDT", kind, timeframe)
        assert await sources.can_stream(key, 1)
        stream = await sources.open_stream(key, 1)
        try:
            async with asyncio.timeout(WITHIN_S):
                await stream.changed()
                assert type(stream.read()) is type(await sources.ask(key, 1))
        finally:
            await stream.close()


async def test_timeframe_the_exchange_lacks_is_rolled_up_from_what_it_has(world: World) -> None:
    sources = CcxtMarketSources(world.gateway.manager, clock=CLOCK)
    key = MarketStreamKey("simex", BTC, StreamKind.CANDLE, Timeframe.M10)
    assert not await sources.can_stream(key, 1)
    before, current = await sources.ask(key, 1)  # type: ignore[misc]
    assert (before.closed, current.closed) == (True, False)
    assert current.candle.open_time - before.candle.open_time == Timeframe.M10.duration
    assert current.candle.timeframe is Timeframe.M10
