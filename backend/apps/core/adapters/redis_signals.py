"""The Redis streams of the heartbeat: signals (`heartbeat`) and raw messages (`StreamBrut`)."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from time import monotonic
from typing import Any

import orjson
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from apps.core.adapters.redis_connection import connect
from domain.errors import InvalidInput, Unavailable
from domain.heartbeat_sources import PRIMARY
from domain.messages import RAW_STREAM, SIGNAL_STREAM, Signal
from domain.timeframes import from_ms

log = structlog.get_logger(__name__)

SIGNALS_KEPT = 10_000
REREAD_MS = 60_000
RAW_ENTRIES_KEPT = 500
RAW_PER_ENTRY = 200
RAW_PER_BATCH = 100  # what one event to browsers holds; the rest is counted as dropped
RAW_PERIOD_S = 0.1
RAW_PRIMARY_SILENT_S = 5.0
RETRY_S = (0.2, 0.5, 1.0, 2.0)


class RedisSignalStream:
    """The `SignalStream` port. Entries are JSON under the field `m`."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def publish(self, signal: Signal) -> None:
        """Raises Unavailable when Redis does not take it."""
        await self.publish_all([signal])

    async def publish_all(self, signals: Sequence[Signal]) -> None:
        """Send signals in this order, in one round trip. Raises Unavailable: none, some or all were sent."""
        try:
            pipe = self._redis.pipeline(transaction=False)
            for signal in signals:
                body = orjson.dumps(signal.to_wire())
                pipe.xadd(SIGNAL_STREAM, {"m": body}, maxlen=SIGNALS_KEPT, approximate=True)
            await pipe.execute()
        except RedisError as exc:
            raise Unavailable(f"Signal non publié : Redis ne répond pas ({exc!r}).") from exc

    async def read(self, *, after: str, block_s: float) -> AsyncIterator[tuple[str, Signal]]:
        """Yield (stream id, signal) for ever; reconnects; unreadable entries are logged and skipped.

        Args:
            after: "0" for all that is kept, "$" for what comes from now on, or the last id seen.
            block_s: how long one question to Redis waits.
        """
        last = await self._newest_id() if after == "$" else after
        failures = 0
        while True:
            try:
                if failures:
                    last = await self._resume(last)
                entries = await _read(self._redis, SIGNAL_STREAM, last, block_s)
                failures = 0
            except RedisError as exc:
                await _back_off(failures, SIGNAL_STREAM, exc)
                failures += 1
                continue
            for entry_id, fields in entries:
                last = entry_id
                signal = _signal(entry_id, fields)
                if signal is not None:
                    yield entry_id, signal

    async def _resume(self, last: str) -> str:
        """Return where to go on after an interruption.

        Behind it may stand another server: a replica that lost the end of the stream, or whose clock, from
        which ids are made, is slower. New entries would then stay below `last`; reading some twice is harmless.
        """
        newest: Any = await self._redis.xrevrange(SIGNAL_STREAM, count=1)
        if not newest or _milliseconds(newest[0][0].decode()) >= _milliseconds(last):
            return last
        return str(max(0, _milliseconds(newest[0][0].decode()) - REREAD_MS))

    async def _newest_id(self) -> str:
        failures = 0
        while True:
            try:
                newest: Any = await self._redis.xrevrange(SIGNAL_STREAM, count=1)
                return str(newest[0][0].decode()) if newest else "0"
            except RedisError as exc:
                await _back_off(failures, SIGNAL_STREAM, exc)
                failures += 1


class RedisRawStream:
    """The `RawPublisher` port: what arrived together is one entry, a JSON array of the messages as received."""

    def __init__(self, redis: Redis, *, source: str = PRIMARY) -> None:
        self._redis = redis
        self._source = source

    async def publish(self, messages: Sequence[bytes]) -> None:
        newest = messages[-RAW_PER_ENTRY:]
        fields: dict[Any, Any] = {"m": b"[" + b",".join(newest) + b"]", "dropped": len(messages) - len(newest)}
        fields["source"] = self._source
        try:
            await self._redis.xadd(RAW_STREAM, fields, maxlen=RAW_ENTRIES_KEPT, approximate=True)
        except RedisError as exc:
            raise Unavailable(f"Stream brut non publié : Redis ne répond pas ({exc!r}).") from exc


class RawStreamReader:
    """Reads `StreamBrut` for browsers. Connects per event loop, when `batches` starts."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def batches(self) -> AsyncIterator[Mapping[str, Any]]:
        """Yield `{"messages", "dropped"}` from now on, at most one each 100 ms."""
        redis = connect(self._url)
        last, failures, chosen = "$", 0, _OneSource()
        try:
            while True:
                try:
                    entries = await _read(redis, RAW_STREAM, last, 5.0)
                    failures = 0
                except RedisError as exc:
                    await _back_off(failures, RAW_STREAM, exc)
                    failures += 1
                    continue
                if entries:
                    last = entries[-1][0]
                    if shown := chosen.of([fields for _, fields in entries]):
                        yield _raw_batch(shown)
                    await asyncio.sleep(RAW_PERIOD_S)
        finally:
            await redis.aclose()


class _OneSource:
    """Two heartbeats tell the same trades: the primary's are shown, the secondary's while it is silent."""

    def __init__(self) -> None:
        self._primary_at_s = -RAW_PRIMARY_SILENT_S

    def of(self, entries: Sequence[Mapping[bytes, bytes]]) -> Sequence[Mapping[bytes, bytes]]:
        primary = [fields for fields in entries if fields.get(b"source", b"primary") == b"primary"]
        now_s = monotonic()
        if primary:
            self._primary_at_s = now_s
        return primary if now_s - self._primary_at_s < RAW_PRIMARY_SILENT_S else entries


Entries = list[tuple[str, dict[bytes, bytes]]]


async def _read(redis: Redis, stream: str, last: str, block_s: float) -> Entries:
    answer: Any = await redis.xread({stream: last}, count=1000, block=max(1, int(block_s * 1000)))
    if not answer:
        return []
    streams = answer.values() if isinstance(answer, dict) else [part[1] for part in answer]
    found: Entries = []
    for entries in streams:
        # Protocol 3 wraps the entries of a stream in one more list than protocol 2 does.
        flat = entries[0] if entries and isinstance(entries[0], list) else entries
        found += [(entry_id.decode(), fields) for entry_id, fields in flat]
    return found


def _milliseconds(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])


def _signal(entry_id: str, fields: Mapping[bytes, bytes]) -> Signal | None:
    try:
        return Signal.from_wire(orjson.loads(fields[b"m"]))
    except (KeyError, orjson.JSONDecodeError, InvalidInput) as exc:
        log.warning("signals.unreadable", entry=entry_id, error=str(exc))
        return None


def _raw_batch(entries: Sequence[Mapping[bytes, bytes]]) -> dict[str, Any]:
    dropped = sum(int(fields.get(b"dropped", 0)) for fields in entries)
    messages = [message for fields in entries for message in orjson.loads(fields.get(b"m", b"[]"))]
    shown = messages[-RAW_PER_BATCH:]
    return {"messages": [_shown(m.get("data", m)) for m in shown], "dropped": dropped + len(messages) - len(shown)}


def _shown(trade: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": trade["a"],
        "symbol": trade["s"],
        "price": trade["p"],
        "quantity": trade["q"],
        "is_buyer_maker": trade["m"],
        "trade_time": from_ms(trade["T"]).isoformat(),
        "event_time": from_ms(trade["E"]).isoformat(),
    }


async def _back_off(failures: int, stream: str, exc: Exception) -> None:
    delay = RETRY_S[min(failures, len(RETRY_S) - 1)]
    if failures == 0:
        log.warning("redis.stream_unavailable", stream=stream, error=str(exc))
    await asyncio.sleep(delay)
