"""The exchange that is relayed: its REST questions and its stream, read as simex's own values.

Source: Binance Spot API (exchangeInfo, aggTrades, klines; streams `aggTrade` and `kline_1m`).
"""

import asyncio
import ipaddress
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import orjson

from simex.market.klines import Kline, bounds
from simex.market.tradelog import AggTrade
from simex.units import SCALE, units8

PAGE = 1_000
TIMEOUT_S = 10.0
READ_AHEAD = 4_000  # messages; beyond, the socket waits
CACHED = 200  # answers about past candles, which do not change any more
RUN_HEADER = "X-Simex-Run"
STREAMS = {"api.binance.com": "wss://stream.binance.com:9443"}


class UpstreamAway(Exception):
    """The exchange does not answer, or not as an exchange does.

    Args:
        retry_after_s: how long it asked to be left alone.
    """

    def __init__(self, reason: str, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class Heard(NamedTuple):
    """One stream message: a trade, or the news that everything up to `last_id` has been sent."""

    symbol: str
    event_ms: int
    trade: AggTrade | None
    last_id: int


def stream_url(rest_url: str) -> str:
    """Return where the streams of an exchange are, told from its REST address."""
    parts = urlsplit(rest_url)
    known = STREAMS.get(parts.hostname or "")
    return known or rest_url.rstrip("/").replace("http", "ws", 1)


def read_message(text: str) -> Heard | None:
    """Read a wrapped stream message; None for one of another kind.

    Raises:
        UpstreamAway: it is not what Binance documents.
    """
    try:
        content = orjson.loads(text)["data"]
        if content["e"] == "aggTrade":
            trade = _trade(content)
            return Heard(content["s"], int(content["E"]), trade, trade.last_id)
        if content["e"] == "kline":
            return Heard(content["s"], int(content["E"]), None, int(content["k"]["L"]))
    except (KeyError, TypeError, ValueError) as error:
        raise UpstreamAway(f"unreadable stream message: {error!r}") from error
    return None


def _trade(row: Mapping[str, Any]) -> AggTrade:
    return AggTrade(
        int(row["a"]),
        units8(row["p"]),
        units8(row["q"]),
        int(row["f"]),
        int(row["l"]),
        int(row["T"]),
        bool(row["m"]),
    )


def _kline(interval: str, row: Sequence[Any]) -> Kline:
    open_ms = int(row[0])
    first, high, low, close, volume = (units8(text) for text in row[1:6])
    return Kline(
        open_ms,
        bounds(interval, open_ms).close_ms,
        first,
        high,
        low,
        close,
        volume,
        units8(row[7]) * SCALE,
        int(row[8]),
        units8(row[9]),
        units8(row[10]) * SCALE,
    )


class Upstream:
    """A Binance-compatible exchange. Every method raises UpstreamAway when it cannot be asked.

    Args:
        rest_url: such as `https://api.binance.com`.
        ws_url: where its streams are; told from `rest_url` when empty.
    """

    def __init__(self, rest_url: str, ws_url: str = "") -> None:
        self.rest_url = rest_url.rstrip("/")
        self.ws_url = (ws_url or stream_url(rest_url)).rstrip("/")
        self.run = ""  # of another simex; Binance has none
        self._session: aiohttp.ClientSession | None = None
        self._candles: OrderedDict[tuple[Any, ...], list[Kline]] = OrderedDict()

    async def close(self) -> None:
        """Give the connections back."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def forget(self) -> None:
        """Forget cached answers: it is another market now."""
        self._candles.clear()

    async def symbols(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the exchangeInfo of these markets."""
        wanted = orjson.dumps(list(names)).decode()
        found: dict[str, Any] = await self._get("/api/v3/exchangeInfo", {"symbols": wanted})
        return found

    async def trades_from(self, symbol: str, from_id: int, limit: int = PAGE) -> list[AggTrade]:
        """Return trades with id >= from_id, oldest first."""
        return await self._trades({"symbol": symbol, "fromId": max(0, from_id), "limit": limit})

    async def trades_since(self, symbol: str, start_ms: int, limit: int = PAGE) -> list[AggTrade]:
        """Return the oldest trades at or after a time."""
        return await self._trades({"symbol": symbol, "startTime": start_ms, "limit": limit})

    async def newest_trade(self, symbol: str) -> AggTrade | None:
        """Return the last trade."""
        found = await self._trades({"symbol": symbol, "limit": 1})
        return found[-1] if found else None

    async def _trades(self, params: dict[str, Any]) -> list[AggTrade]:
        rows = await self._get("/api/v3/aggTrades", params)
        try:
            return [_trade(row) for row in rows]
        except (KeyError, TypeError, ValueError) as error:
            raise UpstreamAway(f"unreadable trades of {params['symbol']}: {error!r}") from error

    async def klines(
        self, symbol: str, interval: str, start_ms: int | None, end_ms: int, limit: int = PAGE
    ) -> list[Kline]:
        """Return closed candles that open in [start_ms, end_ms): the oldest, or without a start the newest.

        To be asked of the past only: answers are kept.
        """
        key = (symbol, interval, start_ms, end_ms, limit)
        if key in self._candles:
            self._candles.move_to_end(key)
            return self._candles[key]
        params = {"symbol": symbol, "interval": interval, "endTime": end_ms - 1, "limit": limit}
        rows = await self._get("/api/v3/klines", params | ({} if start_ms is None else {"startTime": start_ms}))
        try:
            found = [_kline(interval, row) for row in rows]
        except (IndexError, TypeError, ValueError) as error:
            raise UpstreamAway(f"unreadable candles of {symbol}: {error!r}") from error
        self._candles[key] = found
        while len(self._candles) > CACHED:
            self._candles.popitem(last=False)
        return found

    async def _get(self, path: str, params: Mapping[str, Any]) -> Any:
        try:
            async with self._client().get(self.rest_url + path, params=params) as answer:
                body = await answer.read()
                self.run = answer.headers.get(RUN_HEADER, "")
                if answer.status != 200:
                    wait = answer.headers.get("Retry-After", "")
                    reason = f"{path}: HTTP {answer.status} {body[:200].decode('utf-8', 'replace')}"
                    raise UpstreamAway(reason, float(wait) if wait.isdigit() else 0.0)
                return orjson.loads(body)
        except (aiohttp.ClientError, OSError, TimeoutError, orjson.JSONDecodeError) as error:
            raise UpstreamAway(f"{path}: {_words(error)}") from error

    @asynccontextmanager
    async def listen(self, symbols: Sequence[str]) -> AsyncIterator["asyncio.Queue[str | None]"]:
        """Open the trades and minute candles of these markets; the queue ends with None."""
        names = "/".join(f"{name.lower()}@aggTrade/{name.lower()}@kline_1m" for name in symbols)
        url = f"{self.ws_url}/stream?streams={names}"
        try:
            async with asyncio.timeout(TIMEOUT_S):
                socket = await self._client().ws_connect(url, max_msg_size=1_000_000)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise UpstreamAway(f"{self.ws_url}: {_words(error)}") from error
        queue: asyncio.Queue[str | None] = asyncio.Queue(READ_AHEAD)
        reader = asyncio.create_task(_read(socket, queue))
        try:
            yield queue
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
            await socket.close()

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
            # A server of this machine is never reached through the proxy of the environment.
            self._session = aiohttp.ClientSession(timeout=timeout, trust_env=not _is_loopback(self.rest_url))
        return self._session


async def _read(socket: aiohttp.ClientWebSocketResponse, queue: "asyncio.Queue[str | None]") -> None:
    async for message in socket:
        if message.type is aiohttp.WSMsgType.TEXT:
            await queue.put(message.data)
    await queue.put(None)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
