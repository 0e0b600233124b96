"""Terminal 5's live feeds: one for each stream of each market that somebody looks at, none otherwise.

What is looked at is leases (`market_interest`), so a restart finds the feeds again, and a browser that went
away without a word costs at most one lease.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import structlog

from apps.core.services.market_feed import MarketFeed, MarketSources
from domain.errors import AristobotError, NotFound, Unavailable
from domain.live_market import FeedState, Interest, MarketStreamKey, StreamKind, worst
from domain.ports import Clock

log = structlog.get_logger(__name__)

MOST_STREAMS = 60  # of all traders together; each is a connection
LOOK_EVERY_S = 1.0
REPEAT_STATE_S = 5.0  # for those who came meanwhile
KEPT_WITHOUT_REDIS_S = 30.0
_BROKER_CHECKED_EVERY_S = 30.0
_RESTART_S = 5.0

_ALWAYS = (StreamKind.BOOK, StreamKind.TICKER, StreamKind.TAPE)
# Followed by questions alone, these are as good as pushed.
_MAY_BE_POLLED = (StreamKind.CANDLE, StreamKind.TAPE)

Market = tuple[str, str]  # exchange key, symbol


class Interests(Protocol):
    async def current(self) -> Sequence[Interest]: ...


class MarketPublisher(Protocol):
    """Sends events to those who look at a market, at most once."""

    async def publish(self, exchange_key: str, symbol: str, event_type: str, data: Mapping[str, Any]) -> None: ...


@dataclass(slots=True)
class _Running:
    feed: MarketFeed
    task: asyncio.Task[None]


@dataclass(frozen=True, slots=True)
class _Host:
    exchange_key: str
    checked_at: float


class MarketFeeds:
    """Starts and stops feeds as interests come and go.

    Args:
        exchange_key_of: of a broker by its id; raises NotFound when it was deleted.
        may_follow: false in a terminal 5 that stands by: every market is followed once.
    """

    def __init__(
        self,
        *,
        interests: Interests,
        exchange_key_of: Callable[[int], Awaitable[str]],
        sources: MarketSources,
        publisher: MarketPublisher,
        clock: Clock,
        may_follow: Callable[[], bool] = lambda: True,
    ) -> None:
        self._interests = interests
        self._may_follow = may_follow
        self._exchange_key_of = exchange_key_of
        self._sources = sources
        self._publisher = publisher
        self._clock = clock
        self._running: dict[MarketStreamKey, _Running] = {}
        self._hosts: dict[int, _Host] = {}
        self._refused: set[Market] = set()
        self._read_at = clock.monotonic()
        self._told_at = clock.monotonic()

    @property
    def open_feeds(self) -> int:
        return len(self._running)

    async def run(self) -> None:
        """Follow the interests until cancelled, then close everything."""
        try:
            while True:
                await self._look()
                await self._clock.sleep(LOOK_EVERY_S)
        finally:
            await self._stop(list(self._running))

    async def _look(self) -> None:
        if not self._may_follow():
            await self._stop(list(self._running))
            return
        try:
            interests = await self._interests.current()
        except Unavailable as exc:
            log.warning("market_feeds.interests_unreadable", error=exc.message)
            if self._clock.monotonic() - self._read_at >= KEPT_WITHOUT_REDIS_S:
                await self._stop(list(self._running))
            return
        self._read_at = self._clock.monotonic()
        wanted = self._bounded(await self._wanted(interests))
        await self._stop([key for key in self._running if key not in wanted])
        for key, brokers in wanted.items():
            self._start(key, brokers)
        if self._clock.monotonic() - self._told_at >= REPEAT_STATE_S:
            self._told_at = self._clock.monotonic()
            await self._tell_all()

    async def _wanted(self, interests: Iterable[Interest]) -> dict[MarketStreamKey, list[int]]:
        """Return each stream wanted, the most recently asked for first, with the brokers that want it."""
        wanted: dict[MarketStreamKey, list[int]] = defaultdict(list)
        for interest in interests:
            host = await self._host(interest.broker_id)
            if host is None:
                continue
            keys = [MarketStreamKey(host, interest.symbol, kind) for kind in _ALWAYS]
            if interest.timeframe is not None:
                keys.append(MarketStreamKey(host, interest.symbol, StreamKind.CANDLE, interest.timeframe))
            for key in keys:
                wanted[key].append(interest.broker_id)
        return wanted

    async def _host(self, broker_id: int) -> str | None:
        known, now = self._hosts.get(broker_id), self._clock.monotonic()
        if known is not None and now - known.checked_at < _BROKER_CHECKED_EVERY_S:
            return known.exchange_key
        try:
            key = await self._exchange_key_of(broker_id)
        except NotFound:
            self._hosts.pop(broker_id, None)
            return None
        except AristobotError as exc:
            log.warning("market_feeds.broker_unreadable", broker_id=broker_id, error=exc.message)
            return None if known is None else known.exchange_key
        self._hosts[broker_id] = _Host(key, now)
        return key

    def _bounded(self, wanted: dict[MarketStreamKey, list[int]]) -> dict[MarketStreamKey, list[int]]:
        """Leave out what would be too many connections: running streams first, then the newest."""
        ordered = sorted(wanted, key=lambda key: key not in self._running)
        refused = {(key.exchange_key, key.symbol) for key in ordered[MOST_STREAMS:]}
        if refused - self._refused:
            log.warning("market_feeds.too_many", wanted=len(wanted), most=MOST_STREAMS)
        self._refused = refused
        return {key: wanted[key] for key in ordered[:MOST_STREAMS]}

    def _start(self, key: MarketStreamKey, brokers: Sequence[int]) -> None:
        running = self._running.get(key)
        if running is not None:
            running.feed.brokers = tuple(brokers)
            return
        market = (key.exchange_key, key.symbol)
        feed = MarketFeed(
            key,
            brokers=brokers,
            sources=self._sources,
            send=partial(self._publisher.publish, *market),
            announce=partial(self._tell, market),
            clock=self._clock,
        )
        task = asyncio.create_task(self._run(feed), name=f"market_feed.{key.symbol}.{key.kind}")
        self._running[key] = _Running(feed, task)
        log.info("market_feed.started", feed=str(key))

    async def _run(self, feed: MarketFeed) -> None:
        while True:
            try:
                await feed.run()
            except Exception:  # a task's boundary: one market's failure must not end its neighbours
                log.exception("market_feed.defect", feed=str(feed.key))
            await self._clock.sleep(_RESTART_S)

    async def _stop(self, keys: Sequence[MarketStreamKey]) -> None:
        tasks = [self._running.pop(key).task for key in keys]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for key in keys:
            log.info("market_feed.stopped", feed=str(key))

    async def _tell_all(self) -> None:
        for market in {(key.exchange_key, key.symbol) for key in self._running} | self._refused:
            await self._tell(market)
        for running in tuple(self._running.values()):
            await running.feed.repeat()

    async def _tell(self, market: Market) -> None:
        """Say how fresh that market is: as its worst stream, polled candles and trades being no reason."""
        feeds = [each.feed for key, each in self._running.items() if (key.exchange_key, key.symbol) == market]
        known = {feed: feed.state for feed in feeds if feed.state is not None}
        counted = {
            feed: state
            for feed, state in known.items()
            if not (feed.key.kind in _MAY_BE_POLLED and state is FeedState.POLLING)
        }
        if market in self._refused:
            await self._send_state(market, FeedState.DOWN, _too_many())
        elif counted:
            state = worst(list(counted.values()))
            message = next(feed.message for feed, its in counted.items() if its is state)
            await self._send_state(market, state, message)

    async def _send_state(self, market: Market, state: FeedState, message: str) -> None:
        _, symbol = market
        await self._publisher.publish(*market, "feed", {"symbol": symbol, "state": state.value, "message": message})


def _too_many() -> str:
    return (
        f"Marché non suivi en direct : plus de {MOST_STREAMS} flux ouverts à la fois par l'ensemble des "
        "utilisateurs. Le carnet reste lisible à la demande."
    )
