"""Exchanges whose streams and answers a test moves by hand: the `MarketSources` port."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from apps.core.services.market_feed import Update
from domain.errors import AristobotError, ExchangeUnavailable
from domain.live_market import MarketStreamKey, OrderBook

START = datetime(2026, 1, 1, tzinfo=UTC)


def book(price: int, *, symbol: str = "BTC/USDT") -> OrderBook:
    """Return a book of one level a side around that price."""
    one = Decimal(1)
    return OrderBook(symbol, ((Decimal(price), one),), ((Decimal(price + 1), one),), START)


class FakeStream:
    """One connection; `say` replaces what is there, `cut` breaks it."""

    def __init__(self) -> None:
        self.closed = False
        self.reads = 0
        self._fresh = asyncio.Event()
        self._newest: Update | None = None
        self._error: AristobotError | None = None

    def say(self, update: Update) -> None:
        self._newest = update
        self._fresh.set()

    def cut(self, message: str = "Connexion coupée.") -> None:
        self._error = ExchangeUnavailable(message)
        self._fresh.set()

    async def changed(self) -> None:
        await self._fresh.wait()
        if self._error is not None:
            raise self._error

    def read(self) -> Update:
        assert self._newest is not None
        self.reads += 1
        self._fresh.clear()
        return self._newest

    async def close(self) -> None:
        self.closed = True


class FakeMarketSources:
    """`answers` is what a read gives by kind; `refusals` counts the connections to refuse first."""

    def __init__(self, *, streams: bool = True) -> None:
        self.streams = streams
        self.opened: list[tuple[MarketStreamKey, int, FakeStream]] = []
        self.answer: Update | None = None
        self.refusals = 0
        self.unreachable: AristobotError | None = None
        self.asked: Counter[MarketStreamKey] = Counter()
        self.reached_by: list[int] = []

    @property
    def newest(self) -> FakeStream:
        return self.opened[-1][2]

    @property
    def open_streams(self) -> int:
        return sum(not stream.closed for _, _, stream in self.opened)

    async def can_stream(self, key: MarketStreamKey, broker_id: int) -> bool:
        return self.streams

    async def open_stream(self, key: MarketStreamKey, broker_id: int) -> FakeStream:
        if self.refusals:
            self.refusals -= 1
            raise ExchangeUnavailable("Connexion refusée.")
        stream = FakeStream()
        self.opened.append((key, broker_id, stream))
        return stream

    async def ask(self, key: MarketStreamKey, broker_id: int) -> Update:
        self.asked[key] += 1
        self.reached_by.append(broker_id)
        if self.unreachable is not None:
            raise self.unreachable
        assert self.answer is not None
        return self.answer


class FakeMarketPublisher:
    """Remembers what was published."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str, Mapping[str, Any]]] = []

    async def publish(self, exchange_key: str, symbol: str, event_type: str, data: Mapping[str, Any]) -> None:
        self.events.append((exchange_key, symbol, event_type, data))

    def states(self) -> list[str]:
        return [str(data["state"]) for _, _, kind, data in self.events if kind == "feed"]
