"""The candles of a long stretch of the past: fetched page by page where PostgreSQL has not verified them.

The only writer of `candle_ranges`. A page's candles and its verified range are committed together, so that a
download stopped at any point goes on from there, whoever asks next; two that want the same market share its
pages, one page at a time.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ParamSpec, Protocol, TypeVar

import structlog
from django.db import connection, transaction

from apps.market_data import history_selectors
from apps.market_data.history_selectors import Span
from apps.market_data.models import CandleRange
from apps.market_data.services import candle_store
from domain.candles import Candle
from domain.errors import AristobotError, Unavailable
from domain.messages import Priority
from domain.ports import Clock, Gateway
from domain.timeframes import Timeframe

log = structlog.get_logger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

PAGE = 1_000  # candles: what most exchanges give at once
_MAX_PAGE = 16 * PAGE  # where the exchange has nothing (before a listing), pages grow up to that
_PAGE_TIMEOUT_S = 30.0
_TRIES = 4
_FIRST_PAUSE_S = 0.5
_SETTLING = 10  # candles: the last ones before the market's clock may not be there yet


class Queries(Protocol):
    """Runs ORM functions off the event loop."""

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R: ...


@dataclass(frozen=True, slots=True)
class HistoryRequest:
    """Which candles: those of (source, symbol, timeframe) with since <= open_time < until.

    Args:
        source: `selectors.candle_source_of(exchange)`.
        market_time: the market's clock; `until` is not after it.
    """

    broker_id: int
    user_id: int
    source: str
    symbol: str
    timeframe: Timeframe
    since: datetime
    until: datetime
    market_time: datetime

    @property
    def market(self) -> tuple[str, str, Timeframe]:
        return self.source, self.symbol, self.timeframe


@dataclass(frozen=True, slots=True)
class Loaded:
    """How far a download has come: candles' places verified, of those that were missing at its start."""

    done: int
    total: int
    seconds_left: float | None

    @property
    def ratio(self) -> float:
        return 1.0 if self.total == 0 else self.done / self.total


@dataclass(slots=True)
class _Pace:
    """Measures how long is left, from what has been done since the start."""

    clock: Clock
    total: int = 0
    started_at: float = field(init=False)

    def __post_init__(self) -> None:
        self.started_at = self.clock.monotonic()

    def after(self, missing: int) -> Loaded:
        self.total = max(self.total, missing)
        done = self.total - missing
        elapsed = self.clock.monotonic() - self.started_at
        return Loaded(done, self.total, elapsed / done * missing if done else None)


class CandleHistory:
    """Completes what is stored. One per process: its downloads share pages."""

    def __init__(self, gateway: Gateway, *, queries: Queries, clock: Clock) -> None:
        self._gateway = gateway
        self._queries = queries
        self._clock = clock
        self._locks: defaultdict[tuple[str, str, Timeframe], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def ensure(self, request: HistoryRequest, progress: Callable[[Loaded], None]) -> None:
        """Fetch and store what is missing. Cancelling stops between two steps; what was stored stays.

        Args:
            progress: called at the start and after each page.

        Raises:
            Unavailable, ExchangeError: a page could not be had after some tries; French, with its cause.
        """
        pace, size = _Pace(self._clock), PAGE
        while True:
            async with self._locks[request.market]:
                missing = await self._missing(request)
                progress(pace.after(history_selectors.count_places(missing, request.timeframe)))
                if not missing:
                    return
                page = _first_page(missing[0], request.timeframe, size)
                candles = await self._fetch(request, page)
                complete = await self._store(request, page, candles)
            if not complete:  # the last candles before the market's clock: they come when they come
                return
            size = PAGE if candles else min(2 * size, _MAX_PAGE)

    async def _missing(self, request: HistoryRequest) -> list[Span]:
        since, until = request.since, request.until
        verified = await self._queries.run(
            history_selectors.verified_spans, *request.market, since=since, until=until
        )
        return history_selectors.missing_spans(verified, since=since, until=until)

    async def _fetch(self, request: HistoryRequest, page: Span) -> Sequence[Candle]:
        async def ask() -> Sequence[Candle]:
            source, candles = await self._gateway.candles(
                request.broker_id,
                user_id=request.user_id,
                symbol=request.symbol,
                timeframe=request.timeframe,
                since=page.start,
                until=page.end,
                timeout_s=_PAGE_TIMEOUT_S,
                priority=Priority.HISTORY,
            )
            _check_source(request, source)
            return candles

        return await self._patiently(ask, request, page)

    async def _patiently(
        self, ask: Callable[[], Awaitable[Sequence[Candle]]], request: HistoryRequest, page: Span
    ) -> Sequence[Candle]:
        """Ask again while the trouble may pass."""
        tries = 0
        while True:
            try:
                return await ask()
            except AristobotError as exc:
                tries += 1
                if not exc.retryable or tries == _TRIES:
                    raise
                log.warning("history.asked_again", symbol=request.symbol, since=page.start, error=exc.message)
            await self._clock.sleep(_FIRST_PAUSE_S * 2**tries)

    async def _store(self, request: HistoryRequest, page: Span, candles: Sequence[Candle]) -> bool:
        """Commit a page; return whether all of it is verified."""
        verified = _verified(page, candles, request)
        await self._queries.run(save_page, *request.market, candles, verified)
        return verified is not None and verified.end == page.end


def save_page(
    source: str, symbol: str, timeframe: Timeframe, candles: Sequence[Candle], verified: Span | None
) -> None:
    """Store a page's candles and, in the same transaction, the stretch that they prove complete."""
    with transaction.atomic():
        if candles:
            candle_store.copy(source, candles)
        if verified is not None:
            _merge(source, symbol, timeframe, verified)


def _merge(source: str, symbol: str, timeframe: Timeframe, span: Span) -> None:
    """Add a verified stretch; those that it meets become one with it."""
    key = {"source": source, "symbol": symbol, "timeframe": timeframe.value}
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"candle_ranges:{key}"])
    met = CandleRange.objects.filter(**key, start__lte=span.end, end__gte=span.start)
    bounds = [(row.start, row.end) for row in met] + [(span.start, span.end)]
    met.delete()
    CandleRange.objects.create(**key, start=min(start for start, _ in bounds), end=max(end for _, end in bounds))


def _first_page(missing: Span, timeframe: Timeframe, size: int) -> Span:
    return Span(missing.start, min(missing.end, missing.start + size * timeframe.duration))


def _verified(page: Span, candles: Sequence[Candle], request: HistoryRequest) -> Span | None:
    """Return what a page proves: all of it, unless its last candles may only be late."""
    settled = request.market_time - _SETTLING * request.timeframe.duration
    if page.end <= settled:
        return page
    last = max((each.close_time for each in candles), default=page.start)
    end = max(last, min(page.end, request.timeframe.open_time(settled)))
    return Span(page.start, end) if end > page.start else None


def _check_source(request: HistoryRequest, source: str) -> None:
    if source != request.source:
        raise Unavailable(
            f"Bougies de {request.symbol} refusées : elles viennent de « {source} », attendu "
            f"« {request.source} » (le simulateur a changé de marché).",
            code="candle_source_changed",
        )


def remaining(seconds: float | None) -> str:
    """Return a duration as a French reader expects it beside a progress bar, "" when it is not known."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
