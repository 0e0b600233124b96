"""How the web process keeps a market's live feed running: renew the interest, join the market's group.

A consumer joins `market_group(exchange_key(broker.exchange, is_testnet=broker.is_testnet), symbol)`; it then
receives Channels messages `{"type": "market.event", "event": <event of topic "market">}` whose data names no
broker: the same event serves every account there.
"""

from django.conf import settings

from apps.core.adapters.clock import SystemClock
from apps.core.adapters.redis_connection import connect, end_if_cancelled
from apps.core.adapters.redis_interest import LEASE_S, RedisInterests
from domain.live_market import Interest, exchange_key, market_group
from domain.timeframes import Timeframe

__all__ = ["LEASE_S", "RENEW_EVERY_S", "exchange_key", "market_group", "renew"]

RENEW_EVERY_S = 10.0  # two renewals may be lost


async def renew(broker_id: int, symbol: str, timeframe: Timeframe | None) -> None:
    """Say that somebody looks at that market; terminal 5 follows it until LEASE_S after the last renewal.

    Args:
        broker_id: whose owner was checked: terminal 5 follows what it is asked to.
        timeframe: of the candles to follow, None for none.

    Raises:
        Unavailable: Redis does not answer.
    """
    # A connection for one call: it belongs to the event loop that opened it, and this is asked every 10 s.
    redis = connect(settings.REDIS_URL)
    try:
        await RedisInterests(redis, clock=SystemClock()).renew(Interest(broker_id, symbol, timeframe))
    finally:
        await redis.aclose()
        end_if_cancelled()
