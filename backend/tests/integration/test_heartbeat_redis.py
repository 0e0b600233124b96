"""The heartbeat's Redis streams on a real Valkey, and `GET /api/heartbeat/`."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest
from django.conf import settings
from redis.asyncio import Redis
from rest_framework.test import APIRequestFactory, force_authenticate

from apps.core.adapters.redis_connection import connect
from apps.core.adapters.redis_signals import RawStreamReader, RedisRawStream, RedisSignalStream
from apps.core.models import CandleHeartbeat, HeartbeatIncident, HeartbeatStatus
from apps.core.views.heartbeat import HeartbeatSerializer, HeartbeatView
from domain.messages import RAW_STREAM, SIGNAL_STREAM, Signal
from domain.timeframes import Timeframe

CLOSE = datetime(2026, 1, 1, 12, tzinfo=UTC)


def signal(minute: int) -> Signal:
    return Signal(
        timeframe=Timeframe.M1,
        close_time=CLOSE + timedelta(minutes=minute),
        symbol="BTCUSDT",
        feed="binance",
        source="primary",
        location="ici",
        sent_at=CLOSE,
    )


@pytest.fixture
async def redis() -> AsyncIterator[Redis]:
    client = connect(settings.REDIS_URL)
    await client.delete(SIGNAL_STREAM, RAW_STREAM)
    yield client
    await client.aclose()


async def until_blocked(redis: Redis) -> None:
    """Wait until a reader waits inside Valkey for entries."""
    async with asyncio.timeout(10):
        while not (await redis.info("clients"))["blocked_clients"]:  # noqa: ASYNC110 — Valkey's own state
            await asyncio.sleep(0.01)


async def take(stream: RedisSignalStream, after: str, count: int) -> list[tuple[str, Signal]]:
    found = []
    async with asyncio.timeout(10):
        async for item in stream.read(after=after, block_s=0.2):
            found.append(item)
            if len(found) == count:
                break
    return found


async def test_reader_resumes_after_the_id_it_saw(redis: Redis) -> None:
    stream = RedisSignalStream(redis)
    await stream.publish_all([signal(i) for i in range(5)])
    first = await take(stream, "0", 2)
    assert [s for _, s in first] == [signal(0), signal(1)]
    assert [s for _, s in await take(stream, first[-1][0], 3)] == [signal(2), signal(3), signal(4)]


async def test_reader_from_now_on_misses_nothing_between_two_questions(redis: Redis) -> None:
    stream = RedisSignalStream(redis)
    await stream.publish(signal(0))
    reading = asyncio.create_task(take(stream, "$", 2))
    await until_blocked(redis)
    await stream.publish(signal(1))
    await stream.publish(signal(2))
    assert [s for _, s in await reading] == [signal(1), signal(2)]


async def test_unreadable_entry_is_skipped(redis: Redis) -> None:
    stream = RedisSignalStream(redis)
    await redis.xadd(SIGNAL_STREAM, {"m": b"{not json"})
    await redis.xadd(SIGNAL_STREAM, {"other": b"1"})
    await redis.xadd(SIGNAL_STREAM, {"m": orjson.dumps({**signal(0).to_wire(), "v": 99})})
    await stream.publish(signal(1))
    assert [s for _, s in await take(stream, "0", 1)] == [signal(1)]


async def test_reader_survives_a_cut_connection(redis: Redis) -> None:
    stream = RedisSignalStream(redis)
    await stream.publish(signal(0))
    reading = asyncio.create_task(take(stream, "0", 2))
    await until_blocked(redis)
    other = connect(settings.REDIS_URL)
    await other.client_kill_filter(_type="normal", skipme=True)
    await RedisSignalStream(other).publish(signal(1))
    assert [s for _, s in await reading] == [signal(0), signal(1)]
    await other.aclose()


async def test_raw_messages_reach_browsers_in_batches_that_say_what_they_left_out(redis: Redis) -> None:
    reader = RawStreamReader(settings.REDIS_URL).batches()

    async def first() -> Mapping[str, Any]:
        return await anext(reader)

    waiting = asyncio.create_task(first())
    await until_blocked(redis)
    body = (
        '{"e":"aggTrade","E":1767268800001,"s":"BTCUSDT","a":%d,"p":"1.5","q":"2","f":1,"l":1,'
        '"T":1767268800000,"m":true}'
    )
    await RedisRawStream(redis).publish([(body % i).encode() for i in range(250)])
    async with asyncio.timeout(10):
        batch = await waiting
    assert batch["dropped"] == 150
    assert [m["id"] for m in batch["messages"]] == list(range(150, 250))
    assert batch["messages"][0] == {
        "id": 150,
        "symbol": "BTCUSDT",
        "price": "1.5",
        "quantity": "2",
        "is_buyer_maker": True,
        "trade_time": "2026-01-01T12:00:00+00:00",
        "event_time": "2026-01-01T12:00:00.001000+00:00",
    }
    await reader.aclose()  # type: ignore[attr-defined]


def answer(live: dict[str, Any] | None = None) -> dict[str, Any]:
    class Presences:
        async def read(self, names: Any) -> Any:
            if live is None:
                return None
            return {"heartbeat": type("Report", (), {"details": live})()}, 1.0

    request = APIRequestFactory().get("/api/heartbeat/")
    force_authenticate(request, user=type("User", (), {"is_authenticated": True})())
    response = HeartbeatView.as_view(presences=Presences())(request)
    assert response.status_code == 200
    body: dict[str, Any] = response.data
    assert set(body) == set(HeartbeatSerializer().fields)
    return body


@pytest.mark.django_db
def test_overview_before_the_first_run_is_empty() -> None:
    body = answer()
    assert body["status"] is None
    assert body["candles"] == {t.value: [] for t in Timeframe}


@pytest.mark.django_db
def test_overview_shows_the_newest_candles_first_and_counts_those_missing() -> None:
    status = HeartbeatStatus.objects.create(
        source="primary",
        location="ici",
        feed="binance",
        last_application_start=CLOSE,
        market_time=CLOSE + timedelta(minutes=70, seconds=5),
        symbols_monitored=["BTCUSDT"],
    )
    for minute in [i for i in range(70) if i != 40]:
        opened = CLOSE + timedelta(minutes=minute)
        CandleHeartbeat.objects.create(
            heartbeat_status=status,
            dhm_reception=CLOSE,
            dhm_candle=opened + timedelta(minutes=1),
            signal_type="1m",
            symbol="BTCUSDT",
            feed="binance",
            source="primary",
            open_time=opened,
            open_price=Decimal("0.00141342"),
            high_price=Decimal(2),
            low_price=Decimal(1),
            close_price=Decimal("100"),
            volume=Decimal(0),
            trade_count=0,
        )
    HeartbeatIncident.objects.create(
        heartbeat_status=status, kind="gap", symbol="BTCUSDT", feed="binance", message="trou", detected_at=CLOSE
    )
    body = answer({"latency_ms_p50": 3.5, "messages_per_minute": 12})
    rows = body["candles"]["1m"]
    assert len(rows) == 60
    assert rows[0]["open_time"] == "2026-01-01T13:09:00+00:00"
    assert (rows[0]["open"], rows[0]["close"], rows[0]["volume"]) == ("0.00141342", "100", "0")
    assert body["status"]["candles_24h"] == {"closed": 69, "expected": 70}
    assert (body["status"]["latency_ms_p50"], body["status"]["latency_ms_p99"]) == (3.5, None)
    assert [i["message"] for i in body["incidents"]] == ["trou"]
    assert [r["id"] for r in body["runs"]] == [status.pk]
