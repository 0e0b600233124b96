"""One connection to the market: take up where the stored candles end, then follow the stream.

Invariant: every session begins from what PostgreSQL holds. So whatever died before (this process,
PostgreSQL, Redis, the exchange), the next session asks for what is missing and no candle is lost.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from apps.core.models import CandleHeartbeat
from apps.core.services import heartbeat_store as store
from apps.core.services.heartbeat_events import EventOutbox, RawOutbox
from apps.core.services.heartbeat_incidents import Incident, IncidentLog, Kind
from apps.core.services.heartbeat_panel import HeartbeatPanel
from apps.core.services.heartbeat_past import MarketPast
from apps.core.services.heartbeat_signals import LATE_AFTER_S, SignalSender
from domain.candles import Candle
from domain.errors import ExchangeUnavailable
from domain.market_feed import Batch, FeedIdentity, MarketFeed, MarketStream, TradeEvent
from domain.market_pace import MarketPace
from domain.market_tracker import MarketTracker
from domain.ports import Clock
from domain.timeframes import Timeframe, to_ms
from domain.trade_sequence import Hole

log = structlog.get_logger(__name__)

STALL_AFTER_S = 10.0  # Binance sends a kline every 2 s even when nobody trades
WAIT_S = 1.0
HOLE_WAIT_S = 0.1
HOLE_AFTER_S = 0.25  # left to messages that overtook each other
HELD_AT_MOST = 200
PAUSED_AFTER_S = 5.0
GIVE_UP_AFTER = 3
CROWDED_S = 0.1  # between two closes; at speed 60 they come every second
GATHER_S = 0.03
LONGEST_BACKFILL_MS = {"binance": 24 * 3_600_000}
LONGEST_SIMULATED_MS = 60 * 24 * 3_600_000
STALLED, RENEWAL, PAUSED = "stream_stalled", "stream_renewal", "process_paused"


@dataclass(frozen=True, slots=True)
class Parts:
    """What a session works with; made once per run."""

    feed: MarketFeed
    past: MarketPast
    sender: SignalSender
    panel: HeartbeatPanel
    incidents: IncidentLog
    events: EventOutbox
    raw: RawOutbox
    pace: MarketPace
    clock: Clock
    symbols: Sequence[str]  # the first is the reference, whose closes are signals


class MarketSession:
    """Follows the markets of one connection until it fails.

    Raises (from `run`):
        ExchangeUnavailable: the stream or REST is lost, stalled, or due for renewal.
        Unavailable: PostgreSQL is lost.
    """

    def __init__(self, parts: Parts, stream: MarketStream) -> None:
        self._parts = parts
        self._stream = stream
        self._trackers: dict[str, MarketTracker] = {}
        self._suspects: dict[str, tuple[int, float]] = {}
        self._heard_s = parts.clock.monotonic()
        self._feed_name = ""
        self._stored_at_s = -math.inf
        self._stored_twice_within_s = math.inf
        self.is_following = False

    async def run(self) -> None:
        batch = await self._begin()
        self.is_following = True
        self._parts.panel.forming = self._forming
        self._parts.panel.set_state(connected=True, coherent=True)
        await self._parts.incidents.end_outage()
        while True:
            self._take(batch)
            await self._store_closed(batch.received_s)
            await self._mend_holes()
            await self._let_a_crowd_gather()
            batch = await self._next()

    # beginning

    async def _begin(self) -> Batch:
        identity = await self._parts.feed.identity()
        self._feed_name = self._parts.panel.status.feed = identity.name
        batch = await self._first_batch(identity)
        market_ms = batch.events[0].event_ms if batch.events else identity.market_ms
        if market_ms is None or not (batch.events or identity.is_halted):
            raise ExchangeUnavailable("Heure du marché inconnue : aucun message reçu.", code=STALLED)
        newest_ms = max((event.event_ms for event in batch.events), default=market_ms)
        now_s = self._parts.clock.monotonic()
        for seen_ms in (market_ms, newest_ms):  # all of it just arrived
            self._parts.pace.note(seen_ms, now_s)
        self._parts.panel.note_messages(len(batch.events), newest_ms)
        self._parts.panel.set_state(connected=True, coherent=False)
        for symbol in self._parts.symbols:
            await self._take_up(symbol, market_ms)
        return batch

    async def _first_batch(self, identity: FeedIdentity) -> Batch:
        """Return the first messages: the market's time at the connection. A market that is over may have none."""
        patience = 2 if identity.is_halted else int(STALL_AFTER_S / WAIT_S) + 1
        for _ in range(patience):
            batch = await self._next()
            if batch.events:
                return batch
        return Batch()

    async def _take_up(self, symbol: str, market_ms: int) -> None:
        status = self._parts.panel.status
        stored = await store.last_minute(feed=self._feed_name, symbol=symbol, source=status.source)
        stored_ms = await self._within_reach(symbol, market_ms, stored)
        tracker = await self._parts.past.position(symbol, market_ms=market_ms, stored_close_ms=stored_ms)
        self._trackers[symbol] = tracker
        if tracker.sequencer.next_id is None:
            return
        async for page in self._parts.past.pages(symbol, tracker.sequencer.next_id):
            tracker.on_backfill(page)
            await self._store_closed(None)

    async def _within_reach(self, symbol: str, market_ms: int, stored: CandleHeartbeat | None) -> int | None:
        """Return where the stored candles end; None when that is too long ago to ask for all the trades."""
        if stored is None:
            return None
        close_ms = to_ms(stored.dhm_candle)
        longest_ms = LONGEST_BACKFILL_MS.get(self._feed_name, LONGEST_SIMULATED_MS)
        if market_ms - close_ms <= longest_ms:
            return close_ms
        await self._parts.incidents.open(
            Kind.GAP,
            symbol=symbol,
            message=f"{symbol} : aucune bougie depuis {stored.dhm_candle:%Y-%m-%d %H:%M} UTC, soit plus de "
            f"{longest_ms // 3_600_000} h ; ce trou n'est pas reconstruit, reprise à la bougie en cours.",
        )
        return None

    # following

    async def _next(self) -> Batch:
        clock = self._parts.clock
        wait_s = HOLE_WAIT_S if any(t.missing for t in self._trackers.values()) else WAIT_S
        asked_s = clock.monotonic()
        batch = await self._stream.next_batch(wait_s)
        now_s = clock.monotonic()
        self._parts.panel.malformed += batch.malformed
        if now_s - asked_s > wait_s + PAUSED_AFTER_S:
            raise ExchangeUnavailable(
                f"Heartbeat suspendu {now_s - asked_s:.0f} s par le système : reprise du flux.", code=PAUSED
            )
        if batch.events:
            self._heard_s = now_s
        elif now_s - self._heard_s > STALL_AFTER_S:
            await self._check_silence()
        return batch

    async def _let_a_crowd_gather(self) -> None:
        """A market that closes candles faster than they are committed one by one is taken in bigger bites."""
        if self._stored_twice_within_s < CROWDED_S:
            await self._parts.clock.sleep(GATHER_S)

    async def _check_silence(self) -> None:
        """A recording that is over is silent for good; anything else is a stall."""
        identity = await self._parts.feed.identity()
        if not identity.is_halted or identity.name != self._feed_name:
            raise ExchangeUnavailable(
                f"Flux muet depuis plus de {STALL_AFTER_S:.0f} s ({self._feed_name}).", code=STALLED
            )
        self._heard_s = self._parts.clock.monotonic()
        for symbol, tracker in self._trackers.items():
            await self._ask_for(symbol, tracker)
            tracker.on_clock(identity.market_ms or 0)
        await self._store_closed(None)

    def _take(self, batch: Batch) -> None:
        raw: list[bytes] = []
        newest_ms = 0
        for event in batch.events:
            tracker = self._trackers.get(event.symbol)
            if tracker is None:
                continue
            if type(event) is TradeEvent:
                tracker.on_trade(event.trade, event.event_ms)
                raw.append(event.raw)
            else:
                tracker.on_kline(event)  # type: ignore[arg-type]  # the only other kind
            if event.event_ms > newest_ms:
                newest_ms = event.event_ms
        if newest_ms:
            self._parts.pace.note(newest_ms, batch.received_s)
            self._parts.panel.note_messages(len(batch.events), newest_ms)
            self._parts.raw.put(raw)

    async def _store_closed(self, received_s: float | None) -> None:
        """Commit what closed, send the signals, tell browsers.

        Args:
            received_s: when the messages arrived; None for a back-fill.
        """
        parts = self._parts
        now_s = parts.clock.monotonic()
        self._stored_twice_within_s = math.inf
        closed: dict[tuple[str, Timeframe, int], store.Closed] = {}
        for symbol, tracker in self._trackers.items():
            for candle, _ in tracker.drain():
                close_ms = to_ms(candle.close_time)
                is_late = parts.pace.age_s(close_ms, now_s) > LATE_AFTER_S
                key = (symbol, candle.timeframe, close_ms)
                closed[key] = store.Closed(candle, is_late, is_signal=symbol == parts.symbols[0])
        if closed:
            self._stored_twice_within_s, self._stored_at_s = now_s - self._stored_at_s, now_s
            versions = list(closed.values())
            rows, was_sent = await parts.sender.commit_and_send(
                lambda: store.save_candles(parts.panel.status, versions, now=parts.clock.now())
            )
            if was_sent and rows and received_s is not None:
                parts.panel.note_latency((parts.clock.monotonic() - received_s) * 1000)
            parts.events.put_candles(rows)
            await self._tell_corrections([row for row in rows if row.revision > 1])
        await self._tell_disagreements()

    async def _tell_corrections(self, rows: Sequence[CandleHeartbeat]) -> None:
        for symbol in {row.symbol for row in rows}:
            names = [f"{r.signal_type} {r.open_time:%H:%M}" for r in rows if r.symbol == symbol]
            await self._parts.incidents.open(
                Kind.CORRECTION,
                symbol=symbol,
                message=f"{symbol} : {len(names)} bougie(s) corrigée(s) par des transactions arrivées après la "
                f"clôture ({', '.join(names[:8])}) ; aucun second signal n'est émis.",
                mended_at=self._parts.clock.now(),
            )

    async def _tell_disagreements(self) -> None:
        for symbol, tracker in self._trackers.items():
            for ours, theirs in tracker.disagreements:
                await self._parts.incidents.open(
                    Kind.GAP,
                    symbol=symbol,
                    message=f"{symbol} : la bougie 1m {ours.open_time:%Y-%m-%d %H:%M} UTC construite des "
                    f"transactions (clôture {ours.close}, volume {ours.volume}, {ours.trade_count} exécutions) "
                    f"diffère de celle de l'exchange ({theirs.close}, {theirs.volume}, {theirs.trade_count}).",
                    mended_at=self._parts.clock.now(),
                )
            tracker.disagreements.clear()

    # holes

    async def _mend_holes(self) -> None:
        now_s = self._parts.clock.monotonic()
        for symbol, tracker in self._trackers.items():
            hole = tracker.missing
            if hole is None:
                self._suspects.pop(symbol, None)
                continue
            first, since_s = self._suspects.get(symbol, (None, now_s))
            if first != hole.first:
                self._suspects[symbol] = (hole.first, now_s)
                since_s = now_s
            if now_s - since_s > HOLE_AFTER_S or tracker.sequencer.held > HELD_AT_MOST:
                await self._mend(symbol, tracker, hole)

    async def _mend(self, symbol: str, tracker: MarketTracker, hole: Hole) -> None:
        panel = self._parts.panel
        panel.set_state(connected=True, coherent=False)
        incident = await self._open_gap(symbol, hole) if hole.missing else None
        for _ in range(GIVE_UP_AFTER):
            await self._ask_for(symbol, tracker)
            if tracker.missing is None:
                break
            await self._parts.clock.sleep(HOLE_AFTER_S)
        left = tracker.sequencer.hole
        if left is not None and left.first <= hole.last:
            tracker.give_up(left)
            message = f"{symbol} : transactions {left.first} à {left.last} introuvables chez l'exchange."
            panel.note_error(message)
            log.error("heartbeat.hole_given_up", symbol=symbol, first=left.first, last=left.last)
        elif incident is not None:
            await self._parts.incidents.mend(incident)
        await self._store_closed(None)
        self._suspects.pop(symbol, None)
        panel.set_state(connected=True, coherent=True)

    async def _ask_for(self, symbol: str, tracker: MarketTracker) -> None:
        from_id = tracker.sequencer.next_id
        if from_id is None:
            tracker.backfill_done()
            return
        async for page in self._parts.past.pages(symbol, from_id):
            tracker.on_backfill(page)
            await self._store_closed(None)
            if tracker.missing is None:
                return
        tracker.backfill_done()

    async def _open_gap(self, symbol: str, hole: Hole) -> Incident:
        return await self._parts.incidents.open(
            Kind.GAP,
            symbol=symbol,
            message=f"{symbol} : {hole.missing} transaction(s) manquante(s), "
            f"identifiants {hole.first} à {hole.last}.",
            missing_trades=hole.missing,
            first_missing_id=hole.first,
            last_missing_id=hole.last,
        )

    def _forming(self) -> list[Candle]:
        reference = self._trackers.get(self._parts.symbols[0])
        return reference.builder.forming() if reference else []
