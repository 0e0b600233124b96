"""Live public market data over ccxt: its WebSocket calls where it has them, single reads elsewhere.

Each stream has a client, and so a connection, of its own: closing it surely ends what the exchange sends
(few exchanges can unsubscribe through ccxt), and one market's trouble is nobody else's.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import structlog

from apps.core.adapters import ccxt_market_reads as market_reads
from apps.core.adapters import ccxt_translate as translate
from apps.core.adapters.ccxt_client_class import calling
from apps.core.adapters.ccxt_exchange import CcxtSession
from apps.core.adapters.ccxt_verdicts import PARSE_ERRORS, read_error
from domain.errors import AristobotError, ExchangeUnavailable, InvalidInput
from domain.live_market import LiveCandle, MarketStreamKey, OrderBook, StreamKind, Tape, TapeTrade, Ticker
from domain.messages import Priority
from domain.ports import Clock
from domain.rollup import source_timeframe
from domain.timeframes import Timeframe

log = structlog.get_logger(__name__)

BOOK_LEVELS = 20
_CLOSE_TIMEOUT_S = 3.0
_CANDLES_KEPT = 3
TAPE_LENGTH = 40
_WATCHED = {
    StreamKind.BOOK: "watchOrderBook",
    StreamKind.TICKER: "watchTicker",
    StreamKind.CANDLE: "watchOHLCV",
    StreamKind.TAPE: "watchTrades",
}
_NAMES = {
    StreamKind.BOOK: "du carnet d'ordres",
    StreamKind.TICKER: "du cours",
    StreamKind.CANDLE: "des bougies",
    StreamKind.TAPE: "des transactions",
}
# Levels of the book to keep: Binance's first read weighs by it; Kraken gives ten unless asked for more. Others
# have one full channel, and special ones for small depths that not every account may use.
_WATCHED_DEPTH = {"binance": 100, "kraken": 25}

Update = OrderBook | Ticker | Tape | Sequence[LiveCandle]


class Sessions(Protocol):
    async def session(self, broker_id: int) -> CcxtSession: ...


class CcxtMarketSources:
    """The `MarketSources` port over the pool of sessions."""

    def __init__(self, sessions: Sessions, *, clock: Clock) -> None:
        self._sessions = sessions
        self._clock = clock

    async def can_stream(self, key: MarketStreamKey, broker_id: int) -> bool:
        session = await self._sessions.session(broker_id)
        if key.timeframe is not None and key.timeframe.value not in session.timeframes:
            return False
        return session.offers(_WATCHED[key.kind])

    async def open_stream(self, key: MarketStreamKey, broker_id: int) -> "CcxtStream":
        session = await self._sessions.session(broker_id)
        client = session.new_public_client()
        stream = CcxtStream(client, _watch(client, key, self._clock), exchange=session.exchange_name, key=key)
        stream.start()
        return stream

    async def ask(self, key: MarketStreamKey, broker_id: int) -> Update:
        session = await self._sessions.session(broker_id)

        async def read(client: Any) -> Update:
            match key.kind:
                case StreamKind.BOOK:
                    return await market_reads.order_book(client, key.symbol, BOOK_LEVELS, now=self._clock.now())
                case StreamKind.TICKER:
                    return await market_reads.day_ticker(client, key.symbol)
                case StreamKind.TAPE:
                    return await market_reads.last_trades(client, key.symbol, TAPE_LENGTH)
                case StreamKind.CANDLE:
                    timeframe, native = _timeframes(key, session)
                    return await market_reads.newest_candles(client, key.symbol, timeframe, native)

        action = f"Relevé {_NAMES[key.kind]} {key.symbol}"
        return await session.read_public(action, read, priority=Priority.MARKETS)


class Watch(Protocol):
    """One `watch…` call of ccxt, and what is kept of its answers until they are read."""

    async def next(self) -> None: ...

    def read(self) -> Update: ...


class CcxtStream:
    """The `MarketSource` port: reads the connection without a pause and keeps the newest state only."""

    def __init__(self, client: Any, watch: Watch, *, exchange: str, key: MarketStreamKey) -> None:
        self._client = client
        self._watch = watch
        self._exchange = exchange
        self._key = key
        self._fresh = asyncio.Event()
        self._error: AristobotError | None = None
        self._reader: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._reader = asyncio.create_task(self._run(), name=f"market_stream.{self._key.symbol}")

    async def changed(self) -> None:
        await self._fresh.wait()
        if self._error is not None:
            raise self._error

    def read(self) -> Update:
        self._fresh.clear()
        return self._watch.read()

    async def close(self) -> None:
        """Stop reading and close the connection; never raises."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        self._client.timeout_on_exit = 0
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._client.close()
        except _close_errors() as exc:
            log.info("market_stream.not_closed", stream=str(self._key), error=type(exc).__name__)

    async def _run(self) -> None:
        try:
            with calling(Priority.MARKETS):
                while True:
                    await self._watch.next()
                    self._fresh.set()
        except asyncio.CancelledError:
            if _is_cancelled():
                raise
            # ccxt cancels its own futures when a connection goes.
            self._end(ExchangeUnavailable(f"{self._action()} coupé par {self._exchange}."))
        except _ccxt_errors() as exc:
            self._end(read_error(exc, exchange=self._exchange, action=self._action()))
        except Exception as exc:  # a task's boundary: whatever ended it must reach who waits
            log.exception("market_stream.defect", stream=str(self._key))
            self._end(ExchangeUnavailable(f"{self._action()} impossible chez {self._exchange} : {exc!r}."))

    def _end(self, error: AristobotError) -> None:
        self._error = error
        self._fresh.set()

    def _action(self) -> str:
        return f"Flux {_NAMES[self._key.kind]} {self._key.symbol}"


class _BookWatch:
    def __init__(self, client: Any, symbol: str, clock: Clock) -> None:
        self._client = client
        self._symbol = symbol
        self._clock = clock
        self._book: Mapping[str, Any] = {"bids": [], "asks": []}

    async def next(self) -> None:
        # ccxt's own object: it goes on changing, so what is read is always the newest.
        self._book = await self._client.watch_order_book(self._symbol, _WATCHED_DEPTH.get(self._client.id))

    def read(self) -> OrderBook:
        return market_reads.book_of(self._book, symbol=self._symbol, depth=BOOK_LEVELS, now=self._clock.now())


class _TickerWatch:
    def __init__(self, client: Any, symbol: str) -> None:
        self._client = client
        self._symbol = symbol
        self._ticker: Mapping[str, Any] = {}

    async def next(self) -> None:
        self._ticker = await self._client.watch_ticker(self._symbol)

    def read(self) -> Ticker:
        return market_reads.ticker_of(self._ticker, symbol=self._symbol)


class _TapeWatch:
    def __init__(self, client: Any, symbol: str) -> None:
        self._client = client
        self._symbol = symbol
        self._trades: tuple[TapeTrade, ...] | None = None

    async def next(self) -> None:
        if self._trades is None:
            # The past, shown with the first trade of the stream: an answer alone must not pass for a stream that
            # works. A trade between the two may be missing.
            self._trades = (await market_reads.last_trades(self._client, self._symbol, TAPE_LENGTH)).trades
        rows = await self._client.watch_trades(self._symbol)
        fresh = market_reads.tape_of(rows, symbol=self._symbol, length=TAPE_LENGTH).trades
        self._trades = (*fresh, *self._trades)[:TAPE_LENGTH]

    def read(self) -> Tape:
        return Tape(self._symbol, self._trades or ())


class _CandleWatch:
    def __init__(self, client: Any, symbol: str, timeframe: Timeframe) -> None:
        self._client = client
        self._symbol = symbol
        self._timeframe = timeframe
        self._rows: dict[int, list[Any]] = {}  # by opening time: the open candle, and what was not read yet
        self._unread: set[int] = set()

    async def next(self) -> None:
        for row in await self._client.watch_ohlcv(self._symbol, self._timeframe.value):
            opened = int(row[0])
            newest = max(self._rows, default=opened)
            if opened > newest:
                self._unread.add(newest)  # it is closed now
            self._rows[opened] = list(row)
            self._unread.add(opened)
        for old in sorted(self._rows)[:-_CANDLES_KEPT]:
            del self._rows[old]
            self._unread.discard(old)

    def read(self) -> list[LiveCandle]:
        newest = max(self._rows)
        unread, self._unread = sorted(self._unread), set()
        return [
            LiveCandle(
                translate.candle(self._rows[opened], symbol=self._symbol, timeframe=self._timeframe),
                closed=opened < newest,
            )
            for opened in unread
        ]


def _watch(client: Any, key: MarketStreamKey, clock: Clock) -> Watch:
    if key.kind is StreamKind.BOOK:
        return _BookWatch(client, key.symbol, clock)
    if key.kind is StreamKind.TAPE:
        return _TapeWatch(client, key.symbol)
    if key.timeframe is None:
        return _TickerWatch(client, key.symbol)
    return _CandleWatch(client, key.symbol, key.timeframe)


def _timeframes(key: MarketStreamKey, session: CcxtSession) -> tuple[Timeframe, Timeframe]:
    """Return the wanted timeframe and the one to read. Raises InvalidInput when none divides it."""
    wanted = key.timeframe
    native = None if wanted is None else source_timeframe(wanted, session.timeframes)
    if wanted is None or native is None:
        raise InvalidInput(
            f"Bougies {wanted.value if wanted else ''} de {key.symbol} impossibles chez {session.exchange_name} : "
            "aucune unité de temps offerte ne la divise.",
            code="timeframe_unsupported",
        )
    return wanted, native


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _close_errors() -> tuple[type[Exception], ...]:
    return (*_ccxt_errors(), TimeoutError, OSError)


def _ccxt_errors() -> tuple[type[Exception], ...]:
    import ccxt

    return (ccxt.BaseError, *PARSE_ERRORS)
