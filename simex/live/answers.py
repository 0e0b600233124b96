"""What simex answers about the past of a relayed market: its own log, and the upstream's before it."""

from simex.engine.errors import ApiError
from simex.live.feed import LiveFeed
from simex.live.relay import Relay
from simex.live.upstream import UpstreamAway
from simex.market.klines import Kline, bounds
from simex.market.query import klines_between
from simex.market.tradelog import AggTrade, TradeLog

Span = tuple[int | None, int | None]


def unavailable(relay: Relay, error: object = "") -> ApiError:
    """Return the refusal of a question that only the upstream could answer."""
    why = str(error) or relay.standing.error or "silent"
    text = f"Internal error; unable to process your request. Upstream {relay.upstream.rest_url} is away: {why}"
    return ApiError(-1001, text[:500], 503)


async def klines(relay: Relay, feed: LiveFeed, interval: str, now_ms: int, span: Span, limit: int) -> list[Kline]:
    """Return candles as Binance's route does: the past as the upstream tells it, the present from the log.

    Raises:
        ApiError: the upstream is away, and the present or an unknown past was asked for.
    """
    start_ms, end_ms = span
    if relay.is_away and (end_ms is None or end_ms >= now_ms):
        raise unavailable(relay)
    edge_ms = bounds(interval, feed.first_ms).open_ms
    own = klines_between(feed, interval, min(now_ms, feed.known_ms), span, limit)
    stop_ms = edge_ms if end_ms is None else min(end_ms + 1, edge_ms)
    try:
        if start_ms is None:
            missing = limit - len(own)
            past = await relay.upstream.klines(feed.symbol, interval, None, stop_ms, missing) if missing else []
            return [*past, *own][-limit:]
        if start_ms >= stop_ms:
            return own
        past = await relay.upstream.klines(feed.symbol, interval, start_ms, stop_ms, limit)
    except UpstreamAway as error:
        raise unavailable(relay, error) from error
    return [*past, *own][:limit]


async def trades(
    relay: Relay, feed: LiveFeed, now_ms: int, from_id: int | None, start_ms: int | None, limit: int
) -> list[AggTrade]:
    """Return trades from an id, or from a time, on, or else the newest; older ones than the log's as the upstream
    tells them.

    Raises:
        ApiError: the upstream is away, and older ones were asked for.
    """
    log = TradeLog(feed)
    if from_id is None and start_ms is None:
        newest = log.latest(now_ms, 1)
        from_id = max(0, newest[0].agg_id - limit + 1) if newest else 0
    oldest = next((block.row(0) for block in feed.blocks(feed.first_ms, now_ms + 1)), None)
    try:
        if from_id is not None:
            if oldest is not None and from_id >= oldest.agg_id:
                return log.from_id(from_id, now_ms + 1, limit)
            found = await relay.upstream.trades_from(feed.symbol, from_id, limit)
        else:
            if start_ms is not None and start_ms >= feed.first_ms:
                return log.between(start_ms, now_ms + 1, limit)
            found = await relay.upstream.trades_since(feed.symbol, start_ms or 0, limit)
    except UpstreamAway as error:
        raise unavailable(relay, error) from error
    return [trade for trade in found if trade.time_ms <= now_ms]


def require_market(relay: Relay | None) -> None:
    """Refuse a question about a market of which nothing is known yet.

    Raises:
        ApiError: the upstream has not been heard since simex started.
    """
    if relay is not None and not relay.is_known:
        raise unavailable(relay)
