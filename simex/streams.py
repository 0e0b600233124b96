"""Who listens to what, and the text of each stream message."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson

from simex.clock import WallMs
from simex.faults import Fault, Faults
from simex.market.klines import Kline
from simex.market.tradelog import AggTrade, RawTrade
from simex.units import money, text8, text16

BOUND = 5_000  # messages waiting for one consumer before a market at `max` pauses
LIMIT = 200_000  # messages waiting before a consumer of a market in time is cut off


USER = "user:"
USER_EVENTS = ("executionReport", "outboundAccountPosition", "listStatus")


def user_streams(account_id: str) -> list[str]:
    """Return the names under which an account's own events are published."""
    return [f"{USER}{account_id}@{kind}" for kind in USER_EVENTS]


def plays_market(stream: str) -> bool:
    """Tell whether its listener is one a market may wait for: who only looks on does not set it going."""
    return stream.endswith(("@trade", "@aggTrade"))


def agg_trade_text(symbol: str, trade: AggTrade) -> str:
    """Return an aggTrade message."""
    maker = "true" if trade.buyer_is_maker else "false"
    return (
        f'{{"e":"aggTrade","E":{trade.time_ms},"s":"{symbol}","a":{trade.agg_id},'
        f'"p":"{text8(trade.price8)}","q":"{text8(trade.quantity8)}","f":{trade.first_id},'
        f'"l":{trade.last_id},"T":{trade.time_ms},"m":{maker},"M":true}}'
    )


def trade_text(symbol: str, trade: RawTrade) -> str:
    """Return a trade message."""
    maker = "true" if trade.buyer_is_maker else "false"
    return (
        f'{{"e":"trade","E":{trade.time_ms},"s":"{symbol}","t":{trade.trade_id},'
        f'"p":"{text8(trade.price8)}","q":"{text8(trade.quantity8)}",'
        f'"T":{trade.time_ms},"m":{maker},"M":true}}'
    )


def kline_text(symbol: str, interval: str, kline: Kline, event_ms: int, closed: bool) -> str:
    """Return a kline message."""
    final = "true" if closed else "false"
    return (
        f'{{"e":"kline","E":{event_ms},"s":"{symbol}","k":{{"t":{kline.open_ms},'
        f'"T":{kline.close_ms - 1},"s":"{symbol}","i":"{interval}","f":{kline.first_id},'
        f'"L":{kline.last_id},"o":"{text8(kline.open8)}","c":"{text8(kline.close8)}",'
        f'"h":"{text8(kline.high8)}","l":"{text8(kline.low8)}","v":"{text8(kline.volume8)}",'
        f'"n":{kline.trades},"x":{final},"q":"{text16(kline.quote16)}",'
        f'"V":"{text8(kline.taker8)}","Q":"{text16(kline.taker_quote16)}","B":"0"}}}}'
    )


def wrong_kline(text: str, ratio: Decimal) -> str:
    """Return a kline message whose close is not that of its trades, high and low still around it."""
    message = orjson.loads(text)
    candle = message["k"]
    close = Decimal(candle["c"]) * ratio
    candle["c"] = money(close)
    candle["h"] = money(max(close, Decimal(candle["h"])))
    candle["l"] = money(min(close, Decimal(candle["l"])))
    return orjson.dumps(message).decode()


@dataclass(eq=False)
class Consumer:
    """One WebSocket connection's subscriptions and what waits to be sent to it."""

    wrapped: bool
    cut: Callable[[], None]
    streams: set[str] = field(default_factory=set)
    waiting: deque[str] = field(default_factory=deque)
    more: asyncio.Event = field(default_factory=asyncio.Event)
    numbers: dict[str, int] = field(default_factory=dict)  # of user streams: subscription ids

    def push(self, stream: str, text: str) -> None:
        """Queue a message."""
        if stream in self.numbers:
            text = f'{{"subscriptionId":{self.numbers[stream]},"event":{text}}}'
        self.waiting.append(f'{{"stream":"{stream}","data":{text}}}' if self.wrapped else text)
        self.more.set()


class Hub:
    """Delivers stream messages to consumers, through the faults in force."""

    def __init__(self, faults: Faults, wall: WallMs) -> None:
        self._faults = faults
        self._wall = wall
        self._by_stream: dict[str, set[Consumer]] = defaultdict(set)
        self.consumers: set[Consumer] = set()
        self._held: dict[str, str] = {}
        self._stall_until_ms = 0
        self._stall_messages = 0
        self._room = asyncio.Event()
        self.arrived = asyncio.Event()

    def subscribe(self, consumer: Consumer, streams: list[str]) -> None:
        """Add streams to a consumer."""
        self.consumers.add(consumer)
        for stream in streams:
            consumer.streams.add(stream)
            self._by_stream[stream].add(consumer)
        if any(plays_market(stream) for stream in streams):
            self.arrived.set()

    def unsubscribe(self, consumer: Consumer, streams: list[str]) -> None:
        """Take streams from a consumer."""
        for stream in streams:
            consumer.streams.discard(stream)
            self._by_stream[stream].discard(consumer)
            if not self._by_stream[stream]:
                del self._by_stream[stream]

    def remove(self, consumer: Consumer) -> None:
        """Forget a consumer."""
        self.unsubscribe(consumer, list(consumer.streams))
        self.consumers.discard(consumer)
        consumer.waiting.clear()
        self._room.set()
        if not any(plays_market(stream) for stream in self._by_stream):
            self.arrived.clear()

    def wanted(self, stream: str) -> bool:
        """Tell whether anybody listens to a stream."""
        return stream in self._by_stream

    def streams(self) -> list[str]:
        """Return the streams that somebody listens to."""
        return list(self._by_stream)

    def publish(self, stream: str, text: str) -> None:
        """Send a message to those who listen, unless a fault has other plans."""
        if stream not in self._by_stream or self._stalled():
            return
        fault = self._faults.for_message(stream, text) if self._faults.active else None
        if fault is not None:
            self._disturb(fault, stream, text)
            return
        self._deliver(stream, text)
        if self._held:
            held = self._held.pop(stream, None)
            if held is not None:
                self._deliver(stream, held)

    def publish_user(self, account_id: str, event: dict[str, Any]) -> None:
        """Send an event to those who follow an account."""
        stream = f"{USER}{account_id}@{event['e']}"
        if stream in self._by_stream:
            self.publish(stream, orjson.dumps(event).decode())

    def cut_all(self) -> None:
        """Cut every connection."""
        for consumer in list(self.consumers):
            consumer.cut()
            self.remove(consumer)

    def stall(self, *, ms: int = 0, messages: int = 0) -> None:
        """Send nothing for a while, connections staying open."""
        self._stall_until_ms = self._wall() + ms
        self._stall_messages = messages

    def sent(self, consumer: Consumer) -> None:
        """Note that a consumer's queue went down."""
        if len(consumer.waiting) <= BOUND // 2:
            self._room.set()

    async def room(self) -> None:
        """Wait until no consumer is further behind than the bound."""
        while any(len(consumer.waiting) > BOUND for consumer in self.consumers):
            self._room.clear()
            await self._room.wait()

    def cut_laggards(self) -> None:
        """Cut the consumers that are hopelessly behind."""
        for consumer in [c for c in self.consumers if len(c.waiting) > LIMIT]:
            consumer.cut()
            self.remove(consumer)

    def _deliver(self, stream: str, text: str) -> None:
        for consumer in self._by_stream.get(stream, ()):
            consumer.push(stream, text)

    def _stalled(self) -> bool:
        if self._stall_messages > 0:
            self._stall_messages -= 1
            return True
        return bool(self._stall_until_ms) and self._wall() < self._stall_until_ms

    def _disturb(self, fault: Fault, stream: str, text: str) -> None:
        match fault.kind:
            case "duplicate":
                self._deliver(stream, text)
                self._deliver(stream, text)
            case "reorder":
                self._held[stream] = text
            case "malformed":
                self._deliver(stream, text[: len(text) // 2])
            case "delay":
                later_s = float(fault.params.get("ms", 1000)) / 1000
                asyncio.get_running_loop().call_later(later_s, self._deliver, stream, text)
            case "wrong_kline":
                self._deliver(stream, wrong_kline(text, Decimal(str(fault.params.get("ratio", "1.01")))))
            case "disconnect":
                self.cut_all()
            case "stall":
                ms, messages = fault.params.get("ms", 0), fault.params.get("messages", 0)
                self.stall(ms=int(ms), messages=int(messages))
