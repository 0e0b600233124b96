"""Asks the exchange for the past: where to begin after a start, and the trades of a hole."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

import structlog

from domain.candle_builder import MINUTE_MS, CandleBuilder
from domain.errors import ExchangeRateLimited, ExchangeUnavailable
from domain.market_feed import MarketFeed
from domain.market_tracker import MarketTracker
from domain.ports import Clock
from domain.trade_sequence import AggTrade, TradeSequencer

log = structlog.get_logger(__name__)

R = TypeVar("R")
PAGE = 1000
OVERLAP_MS = 2 * MINUTE_MS  # rebuilt after a restart, in case the last trades of a stored minute were lost
RETRY_S = (0.2, 0.5, 1.0, 2.0)


class MarketPast:
    """REST questions with a few patient repetitions (reads may be repeated)."""

    def __init__(self, feed: MarketFeed, clock: Clock) -> None:
        self._feed = feed
        self._clock = clock

    async def position(self, symbol: str, *, market_ms: int, stored_close_ms: int | None) -> MarketTracker:
        """Return a tracker placed before the first minute to build, its long candles complete up to there.

        Args:
            market_ms: the market's time now.
            stored_close_ms: end of the newest stored minute; None at a first start, which begins one
                minute before the current one.

        Raises:
            ExchangeUnavailable: the exchange does not answer.
        """
        minute_ms = market_ms - market_ms % MINUTE_MS
        start_ms = minute_ms - MINUTE_MS
        if stored_close_ms is not None:
            start_ms = min(stored_close_ms, minute_ms) - OVERLAP_MS
        before, next_id = await self._last_before(symbol, start_ms)
        builder = CandleBuilder(symbol, start_ms=start_ms, last_price=before.price if before else None)
        if builder.first_needed_ms < start_ms:
            needed_ms = builder.first_needed_ms
            for minute in await self._ask(lambda: self._feed.minutes(symbol, start_ms=needed_ms, end_ms=start_ms)):
                builder.seed(minute)
        return MarketTracker(TradeSequencer(next_id), builder)

    async def pages(self, symbol: str, from_id: int) -> AsyncIterator[Sequence[AggTrade]]:
        """Yield what the exchange has from an id on, page by page, until it has no more."""
        while True:
            asked_id = from_id
            page = await self._ask(lambda: self._feed.trades_from_id(symbol, asked_id, limit=PAGE))  # noqa: B023
            page = [trade for trade in page if trade.id >= from_id]
            if page:
                yield page
                from_id = page[-1].id + 1
            if len(page) < PAGE:
                return

    async def first_since(self, symbol: str, start_ms: int) -> AggTrade | None:
        """Return the first trade at or after a time."""
        found = await self._ask(lambda: self._feed.trades_since(symbol, start_ms, limit=1))
        return found[0] if found else None

    async def _last_before(self, symbol: str, start_ms: int) -> tuple[AggTrade | None, int | None]:
        """Return the last trade before a time, and the id awaited next."""
        first = await self.first_since(symbol, start_ms)
        if first is not None:
            previous = await self._ask(lambda: self._feed.trades_from_id(symbol, first.id - 1, limit=1))
            known = previous[0] if previous and previous[0].id < first.id else None
            return known, first.id
        newest = await self._ask(lambda: self._feed.newest_trade(symbol))
        if newest is None:
            return None, None
        if newest.time_ms >= start_ms:  # it happened between the two questions
            return await self._last_before(symbol, start_ms)
        return newest, newest.id + 1

    async def _ask(self, question: Callable[[], Awaitable[R]]) -> R:
        for delay_s in RETRY_S:
            try:
                return await question()
            except ExchangeRateLimited as exc:
                await self._clock.sleep(exc.retry_after_s or delay_s)
            except ExchangeUnavailable as exc:
                log.info("heartbeat.rest_retry", error=exc.message)
                await self._clock.sleep(delay_s)
        return await question()
