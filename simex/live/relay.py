"""Follows another exchange and makes its trades this market's.

Invariants: every trade of the upstream from the begin of the log on is played once, in order of its id; what
was missed is asked for by id. No price is invented: while the upstream is away the market clock stands still
and orders are refused. Market time is the time of the upstream's trades and candles.
"""

import asyncio
import random
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simex.live.feed import MINUTE_MS, LiveFeed, head_spans
from simex.live.upstream import PAGE, Heard, Upstream, UpstreamAway, read_message
from simex.market.klines import DAY_MS, Kline
from simex.market.tradelog import AggTrade

if TYPE_CHECKING:
    from simex.simulation import Simulation

STALL_S = 10.0  # Binance sends a kline every 2 s even when nobody trades
CLOSED_AFTER_S = 5.0  # an upstream unheard of for that long: orders are refused
REACH_MS = DAY_MS  # what was missed longer ago is not asked for, the log begins anew
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
BATCH = 500
LAG_TRIES, LAG_S = 20, 0.1  # how long REST may lag behind the stream
CONNECTED, CATCHING_UP, AWAY = "connected", "catching up", "away"


@dataclass
class Standing:
    """How things stand with the upstream, for whoever asks simex."""

    state: str = AWAY
    since_ms: int = 0  # wall time
    error: str = ""
    reconnects: int = 0
    backfilled: int = 0

    def become(self, state: str, wall_ms: int, error: str = "") -> None:
        """Note a new state and why."""
        if state != self.state or not self.since_ms:
            self.since_ms = wall_ms
        self.state, self.error = state, error


class Relay:
    """Keeps a simulation's live feeds filled and its market going.

    Args:
        sim: the simulation whose feeds are live.
        upstream: the exchange to relay.
    """

    def __init__(self, sim: "Simulation", upstream: Upstream) -> None:
        self.upstream = upstream
        self.standing = Standing()
        self._sim = sim
        self._heard_s = float("-inf")
        self._failures = 0
        self._suspects: set[str] = set()

    @property
    def is_known(self) -> bool:
        """Tell whether the markets were taken up since simex started."""
        return all(feed.first_ms for feed in self._sim.live_feeds.values())

    @property
    def is_away(self) -> bool:
        """Tell whether the upstream has been silent, or out of reach, for too long to trade at its price."""
        return time.monotonic() - self._heard_s > CLOSED_AFTER_S

    def begin_anew(self) -> None:
        """Forget where the market was: a new run."""
        self._heard_s = float("-inf")
        self.upstream.forget()

    def describe(self) -> dict[str, Any]:
        """Return the state for the admin."""
        return {"url": self.upstream.rest_url, "is_away": self.is_away, **vars(self.standing)}

    async def run(self) -> None:
        """Follow the upstream until cancelled, whatever happens to it."""
        try:
            while True:
                try:
                    await self._session()
                except UpstreamAway as error:
                    self._note_away(error)
                    await asyncio.sleep(self._pause_s(error))
        finally:
            await self.upstream.close()

    def _note_away(self, error: UpstreamAway) -> None:
        if self.standing.state != AWAY or not self.standing.since_ms:
            self._say(f"away: {error}")
        self._failures += 1
        self.standing.become(AWAY, self._sim.wall(), str(error))

    def _pause_s(self, error: UpstreamAway) -> float:
        longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (min(self._failures, 10) - 1))
        jittered = longest * (0.5 + random.random() / 2)  # noqa: S311 - spreads reconnections, no secret
        return max(error.retry_after_s, jittered)

    def _say(self, what: str) -> None:
        sys.stderr.write(f"simex: upstream {self.upstream.rest_url} {what}\n")
        sys.stderr.flush()

    # one connection

    async def _session(self) -> None:
        sim = self._sim
        sim.take_rules(await self.upstream.symbols(list(sim.rules)))
        await sim.follow_upstream_run(self.upstream.run)
        async with self.upstream.listen(list(sim.rules)) as queue:
            first = await self._batch(queue)
            self.standing.become(CATCHING_UP, sim.wall())
            await self._take_up(max(each.event_ms for each in first))
            self._settle()
            await self._apply(first)
            while True:
                await self._apply(await self._batch(queue))

    def _settle(self) -> None:
        self._say(f"connected, {self.standing.backfilled} trades caught up so far")
        self.standing.reconnects += self._failures > 0
        self._failures = 0
        self.standing.become(CONNECTED, self._sim.wall())
        self._heard_s = time.monotonic()

    async def _batch(self, queue: "asyncio.Queue[str | None]") -> list[Heard]:
        """Return at least one message, and what else is there."""
        found: list[Heard] = []
        try:
            async with asyncio.timeout(STALL_S):
                while not found:
                    self._add(found, await queue.get())
        except TimeoutError as error:
            raise UpstreamAway(f"{self.upstream.ws_url}: silent for {STALL_S:g} s") from error
        while len(found) < BATCH and not queue.empty():
            self._add(found, queue.get_nowait())
        return found

    def _add(self, found: list[Heard], text: str | None) -> None:
        if text is None:
            raise UpstreamAway(f"{self.upstream.ws_url}: stream ended")
        heard = read_message(text)
        if heard is not None and heard.symbol in self._sim.live_feeds:
            found.append(heard)

    async def _apply(self, batch: list[Heard]) -> None:
        """Append what is new, mend holes, and let the market play up to the newest message."""
        reached_ms = 0
        for heard in batch:
            feed = self._sim.live_feeds[heard.symbol]
            if not feed.first_ms:
                raise UpstreamAway("the market was reset")
            if heard.trade is not None:
                await self._on_trade(feed, heard.trade)
                reached_ms = max(reached_ms, heard.trade.time_ms)
            else:
                await self._on_kline(feed, heard)
                reached_ms = max(reached_ms, heard.event_ms)
        self._heard_s = time.monotonic()
        await self._advance(reached_ms)

    async def _on_trade(self, feed: LiveFeed, trade: AggTrade) -> None:
        if feed.next_id is not None and trade.agg_id > feed.next_id:
            await self._mend(feed, trade.agg_id)
        if feed.next_id is None or trade.agg_id == feed.next_id:
            feed.append(trade)

    async def _on_kline(self, feed: LiveFeed, heard: Heard) -> None:
        """A candle that names a later trade than ours, twice: that trade was lost, and no other followed."""
        last_id = feed.newest.last_id if feed.newest is not None else -1
        if heard.last_id <= last_id:
            self._suspects.discard(feed.symbol)
            feed.hear(heard.event_ms)
        elif feed.symbol in self._suspects:
            self._suspects.discard(feed.symbol)
            await self._pages(feed)
        else:
            self._suspects.add(feed.symbol)

    async def _mend(self, feed: LiveFeed, up_to_id: int) -> None:
        for _ in range(LAG_TRIES):
            await self._pages(feed)
            if feed.next_id is not None and feed.next_id >= up_to_id:
                return
            await asyncio.sleep(LAG_S)
        raise UpstreamAway(f"{feed.symbol}: trades {feed.next_id} to {up_to_id - 1} are not to be had")

    async def _pages(self, feed: LiveFeed) -> None:
        while await self._page(feed) == PAGE:
            pass

    async def _page(self, feed: LiveFeed) -> int:
        """Append the next page of trades; return how many it held."""
        from_id = feed.next_id
        if from_id is None:
            return 0
        page = await self.upstream.trades_from(feed.symbol, from_id)
        for trade in page:
            try:
                feed.append(trade)
            except ValueError as error:
                raise UpstreamAway(str(error)) from error
        self.standing.backfilled += len(page)
        return len(page)

    async def _advance(self, target_ms: int) -> None:
        await self._sim.step_to(target_ms)
        self._sim.note_clock()

    # taking up

    async def _take_up(self, now_ms: int) -> None:
        """Bring every log up to the stream: continued where it stopped, or begun anew.

        Args:
            now_ms: the upstream's time.
        """
        sim = self._sim
        clock_ms = sim.clock.now_ms
        continues = 0 < clock_ms <= now_ms + MINUTE_MS and now_ms - clock_ms <= REACH_MS
        if not continues:
            for feed in sim.live_feeds.values():
                feed.begin(0, None)
            clock_ms = now_ms
            sim.begin_at(now_ms // MINUTE_MS * MINUTE_MS)
        for feed in sim.live_feeds.values():
            if not feed.first_ms:
                await self._begin_log(feed, clock_ms // MINUTE_MS * MINUTE_MS)
        await self._catch_up()
        for symbol in sim.live_feeds:
            sim.show_price(symbol)

    async def _begin_log(self, feed: LiveFeed, since_ms: int) -> None:
        head = await self._head(feed.symbol, since_ms)
        for _ in range(LAG_TRIES):
            before, first_id = await self._before(feed.symbol, since_ms)
            if before is None or before.time_ms < since_ms:
                feed.begin(since_ms, before, head, first_id)
                return
        raise UpstreamAway(f"{feed.symbol}: no trade before {since_ms} is to be had")

    async def _before(self, symbol: str, since_ms: int) -> tuple[AggTrade | None, int | None]:
        """Return the last trade before a time and the id that follows it, each None when unknown.

        A trade that happens while we ask comes as one at or after the time.
        """
        following = await self.upstream.trades_since(symbol, since_ms, limit=1)
        if not following:
            newest = await self.upstream.newest_trade(symbol)
            return newest, None if newest is None else newest.agg_id + 1
        first_id = following[0].agg_id
        before = await self.upstream.trades_from(symbol, first_id - 1, limit=1)
        return (before[0] if before and before[0].agg_id < first_id else None), first_id

    async def _head(self, symbol: str, since_ms: int) -> list[Kline]:
        found: list[Kline] = []
        for interval, start_ms, end_ms in head_spans(since_ms):
            found += await self.upstream.klines(symbol, interval, start_ms, end_ms)
        return found

    async def _catch_up(self) -> None:
        """Page by page, always the market that is furthest behind: they are played together, in order of time."""
        behind = list(self._sim.live_feeds.values())
        while behind:
            feed = min(behind, key=lambda each: each.known_ms)
            if await self._page(feed) < PAGE:
                behind.remove(feed)
            if behind:
                await self._advance(min(each.known_ms for each in behind))
