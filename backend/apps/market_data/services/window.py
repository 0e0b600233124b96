"""The window of closed candles a strategy sees: from PostgreSQL, completed through the gateway.

An open candle never enters it. A candle counts as closed when the exchange already gives its successor;
failing that (nobody trades), it is taken as it stands after `SETTLE_S`, and not stored.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from weakref import WeakKeyDictionary

from apps.core.adapters.clock import SystemClock
from apps.core.adapters.database import in_database, read_database
from apps.market_data import selectors
from apps.market_data.services import candle_store
from domain.candles import Candle
from domain.errors import AristobotError, DeadlineExceeded, Unavailable
from domain.ports import Clock, Gateway
from domain.timeframes import Timeframe

SETTLE_S = 2.0  # how long the just-closed candle is waited for, once the signal said that it closed
_POLL_S = 0.1
_MAX_POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class WindowRequest:
    """Which candles: the last `count` of (source, symbol, timeframe) that close at or before `until`."""

    broker_id: int
    user_id: int
    source: str
    symbol: str
    timeframe: Timeframe
    until: datetime
    count: int

    @property
    def key(self) -> tuple[Any, ...]:
        """What two users' requests share."""
        return self.source, self.symbol, self.timeframe, self.until, self.count

    @property
    def since(self) -> datetime:
        return self.until - self.count * self.timeframe.duration


async def ensure_window(
    gateway: Gateway,
    *,
    broker_id: int,
    user_id: int,
    source: str,
    symbol: str,
    timeframe: Timeframe,
    until: datetime,
    count: int,
    deadline: datetime,
    clock: Clock | None = None,
) -> list[Candle]:
    """Return at most `count` closed candles, ascending, contiguous, the last one closing at `until`.

    Places where nobody traded hold a flat candle (`trade_count` 0). Fewer than `count` come back only when
    the exchange has no older ones (a recent listing).

    Args:
        source: `selectors.candle_source_of(exchange)`.
        until: a close of that timeframe, in market time.
        deadline: wall time after which waiting stops.

    Raises:
        Unavailable: the window could not be completed before the deadline, with the cause in French.
        ExchangeError, InvalidInput: what the exchange answered.
    """
    request = WindowRequest(broker_id, user_id, source, symbol, timeframe, timeframe.open_time(until), count)
    running = _running.setdefault(gateway, {})
    shared = running.get(request.key)
    if shared is not None:
        with suppress(AristobotError):  # another user's trouble is not ours: then we ask for ourselves
            return list(await asyncio.shield(shared))
    completion = _Completion(gateway, clock or SystemClock(), request, deadline)
    task = asyncio.create_task(completion.window())
    running[request.key] = task
    task.add_done_callback(lambda done: _forget(running, request, done))
    return list(await asyncio.shield(task))


# Twenty bots on one signal want the same window: it is read, fetched and stored once.
_running: "WeakKeyDictionary[Gateway, dict[tuple[Any, ...], asyncio.Task[list[Candle]]]]" = WeakKeyDictionary()


def _forget(
    running: "dict[tuple[Any, ...], asyncio.Task[list[Candle]]]",
    request: WindowRequest,
    done: "asyncio.Task[list[Candle]]",
) -> None:
    if running.get(request.key) is done:
        del running[request.key]
    if not done.cancelled():
        done.exception()  # seen here in case that nobody waits any more


class _Completion:
    """Fetches what is missing, and again while the just-closed candle is not settled."""

    def __init__(self, gateway: Gateway, clock: Clock, request: WindowRequest, deadline: datetime) -> None:
        self._gateway = gateway
        self._clock = clock
        self._request = request
        self._deadline = deadline

    async def window(self) -> list[Candle]:
        """Return the window: what is stored if it is complete, else completed."""
        request = self._request
        stored = await read_database(
            selectors.closed_window,
            request.source,
            request.symbol,
            request.timeframe,
            until=request.until,
            count=request.count,
        )
        if len(stored) == request.count:
            return stored
        fetched = await self.fetch(stored)
        return _contiguous({each.open_time: each for each in (*stored, *fetched)}, request)

    async def fetch(self, stored: Sequence[Candle]) -> list[Candle]:
        """Return the fetched closed candles of the window; those proven closed are stored."""
        since = _first_missing(stored, self._request)
        settle_at = self._clock.monotonic() + SETTLE_S
        pause = _POLL_S
        while True:
            candles = await self._ask(since)
            closed = [each for each in candles if each.close_time <= self._request.until]
            settled = any(each.open_time >= self._request.until for each in candles)
            if settled or self._clock.monotonic() >= settle_at:
                break
            await self._clock.sleep(min(pause, max(self._seconds_left(), 0)))
            pause = min(pause * 2, _MAX_POLL_S)
        if not closed and not stored:
            raise Unavailable(
                f"Bougies {self._request.timeframe.value} de {self._request.symbol} indisponibles jusqu'à "
                f"{self._request.until:%Y-%m-%d %H:%M} UTC : l'exchange n'en donne aucune.",
                code="candles_unavailable",
            )
        await self._store(closed, stored, settled=settled)
        return closed

    async def _ask(self, since: datetime) -> Sequence[Candle]:
        request = self._request
        left = self._seconds_left()
        if left <= 0:
            raise self._too_late()
        try:
            source, candles = await self._gateway.candles(
                request.broker_id,
                user_id=request.user_id,
                symbol=request.symbol,
                timeframe=request.timeframe,
                since=since,
                until=request.until + request.timeframe.duration,  # the successor proves the close
                timeout_s=left,
            )
        except DeadlineExceeded as exc:
            raise self._too_late() from exc
        if source != request.source:
            raise Unavailable(
                f"Bougies de {request.symbol} refusées : elles viennent de « {source} », attendu "
                f"« {request.source} » (le simulateur a changé de marché).",
                code="candle_source_changed",
            )
        return candles

    async def _store(self, closed: Sequence[Candle], stored: Sequence[Candle], *, settled: bool) -> None:
        """Store what later candles prove closed; holes between proven ones become flat rows."""
        proven = closed if settled else closed[:-1]
        if proven:
            before = [each for each in stored if each.open_time < proven[0].open_time][-1:]
            by_time = {each.open_time: each for each in (*before, *proven)}
            last = proven[-1].close_time if not settled else self._request.until
            filled = _fill(by_time, self._request.timeframe, last)
            await in_database(candle_store.save, self._request.source, filled)

    def _seconds_left(self) -> float:
        return (self._deadline - self._clock.now()).total_seconds()

    def _too_late(self) -> Unavailable:
        request = self._request
        return Unavailable(
            f"Bougies {request.timeframe.value} de {request.symbol} incomplètes : le service CCXT n'a pas donné la "
            f"bougie close à {request.until:%Y-%m-%d %H:%M:%S} UTC dans le délai.",
            code="candles_unavailable",
        )


def _first_missing(stored: Sequence[Candle], request: WindowRequest) -> datetime:
    expected = request.since
    for candle in stored:
        if candle.open_time != expected:
            return expected
        expected = candle.close_time
    return expected


def _contiguous(by_time: dict[datetime, Candle], request: WindowRequest) -> list[Candle]:
    return _fill(by_time, request.timeframe, request.until)[-request.count :]


def _fill(by_time: dict[datetime, Candle], timeframe: Timeframe, until: datetime) -> list[Candle]:
    """Return the candles from the first one to `until`, flat ones where there is a hole."""
    filled: list[Candle] = []
    moment = min(by_time)
    while moment < until:
        known = by_time.get(moment)
        filled.append(known if known is not None else _flat(filled[-1], timeframe, moment))
        moment += timeframe.duration
    return filled


def _flat(previous: Candle, timeframe: Timeframe, open_time: datetime) -> Candle:
    price = previous.close
    return Candle(
        symbol=previous.symbol,
        timeframe=timeframe,
        open_time=open_time,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=Decimal(0),
        trade_count=0,
    )
