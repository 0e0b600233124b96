"""One live stream of one market: what is sent how often, what silence means, when it is polled instead."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.core.services.market_feed import MarketFeed
from domain.candles import Candle
from domain.errors import ExchangeUnavailable
from domain.live_market import FeedState, LiveCandle, MarketStreamKey, StreamKind, Ticker
from domain.timeframes import Timeframe, to_ms
from tests.fakes.clock import FakeClock
from tests.fakes.market_sources import START, FakeMarketSources, book

BOOK = MarketStreamKey("binance", "BTC/USDT", StreamKind.BOOK)
TICKER = MarketStreamKey("binance", "BTC/USDT", StreamKind.TICKER)
CANDLE = MarketStreamKey("binance", "BTC/USDT", StreamKind.CANDLE, Timeframe.M1)


class World:
    """A feed with the clock in hand; `states` are (state, message) as announced."""

    def __init__(self, sources: FakeMarketSources, key: MarketStreamKey = BOOK) -> None:
        self.sources = sources
        self.clock = FakeClock()
        self.sent: list[Mapping[str, Any]] = []
        self.states: list[tuple[FeedState | None, str]] = []
        self.feed = MarketFeed(
            key, brokers=[1, 2], sources=sources, send=self._send, announce=self._announce, clock=self.clock
        )

    async def _send(self, event_type: str, data: Mapping[str, Any]) -> None:
        assert event_type == self.feed.key.kind.value
        self.sent.append(data)

    async def _announce(self) -> None:
        self.states.append((self.feed.state, self.feed.message))

    async def settle(self) -> None:
        for _ in range(30):
            await asyncio.sleep(0)

    async def pass_time(self, seconds: float, *, step: float = 0.05) -> None:
        """Let time pass in small steps, everything due being done in between."""
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
            await self.settle()

    def state(self) -> FeedState | None:
        return self.feed.state

    def last_bids(self) -> list[str]:
        return [row["bids"][0][0] for row in self.sent]


@asynccontextmanager
async def following(sources: FakeMarketSources, key: MarketStreamKey = BOOK) -> AsyncIterator[World]:
    world = World(sources, key)
    task = asyncio.create_task(world.feed.run())
    await world.settle()
    try:
        yield world
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert sources.open_streams == 0


async def test_fifty_updates_a_second_become_ten_the_newest_winning() -> None:
    async with following(FakeMarketSources()) as world:
        for number in range(100):  # two seconds
            world.sources.newest.say(book(1000 + number))
            await world.pass_time(0.02, step=0.02)
        await world.pass_time(0.2)
        assert 18 <= len(world.sent) <= 21
        assert world.last_bids()[-1] == "1099"
        assert world.sources.newest.reads == len(world.sent)
        assert world.state() is FeedState.LIVE


async def test_update_during_the_pause_is_not_lost_when_the_market_falls_quiet() -> None:
    async with following(FakeMarketSources()) as world:
        world.sources.newest.say(book(1))
        await world.settle()
        world.sources.newest.say(book(2))
        await world.settle()
        assert world.last_bids() == ["1"]
        await world.pass_time(0.1)
        assert world.last_bids() == ["1", "2"]


async def test_quiet_market_is_checked_once_each_ten_seconds_and_stays_live() -> None:
    async with following(FakeMarketSources()) as world:
        world.sources.newest.say(book(7))
        world.sources.answer = book(7)
        await world.pass_time(31)
        assert world.state() is FeedState.LIVE
        assert world.sources.asked[BOOK] == 3
        assert len(world.sent) == 1
        assert len(world.sources.opened) == 1


async def test_stream_that_missed_something_is_stalled_and_opened_anew() -> None:
    async with following(FakeMarketSources()) as world:
        world.sources.newest.say(book(7))
        world.sources.answer = book(8)
        await world.pass_time(12.5)
        assert world.state() is FeedState.STALLED
        assert "muet alors que le marché bouge" in world.feed.message
        assert world.sources.newest.closed
        await world.pass_time(1.0)
        world.sources.newest.say(book(9))
        await world.settle()
        assert (world.state(), world.last_bids()[-1]) == (FeedState.LIVE, "9")
        assert len(world.sources.opened) == 2


async def test_stream_a_little_behind_the_answer_is_not_stalled() -> None:
    async with following(FakeMarketSources()) as world:
        world.sources.newest.say(book(7))
        world.sources.answer = book(8)
        await world.pass_time(10.5)
        world.sources.newest.say(book(8))
        await world.pass_time(0.5)
        assert [state for state, _ in world.states] == [FeedState.LIVE]
        assert world.last_bids() == ["7", "8"]


async def test_stream_that_has_said_nothing_yet_shows_the_answer() -> None:
    async with following(FakeMarketSources()) as world:
        world.sources.answer = book(5)
        await world.pass_time(10.1)
        assert world.last_bids() == ["5"]


async def test_cut_connection_is_down_then_live_again() -> None:
    async with following(FakeMarketSources()) as world:
        world.sources.newest.say(book(1))
        await world.settle()
        world.sources.newest.cut("Connexion coupée par l'exchange.")
        await world.pass_time(0.2)
        assert world.state() is FeedState.DOWN
        assert world.feed.message == "Connexion coupée par l'exchange. Nouvel essai dans 1 s."
        assert world.sources.newest.closed
        await world.pass_time(1.0)
        world.sources.newest.say(book(2))
        await world.settle()
        assert world.state() is FeedState.LIVE


async def test_stream_refused_three_times_is_polled_for_a_minute_then_tried_again() -> None:
    sources = FakeMarketSources()
    sources.refusals, sources.answer = 3, book(3)
    async with following(sources) as world:
        await world.pass_time(4)
        assert world.state() is FeedState.POLLING
        assert "flux indisponible : Connexion refusée." in world.feed.message
        assert world.last_bids() == ["3"]
        sources.answer = book(4)
        await world.pass_time(2)
        assert world.last_bids() == ["3", "4"]
        await world.pass_time(61, step=0.5)
        sources.newest.say(book(5))
        await world.settle()
        assert world.state() is FeedState.LIVE


async def test_exchange_without_streams_is_asked_once_a_second_and_sends_changes_only() -> None:
    sources = FakeMarketSources(streams=False)
    sources.answer = book(3)
    async with following(sources) as world:
        await world.pass_time(5)
        assert 5 <= sources.asked[BOOK] <= 6
        assert len(world.sent) == 1
        assert world.states == [
            (FeedState.POLLING, "Relevé toutes les 1 s (flux du carnet d'ordres inexistant chez cet exchange).")
        ]


async def test_unreachable_exchange_is_asked_less_and_less_through_every_broker() -> None:
    sources = FakeMarketSources(streams=False)
    sources.unreachable = ExchangeUnavailable("Okx ne répond pas.")
    async with following(sources) as world:
        await world.pass_time(60, step=0.5)
        assert world.state() is FeedState.DOWN
        assert world.feed.message == "Okx ne répond pas. Nouvel essai dans 30 s."
        assert sources.asked[BOOK] == 6  # at 0, 1, 3, 8, 18 and 48 s
        assert set(sources.reached_by) == {1, 2}
        sources.unreachable, sources.answer = None, book(1)
        await world.pass_time(30, step=0.5)
        assert world.state() is FeedState.POLLING


async def test_ticker_is_sent_twice_a_second_at_most() -> None:
    async with following(FakeMarketSources(), TICKER) as world:
        for number in range(100):
            world.sources.newest.say(Ticker("BTC/USDT", Decimal(number), None, None, None, None))
            await world.pass_time(0.02, step=0.02)
        assert 4 <= len(world.sent) <= 5
        assert world.sent[-1]["change_24h_ratio"] is None


def candle(minute: int, close: str, *, closed: bool, volume: str = "0.5") -> LiveCandle:
    opened = START + minute * timedelta(minutes=1)
    price = Decimal(close)
    found = Candle("BTC/USDT", Timeframe.M1, opened, price, price, price, price, Decimal(volume), None)
    return LiveCandle(found, closed)


async def test_candle_that_closes_is_sent_closed_before_the_next_one() -> None:
    async with following(FakeMarketSources(), CANDLE) as world:
        world.sources.newest.say([candle(0, "10", closed=False)])
        await world.pass_time(0.3)
        world.sources.newest.say([candle(0, "11", closed=True), candle(1, "11.5", closed=False)])
        await world.pass_time(0.3)
        first, second = to_ms(START), to_ms(START) + 60_000
        assert [(row["candle"][0], row["candle"][4], row["closed"]) for row in world.sent] == [
            (first, 10.0, False),
            (first, 11.0, True),
            (second, 11.5, False),
        ]
        assert world.sent[0]["timeframe"] == "1m"


async def test_polled_candles_that_did_not_change_are_not_sent_again() -> None:
    sources = FakeMarketSources(streams=False)
    sources.answer = [candle(0, "10", closed=True), candle(1, "11", closed=False)]
    async with following(sources, CANDLE) as world:
        await world.pass_time(5)
        assert len(world.sent) == 2
        sources.answer = [candle(0, "10", closed=True), candle(1, "12", closed=False)]
        await world.pass_time(2.1)
        assert [row["candle"][4] for row in world.sent] == [10.0, 11.0, 12.0]


async def test_minute_without_a_trade_is_shown_and_is_no_fault_of_the_stream() -> None:
    async with following(FakeMarketSources(), CANDLE) as world:
        world.sources.newest.say([candle(0, "10", closed=False)])
        world.sources.answer = [candle(0, "10", closed=True), candle(1, "10", closed=False, volume="0")]
        await world.pass_time(23)
        assert [state for state, _ in world.states] == [FeedState.LIVE]
        assert [(row["candle"][0], row["closed"]) for row in world.sent] == [
            (to_ms(START), False),
            (to_ms(START), True),
            (to_ms(START) + 60_000, False),
        ]


async def test_candle_with_trades_that_the_stream_kept_quiet_about_is_a_stall() -> None:
    async with following(FakeMarketSources(), CANDLE) as world:
        world.sources.newest.say([candle(0, "10", closed=False)])
        world.sources.answer = [candle(0, "10", closed=True), candle(1, "10.5", closed=False)]
        await world.pass_time(22.5)
        assert world.state() is FeedState.STALLED


@pytest.mark.parametrize("streams", [True, False])
async def test_cancelled_feed_closes_its_stream(streams: bool) -> None:
    sources = FakeMarketSources(streams=streams)
    sources.answer = book(1)
    async with following(sources) as world:
        await world.pass_time(0.5)
    assert sources.open_streams == 0
