"""Candles and the order book of one market, for the page's drawings (floats are allowed there)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from apps.brokers.models import Broker
from apps.core.adapters.database import read_database
from apps.market_data.selectors import candle_source_of, market_for
from apps.orders.events import amount
from apps.trading_manual import selectors
from apps.trading_manual.services.terminal import READ_TIMEOUT_S, Terminal
from domain.candles import Candle
from domain.errors import InvalidInput
from domain.timeframes import Timeframe, to_ms

_CANDLES_TIMEOUT_S = 12.0
# The market time the heartbeat noted may be some seconds old, which is minutes of a market that runs fast.
_LEAST_SLACK = timedelta(hours=1)


async def candles(
    terminal: Terminal,
    user_id: int,
    broker_id: int,
    *,
    symbol: str,
    timeframe: str,
    since: datetime | None,
    until: datetime | None,
    limit: int,
) -> dict[str, Any]:
    """Return the last `limit` candles of [since, until[, the one still open included, ascending.

    Without `until`: up to now, on the market's own clock.

    Raises:
        NotFound: the broker is not this user's, or its exchange has no such market.
        InvalidInput: the timeframe is not one of ours, or the range is empty.
    """
    step = Timeframe.parse(timeframe)
    broker = await read_database(_broker_with_market, user_id, broker_id, symbol)
    await terminal.watch.check()
    now, is_certain = await read_database(_market_now, broker, terminal.clock.now())
    newest = until or step.open_time(now) + step.duration
    # One more than asked for: the exchange has no candle yet of a minute in which nobody traded.
    earliest = newest - (limit + 1) * step.duration
    start = max(since or earliest, earliest)
    if start >= newest:
        raise InvalidInput("Bougies refusées : le début n'est pas avant la fin.", details={"field": "since"})
    slack = timedelta(0) if is_certain else max(_LEAST_SLACK, limit * step.duration)
    _, rows = await terminal.gateway.candles(
        broker.pk,
        user_id=user_id,
        symbol=symbol,
        timeframe=step,
        since=start,
        until=until or newest + slack,
        timeout_s=_CANDLES_TIMEOUT_S,
    )
    return {"candles": [_candle(each) for each in rows[-limit:]], "last_is_open": until is None}


async def book(terminal: Terminal, user_id: int, broker_id: int, *, symbol: str, depth: int) -> dict[str, Any]:
    """Return one snapshot of the order book. Raises as `candles`."""
    broker = await read_database(_broker_with_market, user_id, broker_id, symbol)
    await terminal.watch.check()
    found = await terminal.gateway.book(
        broker.pk, user_id=user_id, symbol=symbol, depth=depth, timeout_s=READ_TIMEOUT_S
    )
    return {
        "bids": [[amount(price), amount(quantity)] for price, quantity in found.bids],
        "asks": [[amount(price), amount(quantity)] for price, quantity in found.asks],
        "at": found.at.isoformat(),
    }


def _broker_with_market(user_id: int, broker_id: int, symbol: str) -> Broker:
    broker = selectors.broker_of(user_id, broker_id)
    market_for(broker.exchange, symbol)
    return broker


def _market_now(broker: Broker, now: datetime) -> tuple[datetime, bool]:
    """Return the market's present, and False when it may well be later.

    The simulated exchange's market may run at any time of its own; the heartbeat listens to it, or did.
    """
    if broker.exchange != "simex":
        return now, True
    seen = selectors.market_time(candle_source_of(broker.exchange))
    return (now, True) if seen is None else (seen, False)


def _candle(candle: Candle) -> Sequence[float]:
    prices = (candle.open, candle.high, candle.low, candle.close, candle.volume)
    return [to_ms(candle.open_time), *(float(value) for value in prices)]
