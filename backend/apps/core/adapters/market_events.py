"""Sends a market's live events to whoever looks at it, through the market's Channels group."""

from collections.abc import Mapping
from typing import Any

import structlog
from channels.layers import get_channel_layer
from redis.exceptions import RedisError

from apps.core.adapters.redis_connection import end_if_cancelled
from domain.live_market import market_group
from domain.messages import BrowserEvent
from domain.ports import Clock

log = structlog.get_logger(__name__)

MARKET_TOPIC = "market"


class ChannelsMarketPublisher:
    """The `MarketPublisher` port. Never fails: the next event says all that matters."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def publish(self, exchange_key: str, symbol: str, event_type: str, data: Mapping[str, Any]) -> None:
        event = BrowserEvent(topic=MARKET_TOPIC, type=event_type, data=data, sent_at=self._clock.now())
        message = {"type": "market.event", "event": event.to_wire()}
        try:
            await get_channel_layer().group_send(market_group(exchange_key, symbol), message)
        except (RedisError, OSError) as exc:
            log.warning("market_events.not_sent", symbol=symbol, type=event_type, error=str(exc))
        end_if_cancelled()
