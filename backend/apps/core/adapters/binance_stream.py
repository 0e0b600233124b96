"""Binance's public market data, natively: WebSocket `aggTrade` and `kline_1m`, REST for the past.

Source: Binance Spot API, WebSocket Streams and General endpoints (ping every 20 s answered by the library,
cut after 24 h, aggTrades weight 4 per 1,000).
"""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson
import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI, WebSocketException

from domain.candles import Candle
from domain.errors import ExchangeError, ExchangeRateLimited, ExchangeUnavailable
from domain.market_feed import Batch, FeedCounters, FeedIdentity, StreamEvent, TradeEvent
from domain.market_tracker import KlineEvent
from domain.ports import Clock
from domain.timeframes import Timeframe, from_ms
from domain.trade_sequence import AggTrade

log = structlog.get_logger(__name__)

RUN_HEADER = "X-Simex-Run"
READ_AHEAD = 4_000  # messages; beyond, the socket waits, and the exchange with it
BATCH = 2_000
RENEW_AFTER_S = 23.5 * 3600  # before the cut of 24 h
OPEN_TIMEOUT_S = 10.0
REST_TIMEOUT_S = 10.0


class MalformedMessage(ValueError):
    """A stream message that is not what Binance documents."""


def parse_message(raw: bytes) -> StreamEvent | None:
    """Read one stream message, wrapped (`/stream`) or bare (`/ws`); None when it is of another kind.

    Raises:
        MalformedMessage: not JSON, a field is missing or no number.
    """
    try:
        body = orjson.loads(raw)
        content = body.get("data", body)
        kind = content.get("e")
        if kind == "aggTrade":
            return TradeEvent(content["s"], int(content["E"]), _trade(content), raw)
        if kind == "kline":
            return _kline(content)
        if kind == "serverShutdown":
            raise ExchangeUnavailable("Flux Binance : arrêt du serveur annoncé.", code="stream_renewal")
        return None
    except (KeyError, TypeError, ValueError, AttributeError, InvalidOperation) as exc:
        raise MalformedMessage(f"{type(exc).__name__}: {exc}") from exc


def _trade(body: dict[str, Any]) -> AggTrade:
    price, quantity = Decimal(body["p"]), Decimal(body["q"])
    if not (price > 0 and quantity > 0):
        raise ValueError(f"price {price}, quantity {quantity}")
    return AggTrade(
        int(body["a"]), price, quantity, int(body["f"]), int(body["l"]), int(body["T"]), bool(body["m"])
    )


def _kline(content: dict[str, Any]) -> KlineEvent:
    k = content["k"]
    return KlineEvent(
        symbol=content["s"],
        event_ms=int(content["E"]),
        open_ms=int(k["t"]),
        is_final=bool(k["x"]),
        last_trade_id=int(k["L"]),
        open=Decimal(k["o"]),
        high=Decimal(k["h"]),
        low=Decimal(k["l"]),
        close=Decimal(k["c"]),
        volume=Decimal(k["v"]),
        trade_count=int(k["n"]),
    )


class BinanceStream:
    """An open connection, read ahead by a bounded queue: when we are slow, the exchange waits."""

    def __init__(self, socket: ClientConnection, clock: Clock) -> None:
        self.counters = FeedCounters()
        self._socket = socket
        self._clock = clock
        self._opened_s = clock.monotonic()
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(READ_AHEAD)
        self._closed_because = ""

    async def read(self) -> None:
        """Move messages into the queue until the connection ends; run as a task."""
        try:
            while True:
                await self._queue.put(await self._socket.recv(decode=False))
        except ConnectionClosed as exc:
            self._closed_because = str(exc)
            await self._queue.put(None)

    async def next_batch(self, timeout_s: float) -> Batch:
        if self._clock.monotonic() - self._opened_s > RENEW_AFTER_S:
            raise ExchangeUnavailable(
                "Flux Binance : connexion renouvelée avant la coupure des 24 h.", code="stream_renewal"
            )
        try:
            async with asyncio.timeout(timeout_s):
                first = await self._queue.get()
        except TimeoutError:
            return Batch(received_s=self._clock.monotonic())
        return self._parse(first)

    def _parse(self, first: bytes | None) -> Batch:
        events: list[StreamEvent] = []
        malformed = 0
        raw: bytes | None = first
        while True:
            if raw is None:
                if events:
                    self._queue.put_nowait(None)  # said again at the next call, once these are applied
                    break
                raise ExchangeUnavailable(f"Flux Binance coupé : {self._closed_because}.")
            try:
                event = parse_message(raw)
                if event is not None:
                    events.append(event)
            except MalformedMessage as exc:
                malformed += 1
                self._note_malformed(raw, exc)
            if len(events) >= BATCH or self._queue.empty():
                break
            raw = self._queue.get_nowait()
        self.counters.messages += len(events)
        return Batch(events, malformed, self._clock.monotonic())

    def _note_malformed(self, raw: bytes, exc: MalformedMessage) -> None:
        self.counters.malformed += 1
        self.counters.last_malformed = str(exc)
        if self.counters.malformed == 1 or self.counters.malformed % 1000 == 0:
            log.warning(
                "heartbeat.malformed_message",
                error=str(exc),
                beginning=raw[:120].decode("utf-8", "replace"),
                count=self.counters.malformed,
            )


class BinanceFeed:
    """The `MarketFeed` of Binance and of whatever speaks its protocol at another address."""

    def __init__(self, *, ws_url: str, rest_url: str, clock: Clock) -> None:
        self._ws_url = ws_url.rstrip("/")
        self._rest_url = rest_url.rstrip("/")
        self._clock = clock
        # A server of this machine is never reached through the proxy of the environment.
        self._is_local = _is_loopback(ws_url)
        self._http = httpx.AsyncClient(
            base_url=self._rest_url, timeout=REST_TIMEOUT_S, trust_env=not _is_loopback(rest_url)
        )

    async def close(self) -> None:
        await self._http.aclose()

    @asynccontextmanager
    async def connect(self, symbols: Sequence[str]) -> AsyncIterator[BinanceStream]:
        """Open the stream of these markets. Raises ExchangeUnavailable."""
        names = "/".join(f"{s.lower()}@aggTrade/{s.lower()}@kline_1m" for s in symbols)
        socket = await self._open(f"{self._ws_url}/stream?streams={names}")
        stream = BinanceStream(socket, self._clock)
        reader = asyncio.create_task(stream.read(), name="heartbeat.read_socket")
        try:
            yield stream
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
            await socket.close()

    async def _open(self, url: str) -> ClientConnection:
        try:
            # No ping of ours: at full speed its answer waits behind the data; silence is watched instead.
            return await connect(
                url,
                compression=None,
                ping_interval=None,
                open_timeout=OPEN_TIMEOUT_S,
                close_timeout=1.0,
                max_queue=256,
                proxy=None if self._is_local else True,
            )
        except (OSError, TimeoutError, InvalidHandshake, InvalidURI, WebSocketException) as exc:
            raise ExchangeUnavailable(f"Connexion au flux {self._ws_url} impossible : {exc}.") from exc

    async def identity(self) -> FeedIdentity:
        answer = await self._get("/api/v3/ping", {})
        run = answer.headers.get(RUN_HEADER)
        if not run:
            return FeedIdentity("binance")
        state = (await self._get("/__sim/run", {})).json()
        return FeedIdentity(f"simex:{run}", int(state["market_time"]), bool(state.get("ended", False)))

    async def trades_from_id(self, symbol: str, from_id: int, *, limit: int = 1000) -> list[AggTrade]:
        return await self._trades({"symbol": symbol, "fromId": max(from_id, 0), "limit": limit})

    async def trades_since(self, symbol: str, start_ms: int, *, limit: int = 1000) -> list[AggTrade]:
        return await self._trades({"symbol": symbol, "startTime": start_ms, "limit": limit})

    async def newest_trade(self, symbol: str) -> AggTrade | None:
        found = await self._trades({"symbol": symbol, "limit": 1})
        return found[-1] if found else None

    async def minutes(self, symbol: str, *, start_ms: int, end_ms: int) -> list[Candle]:
        params = {"symbol": symbol, "interval": "1m", "startTime": start_ms, "endTime": end_ms - 1, "limit": 1000}
        rows = _decode(await self._get("/api/v3/klines", params))
        try:
            return [_minute(symbol, row) for row in rows]
        except (LookupError, TypeError, ValueError, InvalidOperation) as exc:
            raise ExchangeUnavailable(f"Bougies de {symbol} illisibles : {exc!r}.") from exc

    async def _trades(self, params: dict[str, Any]) -> list[AggTrade]:
        rows = _decode(await self._get("/api/v3/aggTrades", params))
        try:
            return [_trade(row) for row in rows]
        except (LookupError, TypeError, ValueError, InvalidOperation) as exc:
            raise ExchangeUnavailable(f"Transactions de {params['symbol']} illisibles : {exc!r}.") from exc

    async def _get(self, path: str, params: dict[str, Any]) -> httpx.Response:
        try:
            answer = await self._http.get(path, params=params)
        except httpx.HTTPError as exc:
            raise ExchangeUnavailable(f"{self._rest_url}{path} ne répond pas : {exc!r}.") from exc
        if answer.status_code in (429, 418):
            wait = answer.headers.get("Retry-After")
            raise ExchangeRateLimited(
                f"{path} : limite de requêtes atteinte (HTTP {answer.status_code}).",
                retry_after_s=float(wait) if wait and wait.isdigit() else None,
            )
        if answer.status_code >= 500:
            raise ExchangeUnavailable(f"{path} : HTTP {answer.status_code}.")
        if answer.status_code != 200:
            raise ExchangeError(f"{path} refusé : HTTP {answer.status_code}, {answer.text[:200]}.")
        return answer


def _decode(answer: httpx.Response) -> Any:
    try:
        return orjson.loads(answer.content)
    except orjson.JSONDecodeError as exc:
        raise ExchangeUnavailable(f"{answer.url.path} : réponse qui n'est pas du JSON.") from exc


def _minute(symbol: str, row: Sequence[Any]) -> Candle:
    first, high, low, close, volume = (Decimal(text) for text in row[1:6])
    return Candle(symbol, Timeframe.M1, from_ms(int(row[0])), first, high, low, close, volume, int(row[8]))


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
