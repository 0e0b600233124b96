"""Public reads of a market's present state over ccxt: the order book, last prices."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from apps.core.adapters import ccxt_translate as translate
from apps.core.adapters.ccxt_client_class import is_binance
from domain.live_market import Level, LiveCandle, OrderBook, Tape, TapeTrade, Ticker
from domain.orders import Side
from domain.rollup import roll_up
from domain.timeframes import Timeframe, from_ms

# Exchanges that take any depth. Others know a few values only, or none: they give their own, cut here.
_TAKE_ANY_DEPTH = frozenset({"binance", "bitget", "bybit", "kraken", "kucoin", "okx"})
_BINANCE_SYMBOLS = 100  # of one request; beyond, all of them are asked for (the same weight)


async def order_book(client: Any, symbol: str, depth: int, *, now: datetime) -> OrderBook:
    """Read the best `depth` levels of both sides; `now` is its time when the exchange gives none."""
    raw = await client.fetch_order_book(symbol, depth if client.id in _TAKE_ANY_DEPTH else None)
    return book_of(raw, symbol=symbol, depth=depth, now=now)


def book_of(raw: Mapping[str, Any], *, symbol: str, depth: int, now: datetime) -> OrderBook:
    """Translate ccxt's book, sorted already, whose numbers are always floats."""
    moment = raw.get("timestamp")
    return OrderBook(
        symbol=symbol,
        bids=_levels(raw["bids"], depth),
        asks=_levels(raw["asks"], depth),
        at=now if moment is None else from_ms(int(moment)),
    )


async def day_ticker(client: Any, symbol: str) -> Ticker:
    """Read the last price and the last 24 hours."""
    return ticker_of(await client.fetch_ticker(symbol), symbol=symbol)


def ticker_of(raw: Mapping[str, Any], *, symbol: str) -> Ticker:
    """Translate ccxt's ticker, whose `percentage` is in percent."""
    percentage = translate.optional_decimal(raw.get("percentage"))
    return Ticker(
        symbol=symbol,
        last=translate.decimal(raw["last"]),
        change_24h_ratio=None if percentage is None else percentage / 100,
        high=translate.limit(raw.get("high")),
        low=translate.limit(raw.get("low")),
        volume=translate.optional_decimal(raw.get("baseVolume")),
        at_ms=None if raw.get("timestamp") is None else int(raw["timestamp"]),
    )


async def last_trades(client: Any, symbol: str, length: int) -> Tape:
    """Read the market's last trades."""
    rows = await client.fetch_trades(symbol, None, length)
    return tape_of(rows, symbol=symbol, length=length)


def tape_of(rows: Sequence[Mapping[str, Any]], *, symbol: str, length: int) -> Tape:
    """Translate ccxt's trades, oldest first, into the newest `length`; those without a side are left out."""
    trades = [
        TapeTrade(
            int(row["timestamp"]),
            translate.decimal(row["price"]),
            translate.decimal(row["amount"]),
            Side(row["side"]),
        )
        for row in rows[-length:]
        if row["side"] in ("buy", "sell")
    ]
    return Tape(symbol, tuple(reversed(trades)))


async def newest_candles(client: Any, symbol: str, timeframe: Timeframe, native: Timeframe) -> list[LiveCandle]:
    """Read the candle still open and the one before, by the exchange's own clock, out of `native` ones."""
    per_candle = timeframe.milliseconds // native.milliseconds
    rows = await client.fetch_ohlcv(symbol, native.value, None, 2 * per_candle)
    candles = [translate.candle(row, symbol=symbol, timeframe=native) for row in rows]
    rolled = candles if native is timeframe else roll_up(candles, timeframe)
    whole = [each for each in rolled if each.open_time >= candles[0].open_time]  # the first may lack its start
    newest = whole[-2:]
    return [LiveCandle(each, closed=each is not newest[-1]) for each in newest]


async def last_prices(client: Any, symbols: Sequence[str]) -> dict[str, Decimal]:
    """Read the last price of each market, in one request where the exchange allows it.

    Returns:
        By symbol; markets the exchange does not have, or that never traded, are left out.
    """
    known = [symbol for symbol in symbols if symbol in (client.markets or {})]
    if not known:
        return {}
    prices = await _prices(client, known)
    return {symbol: price for symbol in known if (price := translate.limit(prices.get(symbol))) is not None}


async def _prices(client: Any, symbols: Sequence[str]) -> dict[str, Any]:
    if is_binance(client):
        raw = await client.fetch_last_prices(symbols, _binance_symbols(client, symbols))
        return {symbol: each["price"] for symbol, each in raw.items()}
    if client.has.get("fetchTickers"):
        tickers = await client.fetch_tickers(symbols)
        return {symbol: each["last"] for symbol, each in tickers.items()}
    return {symbol: (await client.fetch_ticker(symbol))["last"] for symbol in symbols}


def _binance_symbols(client: Any, symbols: Sequence[str]) -> dict[str, str]:
    if len(symbols) > _BINANCE_SYMBOLS:
        return {}
    return {"symbols": json.dumps([client.market(symbol)["id"] for symbol in symbols], separators=(",", ":"))}


def _levels(rows: Sequence[Sequence[Any]], depth: int) -> tuple[Level, ...]:
    return tuple((translate.decimal(row[0]), translate.decimal(row[1])) for row in rows[:depth])
