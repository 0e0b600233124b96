"""Which feeds run: one for each stream that somebody looks at, shared by all who do."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal

from apps.core.services.market_feeds import MOST_STREAMS, MarketFeeds
from domain.errors import NotFound, Unavailable
from domain.live_market import Interest, StreamKind, Tape, TapeTrade
from domain.orders import Side
from domain.timeframes import Timeframe
from tests.fakes.clock import FakeClock
from tests.fakes.market_sources import FakeMarketPublisher, FakeMarketSources, book

HOSTS = {1: "binance", 2: "binance", 3: "binance-testnet"}


class Leases:
    """The leases as a test sets them."""

    def __init__(self) -> None:
        self.now: list[Interest] = []
        self.away = False

    async def current(self) -> Sequence[Interest]:
        if self.away:
            raise Unavailable("Redis ne répond pas.")
        return list(self.now)


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.leases = Leases()
        self.sources = FakeMarketSources()
        self.publisher = FakeMarketPublisher()
        self.hosts = dict(HOSTS)
        self.stands_by = False
        self.feeds = MarketFeeds(
            interests=self.leases,
            exchange_key_of=self._host,
            sources=self.sources,
            publisher=self.publisher,
            clock=self.clock,
            may_follow=lambda: not self.stands_by,
        )

    async def _host(self, broker_id: int) -> str:
        if broker_id not in self.hosts:
            raise NotFound("Broker introuvable.")
        return self.hosts[broker_id]

    async def pass_time(self, seconds: int) -> None:
        for _ in range(seconds * 2):
            self.clock.advance(0.5)
            for _ in range(30):
                await asyncio.sleep(0)

    def followed(self) -> list[str]:
        """Return `exchange symbol kind timeframe` of every open stream."""
        return sorted(
            " ".join([key.exchange_key, key.symbol, key.kind, key.timeframe.value if key.timeframe else ""]).strip()
            for key, _, stream in self.sources.opened
            if not stream.closed
        )


@asynccontextmanager
async def running() -> AsyncIterator[World]:
    world = World()
    task = asyncio.create_task(world.feeds.run())
    try:
        yield world
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert world.sources.open_streams == 0


async def test_nobody_looks_nothing_runs() -> None:
    async with running() as world:
        await world.pass_time(30)
        assert world.feeds.open_feeds == 0
        assert world.sources.opened == []
        assert world.publisher.events == []


async def test_two_users_of_one_exchange_share_their_feeds() -> None:
    async with running() as world:
        world.leases.now = [Interest(1, "BTC/USDT", Timeframe.M5), Interest(2, "BTC/USDT", Timeframe.M1)]
        await world.pass_time(2)
        assert world.followed() == [
            "binance BTC/USDT book",
            "binance BTC/USDT candle 1m",
            "binance BTC/USDT candle 5m",
            "binance BTC/USDT tape",
            "binance BTC/USDT ticker",
        ]


async def test_last_trades_are_told_again_to_those_who_come_later() -> None:
    async with running() as world:
        world.leases.now = [Interest(1, "BTC/USDT")]
        await world.pass_time(2)
        tape = Tape("BTC/USDT", (TapeTrade(1_000, Decimal("90.10"), Decimal("0.5"), Side.SELL),))
        next(stream for key, _, stream in world.sources.opened if key.kind is StreamKind.TAPE).say(tape)
        await world.pass_time(12)
        told = [data for _, _, kind, data in world.publisher.events if kind == "tape"]
        assert len(told) >= 2
        assert told[0] == {"symbol": "BTC/USDT", "trades": [[1_000, "90.10", "0.5", "sell"]]}


async def test_testnet_is_another_market() -> None:
    async with running() as world:
        world.leases.now = [Interest(1, "BTC/USDT"), Interest(3, "BTC/USDT")]
        await world.pass_time(2)
        assert len(world.followed()) == 6


async def test_interest_that_ended_ends_its_feeds_and_leaves_the_others() -> None:
    async with running() as world:
        world.leases.now = [Interest(1, "BTC/USDT", Timeframe.M5), Interest(1, "ETH/USDT")]
        await world.pass_time(2)
        world.leases.now = [Interest(1, "ETH/USDT")]
        await world.pass_time(2)
        assert world.followed() == ["binance ETH/USDT book", "binance ETH/USDT tape", "binance ETH/USDT ticker"]
        world.leases.now = []
        await world.pass_time(2)
        assert (world.followed(), world.feeds.open_feeds) == ([], 0)


async def test_service_that_stands_by_follows_nothing_until_it_takes_over() -> None:
    async with running() as world:
        world.leases.now = [Interest(1, "BTC/USDT")]
        world.stands_by = True
        await world.pass_time(2)
        assert world.feeds.open_feeds == 0
        world.stands_by = False
        await world.pass_time(2)
        assert world.feeds.open_feeds == 3
        world.stands_by = True
        await world.pass_time(2)
        assert world.followed() == []


async def test_timeframe_changed_keeps_the_book_open() -> None:
    async with running() as world:
        world.leases.now = [Interest(1, "BTC/USDT", Timeframe.M5)]
        await world.pass_time(2)
        world.leases.now = [Interest(1, "BTC/USDT", Timeframe.M1)]
        await world.pass_time(2)
        books = [key for key, _, _ in world.sources.opened if key.kind is StreamKind.BOOK]
        assert len(books) == 1
        assert "binance BTC/USDT candle 1m" in world.followed()


async def test_broker_that_does_not_exist_is_followed_by_nobody() -> None:
    async with running() as world:
        world.leases.now = [Interest(99, "BTC/USDT")]
        await world.pass_time(3)
        assert world.sources.opened == []


async def test_redis_away_keeps_the_feeds_for_half_a_minute() -> None:
    async with running() as world:
        world.leases.now = [Interest(1, "BTC/USDT")]
        await world.pass_time(2)
        world.leases.away = True
        await world.pass_time(25)
        assert world.feeds.open_feeds == 3
        await world.pass_time(8)
        assert world.feeds.open_feeds == 0
        world.leases.away = False
        await world.pass_time(2)
        assert world.feeds.open_feeds == 3


async def test_state_is_said_when_it_changes_and_repeated_for_late_comers() -> None:
    async with running() as world:
        world.leases.now = [Interest(1, "BTC/USDT")]
        await world.pass_time(1)
        world.sources.answer = book(1)
        for key, _, stream in world.sources.opened:
            if key.kind is StreamKind.BOOK:
                stream.say(book(1))
        await world.pass_time(1)
        assert world.publisher.states() == ["live"]
        await world.pass_time(6)
        assert world.publisher.states() == ["live", "live"]
        exchange, symbol, _, data = world.publisher.events[-1]
        assert (exchange, symbol, data["symbol"], data["message"]) == ("binance", "BTC/USDT", "BTC/USDT", "")


async def test_worst_stream_of_a_market_is_its_state() -> None:
    async with running() as world:
        world.leases.now = [Interest(1, "BTC/USDT")]
        await world.pass_time(1)
        for key, _, stream in world.sources.opened:
            if key.kind is StreamKind.BOOK:
                stream.say(book(1))
            else:
                stream.cut("Flux du cours coupé.")
        world.sources.refusals = 1
        await world.pass_time(1)
        assert world.publisher.states()[-1] == "down"
        assert "Flux du cours coupé." in world.publisher.events[-1][3]["message"]


async def test_too_many_markets_are_refused_in_french_and_the_others_go_on() -> None:
    async with running() as world:
        first = [Interest(1, f"C{number}/USDT") for number in range(MOST_STREAMS // 2)]
        world.leases.now = first
        await world.pass_time(1)
        world.leases.now = [Interest(2, "LATE/USDT"), *first]
        await world.pass_time(6)
        assert world.feeds.open_feeds == MOST_STREAMS
        assert not any("LATE" in name for name in world.followed())
        refused = [data for _, symbol, kind, data in world.publisher.events if symbol == "LATE/USDT"]
        assert refused
        assert refused[-1]["state"] == "down"
        assert "plus de 60 flux" in refused[-1]["message"]
