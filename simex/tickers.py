"""A day's statistics and best prices, for the REST routes and the ticker streams."""

from collections.abc import Sequence
from typing import Any

from simex.market.depth import SyntheticBook
from simex.market.klines import Kline, traded_klines
from simex.market.tradelog import Feed
from simex.units import decimal8, money, text8, text16

DAY_MS = 86_400_000
NOTHING = "0.00000000"


def best_prices(book: SyntheticBook) -> dict[str, str]:
    """Return symbol, bidPrice, bidQty, askPrice and askQty."""
    found = {"symbol": book.rules.symbol}
    for side, name in (("BUY", "bid"), ("SELL", "ask")):
        level = next(book.levels(side), None)
        found[f"{name}Price"] = money(level.price) if level else NOTHING
        found[f"{name}Qty"] = money(level.quantity) if level else NOTHING
    return found


def day_statistics(feed: Feed, book: SyntheticBook, now_ms: int) -> dict[str, Any]:
    """Return the answer of ticker/24hr for one market."""
    hours: Sequence[Kline] = traded_klines(feed, "1h", now_ms - DAY_MS, now_ms + 1)
    last8 = book.last.price8 if book.last else 0
    open8 = hours[0].open8 if hours else last8
    volume8, quote16 = sum(k.volume8 for k in hours), sum(k.quote16 for k in hours)
    change = decimal8(last8) - decimal8(open8)
    percent = change * 100 / decimal8(open8) if open8 else change
    best = best_prices(book)
    return {
        "symbol": best.pop("symbol"),
        "priceChange": format(change, ".8f"),
        "priceChangePercent": format(percent, ".3f"),
        "weightedAvgPrice": text8(quote16 // volume8 if volume8 else last8),
        "prevClosePrice": text8(open8),
        "lastPrice": text8(last8),
        "lastQty": text8(book.last.quantity8 if book.last else 0),
        **best,
        "openPrice": text8(open8),
        "highPrice": text8(max((k.high8 for k in hours), default=last8)),
        "lowPrice": text8(min((k.low8 for k in hours), default=last8)),
        "volume": text8(volume8),
        "quoteVolume": text16(quote16),
        "openTime": now_ms - DAY_MS,
        "closeTime": now_ms,
        "firstId": hours[0].first_id if hours else -1,
        "lastId": hours[-1].last_id if hours else -1,
        "count": sum(k.trades for k in hours),
    }


def ticker_message(feed: Feed, book: SyntheticBook, now_ms: int, *, mini: bool) -> dict[str, Any]:
    """Return a ticker or miniTicker stream message."""
    day = day_statistics(feed, book, now_ms)
    message = {
        "e": "24hrMiniTicker" if mini else "24hrTicker",
        "E": now_ms,
        "s": day["symbol"],
        "c": day["lastPrice"],
        "o": day["openPrice"],
        "h": day["highPrice"],
        "l": day["lowPrice"],
        "v": day["volume"],
        "q": day["quoteVolume"],
    }
    if mini:
        return message
    return message | {
        "p": day["priceChange"],
        "P": day["priceChangePercent"],
        "w": day["weightedAvgPrice"],
        "x": day["prevClosePrice"],
        "Q": day["lastQty"],
        "b": day["bidPrice"],
        "B": day["bidQty"],
        "a": day["askPrice"],
        "A": day["askQty"],
        "O": day["openTime"],
        "C": day["closeTime"],
        "F": day["firstId"],
        "L": day["lastId"],
        "n": day["count"],
    }


def book_message(book: SyntheticBook) -> dict[str, Any]:
    """Return a bookTicker stream message."""
    best = best_prices(book)
    return {
        "u": book.last.last_id if book.last else 0,
        "s": best["symbol"],
        "b": best["bidPrice"],
        "B": best["bidQty"],
        "a": best["askPrice"],
        "A": best["askQty"],
    }
