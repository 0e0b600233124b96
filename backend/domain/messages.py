"""What travels on Redis between processes, versioned and validated on both ends.

Every message is a JSON object `{"v": 1, "type", "id", "sent_at", …}`. Unknown versions are refused.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from domain.errors import InvalidInput
from domain.timeframes import Timeframe, from_ms, to_ms

VERSION = 1

# Redis names. The specification fixes heartbeat, ccxt_requests, ccxt_responses and StreamBrut.
SIGNAL_STREAM = "heartbeat"
RAW_STREAM = "StreamBrut"
REQUEST_STREAM = "ccxt_requests"
REQUEST_GROUP = "ccxt_service"
RESPONSE_PREFIX = "ccxt_responses:"
WEBHOOKS_WAITING = "webhooks_waiting"  # where terminal 3 waits for the door

TOPICS = ("status", "heartbeat", "stream", "orders", "bots", "backtests", "webhooks", "loading", "logs")
USER_TOPICS = frozenset({"orders", "bots", "backtests", "webhooks", "logs"})


class Priority(enum.IntEnum):
    """Lower goes first through an exchange's budget."""

    CANCEL = 0
    ORDER = 1
    BALANCE = 2
    CANDLES = 3
    MARKETS = 4
    HISTORY = 5  # of a backtest: nobody trades on it


def signal_id(timeframe: Timeframe, close_time: datetime) -> str:
    """Return the id shared by every heartbeat for that close: `5m_<close ms>`."""
    return f"{timeframe.value}_{to_ms(close_time)}"


@dataclass(frozen=True, slots=True)
class Signal:
    """A candle of the reference market closed. `late` signals are recorded by the bots and never traded."""

    timeframe: Timeframe
    close_time: datetime  # exclusive end of the candle, market time
    symbol: str  # Binance name of the reference market, e.g. "BTCUSDT"
    feed: str  # where the trades came from: "binance" or "simex:<run>"
    source: str  # "primary" or "secondary"
    location: str
    sent_at: datetime  # wall time
    late: bool = False

    @property
    def signal_id(self) -> str:
        return signal_id(self.timeframe, self.close_time)

    def to_wire(self) -> dict[str, Any]:
        return {
            "v": VERSION,
            "type": "signal",
            "id": f"{self.source}:{self.signal_id}",
            "sent_at": self.sent_at.isoformat(),
            "timeframe": self.timeframe.value,
            "signal_id": self.signal_id,
            "candle_close_time": to_ms(self.close_time),
            "symbol": self.symbol,
            "feed": self.feed,
            "source": self.source,
            "location": self.location,
            "late": self.late,
        }

    @classmethod
    def from_wire(cls, message: Mapping[str, Any]) -> "Signal":
        """Raises InvalidInput when the message is not a signal of this version."""
        check_version(message, "signal")
        try:
            return cls(
                timeframe=Timeframe(message["timeframe"]),
                close_time=from_ms(int(message["candle_close_time"])),
                symbol=str(message["symbol"]),
                feed=str(message["feed"]),
                source=str(message["source"]),
                location=str(message["location"]),
                sent_at=datetime.fromisoformat(str(message["sent_at"])),
                late=bool(message["late"]),
            )
        except (KeyError, ValueError, TypeError) as exc:
            raise InvalidInput(f"Signal du heartbeat illisible : {exc!r}", code="invalid_message") from exc


@dataclass(frozen=True, slots=True)
class GatewayRequest:
    """A read asked from terminal 5 (orders never travel: only the wake-up does)."""

    request_id: str
    user_id: int | None
    broker_id: int | None
    method: str  # balance, candles, trading_fee, price, book, tickers, load_markets, test_credentials, wake_orders
    params: Mapping[str, Any]
    deadline: datetime  # wall time; past it the request is dropped and answered as expired
    priority: Priority
    reply_to: str
    sent_at: datetime
    trace_id: str = ""  # of the work that asks

    def to_wire(self) -> dict[str, Any]:
        return {
            "v": VERSION,
            "type": "gateway_request",
            "id": self.request_id,
            "request_id": self.request_id,
            "sent_at": self.sent_at.isoformat(),
            "user_id": self.user_id,
            "broker_id": self.broker_id,
            "method": self.method,
            "params": dict(self.params),
            "deadline": self.deadline.isoformat(),
            "priority": int(self.priority),
            "reply_to": self.reply_to,
            "trace_id": self.trace_id,
        }

    @classmethod
    def from_wire(cls, message: Mapping[str, Any]) -> "GatewayRequest":
        check_version(message, "gateway_request")
        try:
            return cls(
                request_id=str(message["request_id"]),
                user_id=message["user_id"],
                broker_id=message["broker_id"],
                method=str(message["method"]),
                params=dict(message["params"]),
                deadline=datetime.fromisoformat(str(message["deadline"])),
                priority=Priority(int(message["priority"])),
                reply_to=str(message["reply_to"]),
                trace_id=str(message.get("trace_id", "")),
                sent_at=datetime.fromisoformat(str(message["sent_at"])),
            )
        except (KeyError, ValueError, TypeError) as exc:
            raise InvalidInput(f"Requête du service CCXT illisible : {exc!r}", code="invalid_message") from exc


@dataclass(frozen=True, slots=True)
class GatewayReply:
    """The one answer to a request: either `result` or `error` (`{"code", "message", "details"}`)."""

    request_id: str
    sent_at: datetime
    result: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None

    def to_wire(self) -> dict[str, Any]:
        return {
            "v": VERSION,
            "type": "gateway_reply",
            "id": self.request_id,
            "request_id": self.request_id,
            "sent_at": self.sent_at.isoformat(),
            "result": None if self.result is None else dict(self.result),
            "error": None if self.error is None else dict(self.error),
        }

    @classmethod
    def from_wire(cls, message: Mapping[str, Any]) -> "GatewayReply":
        check_version(message, "gateway_reply")
        try:
            return cls(
                request_id=str(message["request_id"]),
                sent_at=datetime.fromisoformat(str(message["sent_at"])),
                result=message["result"],
                error=message["error"],
            )
        except (KeyError, ValueError, TypeError) as exc:
            raise InvalidInput(f"Réponse du service CCXT illisible : {exc!r}", code="invalid_message") from exc


@dataclass(frozen=True, slots=True)
class BrowserEvent:
    """What a browser receives on `/ws/`."""

    topic: str
    type: str
    data: Mapping[str, Any]
    sent_at: datetime
    id: str = field(default_factory=lambda: uuid4().hex)

    def to_wire(self) -> dict[str, Any]:
        return {
            "v": VERSION,
            "topic": self.topic,
            "type": self.type,
            "id": self.id,
            "data": dict(self.data),
            "sent_at": self.sent_at.isoformat(),
        }


def check_version(message: Mapping[str, Any], expected_type: str) -> None:
    """Raises InvalidInput unless the message is of this version and type."""
    if message.get("v") != VERSION or message.get("type") != expected_type:
        raise InvalidInput(
            f"Message refusé : version {message.get('v')!r}, type {message.get('type')!r} ; "
            f"attendu version {VERSION}, type « {expected_type} ».",
            code="invalid_message",
        )
