"""The klines route's range rules over a feed."""

from simex.market.klines import Kline, bounds, fill_gaps, flat, traded_klines
from simex.market.tradelog import Feed, TradeLog


def klines_between(
    feed: Feed, interval: str, now_ms: int, span: tuple[int | None, int | None], limit: int
) -> list[Kline]:
    """Return candles as Binance's klines route does.

    Args:
        feed: the market.
        interval: a native interval.
        now_ms: market time; no later trade is seen.
        span: startTime and endTime, both inclusive on the candle's open time, or None.
        limit: at most so many; the oldest with startTime, else the newest.
    """
    start_ms, end_ms = span
    last_ms = now_ms if end_ms is None else min(end_ms, now_ms)
    first_ms = _first_open(feed, interval, start_ms, last_ms, limit)
    if first_ms is None or first_ms > last_ms:
        return []
    stop_ms = _stop(interval, first_ms, last_ms, limit)
    seen_ms = min(stop_ms, now_ms + 1)
    found = traded_klines(feed, interval, first_ms, seen_ms)
    before = TradeLog(feed).latest(first_ms - 1, 1)
    before8 = before[0].price8 if before else None
    rows = list(fill_gaps(found, interval, first_ms, min(stop_ms, last_ms + 1), before8))
    return rows[:limit] if start_ms is not None else rows[-limit:]


def current_kline(feed: Feed, interval: str, now_ms: int) -> Kline | None:
    """Return the unfinished candle at a market time, None before any trade."""
    open_ms = bounds(interval, now_ms).open_ms
    found = traded_klines(feed, interval, open_ms, now_ms + 1)
    if found:
        return found[0]
    before = TradeLog(feed).latest(open_ms - 1, 1)
    return flat(interval, open_ms, before[0].price8) if before else None


def _first_open(feed: Feed, interval: str, start_ms: int | None, last_ms: int, limit: int) -> int | None:
    if start_ms is None:
        open_ms = bounds(interval, last_ms).open_ms
        for _ in range(limit - 1):
            open_ms = bounds(interval, open_ms - 1).open_ms
    else:
        opened = bounds(interval, start_ms)
        open_ms = opened.open_ms if opened.open_ms >= start_ms else opened.close_ms
    floor_ms = bounds(interval, feed.first_ms).open_ms
    return max(open_ms, floor_ms)


def _stop(interval: str, first_ms: int, last_ms: int, limit: int) -> int:
    close_ms = bounds(interval, first_ms).close_ms
    for _ in range(limit - 1):
        if close_ms > last_ms:
            break
        close_ms = bounds(interval, close_ms).close_ms
    return close_ms
