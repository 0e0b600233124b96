"""Market data routes; market times everywhere but in `time`."""

from collections.abc import Mapping
from typing import Any

import orjson

from simex.api.call import Call, Route, Routes
from simex.depth_streams import book_rows
from simex.engine.errors import ApiError
from simex.live import answers as relayed
from simex.live.answers import unavailable
from simex.live.feed import LiveFeed
from simex.live.relay import Relay
from simex.market.klines import DAY_MS, FIXED_MS, INTERVALS, traded_klines
from simex.market.query import klines_between
from simex.market.symbols import SymbolRules
from simex.market.tradelog import AggTrade, RawTrade, split_raw
from simex.tickers import best_prices, day_statistics
from simex.units import text8, text16


def ping(_call: Call) -> Any:
    """Answer nothing."""
    return {}


def server_time(call: Call) -> Any:
    """Return the API clock, never the market's."""
    return {"serverTime": call.sim.wall() + call.sim.faults.clock_offset_ms}


def exchange_info(call: Call) -> Any:
    """Return limits and symbols."""
    wanted = _symbols(call)
    relay = call.sim.relay
    if relay is not None and not call.sim.has_rules:
        raise unavailable(relay)
    limits = call.limits
    return {
        "timezone": "UTC",
        "serverTime": call.sim.wall(),
        "rateLimits": [
            _rate("REQUEST_WEIGHT", "MINUTE", 1, limits.weight_limit),
            _rate("ORDERS", "SECOND", 10, limits.orders_10s),
            _rate("ORDERS", "DAY", 1, limits.orders_day),
            _rate("RAW_REQUESTS", "MINUTE", 5, limits.weight_limit * 10),
        ],
        "exchangeFilters": [],
        "symbols": [rules.describe() for rules in wanted],
    }


def _rate(kind: str, interval: str, number: int, limit: int) -> dict[str, Any]:
    return {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit}


def _symbols(call: Call) -> list[SymbolRules]:
    if "symbol" in call.params:
        return [call.rules()]
    if "symbols" not in call.params:
        return list(call.sim.rules.values())
    try:
        names = orjson.loads(call.params["symbols"])
        return [call.sim.rules[name] for name in names]
    except (ValueError, TypeError) as error:
        raise ApiError(-1101, "Illegal value sent for parameter 'symbols'.") from error
    except KeyError as error:
        raise ApiError(-1121, "Invalid symbol.") from error


def depth(call: Call) -> Any:
    """Return the synthetic book with the users' resting orders in it."""
    rules = call.rules()
    limit = call.limit(100, 5000)
    book = call.sim.depth.book(rules.symbol)
    return {
        "lastUpdateId": book.update_id,
        "bids": book_rows(book, "BUY", limit),
        "asks": book_rows(book, "SELL", limit),
    }


def trades(call: Call) -> Any:
    """Return the newest executions."""
    rules = call.rules()
    limit = call.limit(500, 1000)
    found = call.sim.logs[rules.symbol].latest(call.sim.clock.now_ms, limit)
    raw = [one for trade in found for one in split_raw(trade)]
    return [_raw_row(one) for one in raw[-limit:]]


def historical_trades(call: Call) -> Any:
    """Return executions from a trade id on."""
    from_id = call.integer("fromId")
    if from_id is None:
        return trades(call)
    rules = call.rules()
    limit = call.limit(500, 1000)
    now_ms = call.sim.clock.now_ms
    found = call.sim.logs[rules.symbol].from_raw_id(from_id, now_ms + 1, limit)
    raw = [one for trade in found for one in split_raw(trade) if one.trade_id >= from_id]
    return [_raw_row(one) for one in raw[:limit]]


def _raw_row(trade: RawTrade) -> dict[str, Any]:
    return {
        "id": trade.trade_id,
        "price": text8(trade.price8),
        "qty": text8(trade.quantity8),
        "quoteQty": text16(trade.price8 * trade.quantity8),
        "time": trade.time_ms,
        "isBuyerMaker": trade.buyer_is_maker,
        "isBestMatch": True,
    }


def agg_trades(call: Call) -> Any:
    """Return aggregate trades by id, by range of time, or the newest."""
    rules = call.rules()
    log = call.sim.logs[rules.symbol]
    limit = call.limit(500, 1000)
    now_ms = call.sim.clock.now_ms
    from_id, start, end = (call.integer(name) for name in ("fromId", "startTime", "endTime"))
    if from_id is not None and (start is not None or end is not None):
        raise ApiError(-1128, "Combination of optional parameters invalid.")
    if call.sim.relay is not None and not (from_id is None and start is None and end is not None):
        return _relayed_trades(call, call.sim.relay, rules.symbol, from_id, start, end, limit)
    if from_id is not None:
        found = log.from_id(from_id, now_ms + 1, limit)
    elif start is not None:
        stop = now_ms if end is None else min(end, now_ms)
        found = log.between(start, stop + 1, limit)
    else:
        found = log.latest(now_ms if end is None else min(end, now_ms), limit)
    return [_agg_row(trade) for trade in found]


async def _relayed_trades(
    call: Call, relay: Relay, symbol: str, from_id: int | None, start: int | None, end: int | None, limit: int
) -> Any:
    now_ms = call.sim.clock.now_ms
    stop_ms = now_ms if end is None else min(end, now_ms)
    found = await relayed.trades(relay, call.sim.live_feeds[symbol], stop_ms, from_id, start, limit)
    return [_agg_row(trade) for trade in found]


def _agg_row(trade: AggTrade) -> dict[str, Any]:
    return {
        "a": trade.agg_id,
        "p": text8(trade.price8),
        "q": text8(trade.quantity8),
        "f": trade.first_id,
        "l": trade.last_id,
        "T": trade.time_ms,
        "m": trade.buyer_is_maker,
        "M": True,
    }


def klines(call: Call) -> Any:
    """Return candles of a native interval."""
    rules = call.rules()
    interval = call.params["interval"]
    if interval not in INTERVALS:
        raise ApiError(-1120, "Invalid interval.")
    span = call.integer("startTime"), call.integer("endTime")
    limit = call.limit(500, 1000)
    feed = call.sim.feeds[rules.symbol]
    now_ms = call.sim.clock.now_ms
    if call.sim.relay is not None:
        return _relayed_klines(call.sim.relay, call.sim.live_feeds[rules.symbol], interval, now_ms, span, limit)
    return [one.row() for one in klines_between(feed, interval, now_ms, span, limit)]


async def _relayed_klines(
    relay: Relay, feed: LiveFeed, interval: str, now_ms: int, span: relayed.Span, limit: int
) -> Any:
    found = await relayed.klines(relay, feed, interval, now_ms, span, limit)
    return [one.row() for one in found]


def _is_long(params: Mapping[str, str]) -> bool:
    """Tell whether the candles may span days of trades: computed aside, off the loop."""
    length_ms = FIXED_MS.get(params["interval"], 31 * DAY_MS)
    limit = params.get("limit", "500")
    return length_ms * (int(limit) if limit.isdigit() else 0) > 2 * DAY_MS


def avg_price(call: Call) -> Any:
    """Return the mean price of five minutes."""
    rules = call.rules()
    now_ms = call.sim.clock.now_ms
    found = traded_klines(call.sim.feeds[rules.symbol], "1m", now_ms - 300_000, now_ms + 1)
    volume = sum(one.volume8 for one in found)
    price = sum(one.quote16 for one in found) // volume if volume else _last8(call, rules)
    return {"mins": 5, "price": text8(price), "closeTime": now_ms}


def _last8(call: Call, rules: SymbolRules) -> int:
    last = call.sim.exchange.books[rules.symbol].last
    return last.price8 if last else 0


def ticker_24hr(call: Call) -> Any:
    """Return a day's statistics, of one symbol or of several."""
    return _one_or_many(
        call,
        lambda c, rules: day_statistics(
            c.sim.feeds[rules.symbol], c.sim.exchange.books[rules.symbol], c.sim.clock.now_ms
        ),
    )


def ticker_price(call: Call) -> Any:
    """Return last prices."""
    return _one_or_many(call, lambda c, rules: {"symbol": rules.symbol, "price": text8(_last8(c, rules))})


def book_ticker(call: Call) -> Any:
    """Return best prices and quantities."""
    return _one_or_many(call, lambda c, rules: best_prices(c.sim.exchange.books[rules.symbol]))


def _one_or_many(call: Call, describe: Any) -> Any:
    found = [describe(call, rules) for rules in _symbols(call)]
    return found[0] if "symbol" in call.params else found


def _by_symbol(one: int, many: int) -> Any:
    def weigh(params: Mapping[str, str]) -> int:
        return one if "symbol" in params else many

    return weigh


RANGE = ("startTime", "endTime", "limit")
PUBLIC: Routes = {
    ("GET", "/api/v3/ping"): Route(ping),
    ("GET", "/api/v3/time"): Route(server_time),
    ("GET", "/api/v3/exchangeInfo"): Route(
        exchange_info, 20, optional=("symbol", "symbols", "permissions", "showPermissionSets")
    ),
    ("GET", "/api/v3/depth"): Route(depth, 5, required=("symbol",), optional=("limit",)),
    ("GET", "/api/v3/trades"): Route(trades, 25, required=("symbol",), optional=("limit",)),
    ("GET", "/api/v3/historicalTrades"): Route(
        historical_trades, 25, required=("symbol",), optional=("limit", "fromId")
    ),
    ("GET", "/api/v3/aggTrades"): Route(agg_trades, 4, required=("symbol",), optional=("fromId", *RANGE)),
    ("GET", "/api/v3/klines"): Route(
        klines, 2, False, ("symbol", "interval"), ("timeZone", *RANGE), is_slow=_is_long
    ),
    ("GET", "/api/v3/avgPrice"): Route(avg_price, 2, required=("symbol",)),
    ("GET", "/api/v3/ticker/24hr"): Route(ticker_24hr, _by_symbol(2, 80), optional=("symbol", "symbols", "type")),
    ("GET", "/api/v3/ticker/price"): Route(ticker_price, _by_symbol(2, 4), optional=("symbol", "symbols")),
    ("GET", "/api/v3/ticker/bookTicker"): Route(book_ticker, _by_symbol(2, 4), optional=("symbol", "symbols")),
}
