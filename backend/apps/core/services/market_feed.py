"""One stream of one market in terminal 5: pushed by the exchange where it can, else asked for again and again.

What arrives faster than somebody can read is never queued: a source holds the newest state only, and it is
read at most every `_READ_EVERY_S`. A stream that says nothing is compared with one read: a quiet market stays
live, a stream that missed something is opened anew.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol
from zlib import crc32

import structlog

from apps.core.metrics import RECONNECTS
from domain.errors import AristobotError, ExchangeUnavailable
from domain.live_market import (
    FeedState,
    LiveCandle,
    MarketStreamKey,
    OrderBook,
    StreamKind,
    Tape,
    Ticker,
)
from domain.ports import Clock

log = structlog.get_logger(__name__)

Update = OrderBook | Ticker | Tape | Sequence[LiveCandle]

_READ_EVERY_S = {StreamKind.BOOK: 0.1, StreamKind.TICKER: 0.5, StreamKind.CANDLE: 0.25, StreamKind.TAPE: 0.25}
_ASK_EVERY_S = {StreamKind.BOOK: 1.0, StreamKind.TICKER: 2.0, StreamKind.CANDLE: 2.0, StreamKind.TAPE: 2.0}
_QUIET_S = {StreamKind.BOOK: 10.0, StreamKind.TICKER: 20.0, StreamKind.CANDLE: 20.0, StreamKind.TAPE: 20.0}
_CATCH_UP_S = 2.0  # a stream may be that much behind an answer
_BACK_OFF_S = (1.0, 2.0, 5.0, 10.0, 30.0)
_STREAM_TRIES = 3  # without one update, then the market is polled for a while
_POLLED_FOR_S = 60.0
_NAMES = {
    StreamKind.BOOK: "du carnet d'ordres",
    StreamKind.TICKER: "du cours",
    StreamKind.CANDLE: "des bougies",
    StreamKind.TAPE: "des transactions",
}


class StreamStalled(ExchangeUnavailable):
    """The connection stands, but what it said is no longer what the exchange answers."""

    code = "stream_stalled"


class MarketSource(Protocol):
    """An open stream. It holds the newest state; what was not read is replaced, never queued."""

    async def changed(self) -> None:
        """Wait until there is something newer than the last `read`. Raises AristobotError once it broke."""
        ...

    def read(self) -> Update: ...

    async def close(self) -> None: ...


class MarketSources(Protocol):
    """The exchanges, through any account that looks at that market."""

    async def can_stream(self, key: MarketStreamKey, broker_id: int) -> bool: ...

    async def open_stream(self, key: MarketStreamKey, broker_id: int) -> MarketSource: ...

    async def ask(self, key: MarketStreamKey, broker_id: int) -> Update:
        """Read the present state once, after everything more urgent."""
        ...


Send = Callable[[str, Mapping[str, Any]], Awaitable[None]]
Announce = Callable[[], Awaitable[None]]


class MarketFeed:
    """Follows one stream for ever; cancel `run` to end it.

    Args:
        brokers: accounts through which it may be read, any of them; changed from outside as interests come
            and go.
        send: gives one event (type, data) to whoever looks at the market.
        announce: called when `state` or `message` changed.
    """

    def __init__(
        self,
        key: MarketStreamKey,
        *,
        brokers: Sequence[int],
        sources: MarketSources,
        send: Send,
        announce: Announce,
        clock: Clock,
    ) -> None:
        self.key = key
        self.brokers = tuple(brokers)
        self.state: FeedState | None = None  # nothing known yet
        self.message = ""
        self._sources = sources
        self._send = send
        self._announce = announce
        self._clock = clock
        self._failures = 0
        self._streaming = False
        self._polled_until = float("-inf")
        self._polled_because = ""
        self._last: Update | None = None

    async def run(self) -> None:
        while True:
            broker_id = self.brokers[self._failures % len(self.brokers)]
            try:
                if not await self._sources.can_stream(self.key, broker_id):
                    self._polled_because = f"flux {_NAMES[self.key.kind]} inexistant chez cet exchange"
                    await self._poll(broker_id, until=float("inf"))
                elif self._clock.monotonic() < self._polled_until:
                    await self._poll(broker_id, until=self._polled_until)
                else:
                    await self._follow(broker_id)
            except AristobotError as exc:
                await self._failed(exc)

    async def _follow(self, broker_id: int) -> None:
        self._streaming = True
        source = await self._sources.open_stream(self.key, broker_id)
        try:
            while True:
                await self._next(source, broker_id)
                update = source.read()
                self._failures = 0
                await self._publish(update)
                await self._say(FeedState.LIVE, "")
                await self._clock.sleep(_READ_EVERY_S[self.key.kind])
        finally:
            await source.close()

    async def _next(self, source: MarketSource, broker_id: int) -> None:
        """Wait for the source to change; each time it was silent for long, compare it with one read."""
        changed = asyncio.create_task(source.changed())
        try:
            while not await self._within(changed, _QUIET_S[self.key.kind]):
                asked = await self._sources.ask(self.key, broker_id)
                if self._last is None or _agree(asked, self._last):
                    await self._publish(asked)
                    await self._say(FeedState.LIVE, "")
                elif not await self._within(changed, _CATCH_UP_S):
                    raise StreamStalled(
                        f"Flux {_NAMES[self.key.kind]} de {self.key.symbol} muet alors que le marché bouge : "
                        "reconnexion."
                    )
            changed.result()
        finally:
            changed.cancel()
            await asyncio.gather(changed, return_exceptions=True)

    async def _within(self, task: asyncio.Task[None], seconds: float) -> bool:
        timer = asyncio.create_task(self._clock.sleep(seconds))
        try:
            await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
            return task.done()
        finally:
            timer.cancel()

    async def _poll(self, broker_id: int, *, until: float) -> None:
        self._streaming = False
        period_s = _ASK_EVERY_S[self.key.kind]
        pause_s = period_s * _share(self.key)  # so that the markets followed are not asked for all at once
        while self._clock.monotonic() < until:
            update = await self._sources.ask(self.key, broker_id)
            self._failures = 0
            await self._publish(update)
            message = f"Relevé toutes les {period_s:g} s ({self._polled_because})."
            await self._say(FeedState.POLLING, message)
            await self._clock.sleep(pause_s)
            pause_s = period_s

    async def _publish(self, update: Update) -> None:
        """Send what differs from what was sent last."""
        if isinstance(update, OrderBook | Ticker | Tape):
            if not _same(update, self._last):
                await self._send(self.key.kind.value, update.to_wire())
            self._last = update
            return
        told = self._last if isinstance(self._last, Sequence) else ()
        for candle in update:
            if candle not in told:
                await self._send(self.key.kind.value, candle.to_wire())
        if update:
            self._last = update

    async def repeat(self) -> None:
        """Send again what nobody can ask for: the last trades, for those who came since they were sent."""
        if isinstance(self._last, Tape):
            await self._send(self.key.kind.value, self._last.to_wire())

    async def _failed(self, error: AristobotError) -> None:
        self._failures += 1
        RECONNECTS.labels("market_feed").inc()
        log.info("market_feed.failed", feed=str(self.key), failures=self._failures, error=error.message)
        if self._streaming and self._failures >= _STREAM_TRIES:
            self._failures = 0
            self._polled_until = self._clock.monotonic() + _POLLED_FOR_S
            self._polled_because = f"flux indisponible : {error.message}"
            return
        state = FeedState.STALLED if isinstance(error, StreamStalled) else FeedState.DOWN
        pause_s = _BACK_OFF_S[min(self._failures, len(_BACK_OFF_S)) - 1]
        await self._say(state, f"{error.message} Nouvel essai dans {pause_s:g} s.")
        await self._clock.sleep(pause_s)

    async def _say(self, state: FeedState, message: str) -> None:
        if (state, message) != (self.state, self.message):
            self.state, self.message = state, message
            await self._announce()


def _same(one: OrderBook | Ticker | Tape, other: Update | None) -> bool:
    if isinstance(one, OrderBook) and isinstance(other, OrderBook):
        return (one.bids, one.asks) == (other.bids, other.asks)
    return one == other


def _agree(asked: Update, streamed: Update) -> bool:
    """Tell whether two ways of reading say the same; not each gives the same levels or fields."""
    if isinstance(asked, OrderBook | Ticker | Tape) or isinstance(streamed, OrderBook | Ticker | Tape):
        return _gist(asked) == _gist(streamed)
    traded = _without_new_flat(asked, streamed)
    return not traded or _gist(traded) == _gist(streamed)


def _without_new_flat(asked: Sequence[LiveCandle], streamed: Sequence[LiveCandle]) -> Sequence[LiveCandle]:
    """Leave out candles that began without a trade: most exchanges push none of those."""
    last = streamed[-1].candle.open_time
    return [each for each in asked if each.candle.volume or each.candle.open_time <= last]


def _gist(update: Update) -> Any:
    if isinstance(update, OrderBook):
        return update.bids[:5], update.asks[:5]
    if isinstance(update, Ticker):
        return update.last
    if isinstance(update, Tape):
        # Not the quantity: an exchange may add up, in one way of reading, what one order took at one price.
        return [(each.at_ms, each.price) for each in update.trades[:1]]
    newest = update[-1].candle if update else None
    return newest and (newest.open_time, newest.close, newest.volume)


def _share(key: MarketStreamKey) -> float:
    return crc32(str(key).encode()) / 2**32
