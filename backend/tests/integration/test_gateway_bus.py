"""Requests and replies over a real Valkey: deadlines, errors, a service that dies with a request in hand."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from decimal import Decimal

import pytest
from django.conf import settings
from redis.asyncio import Redis

from apps.core.adapters.clock import SystemClock
from apps.core.adapters.redis_connection import connect
from apps.core.adapters.redis_requests import RedisRequestBus, RedisRequestServer
from apps.core.services import gateway_codec as codec
from apps.core.services.ccxt_client import CcxtClient
from domain.errors import AuthenticationFailed, DeadlineExceeded, error_to_wire
from domain.live_market import OrderBook
from domain.messages import REQUEST_GROUP, REQUEST_STREAM, GatewayReply, GatewayRequest, Priority
from domain.ports import Balance

CLOCK = SystemClock()
Handler = Callable[[GatewayRequest], Awaitable[GatewayReply]]


@pytest.fixture
async def redis() -> AsyncIterator[Redis]:
    client = connect(settings.REDIS_URL)
    await client.delete(REQUEST_STREAM)
    yield client
    await client.delete(REQUEST_STREAM)
    await client.aclose()


@asynccontextmanager
async def serving(redis: Redis, handler: Handler) -> AsyncIterator[RedisRequestServer]:
    server = RedisRequestServer(redis, clock=CLOCK, handler=handler)
    task = asyncio.create_task(server.run())
    try:
        yield server
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def client(redis: Redis) -> AsyncIterator[CcxtClient]:
    client = CcxtClient(RedisRequestBus(redis, clock=CLOCK), clock=CLOCK)
    yield client
    await client.close()


def answering(result: Mapping[str, object]) -> Handler:
    async def handle(request: GatewayRequest) -> GatewayReply:
        return GatewayReply(request_id=request.request_id, sent_at=CLOCK.now(), result=result)

    return handle


async def test_balance_arrives_exact(redis: Redis, client: CcxtClient) -> None:
    there = Balance(free={"BTC": Decimal("0.10000001")}, locked={"USDT": Decimal("12.5")})
    async with serving(redis, answering(codec.balance_to_wire(there))):
        assert await client.balance(3, user_id=1) == there


async def test_book_and_last_prices_arrive_exact(redis: Redis, client: CcxtClient) -> None:
    level = (Decimal("0.00000123"), Decimal("1E+18"))
    book = OrderBook("BTC/USDT", (level,), (), CLOCK.now())
    async with serving(redis, answering(book.to_wire())):
        assert await client.book(3, user_id=1, symbol="BTC/USDT") == book
    prices = {"BTC/USDT": Decimal("0.00000123")}
    async with serving(redis, answering(codec.prices_to_wire(prices))):
        assert await client.tickers(3, user_id=1, symbols=["BTC/USDT"]) == prices


async def test_hundred_requests_at_once_get_each_their_own_reply(redis: Redis, client: CcxtClient) -> None:
    async def price(request: GatewayRequest) -> GatewayReply:
        result = {"price": str(request.broker_id)}
        return GatewayReply(request_id=request.request_id, sent_at=CLOCK.now(), result=result)

    async with serving(redis, price):
        found = await asyncio.gather(*(client.price(n, user_id=1, symbol="BTC/USDT") for n in range(100)))
    assert found == [Decimal(n) for n in range(100)]


async def test_error_keeps_class_code_and_message(redis: Redis, client: CcxtClient) -> None:
    async def refuse(request: GatewayRequest) -> GatewayReply:
        error = error_to_wire(AuthenticationFailed("Clés refusées par Binance", details={"exchange": "Binance"}))
        return GatewayReply(request_id=request.request_id, sent_at=CLOCK.now(), error=error)

    async with serving(redis, refuse):
        with pytest.raises(AuthenticationFailed, match="Clés refusées") as caught:
            await client.balance(3, user_id=1)
    assert caught.value.details == {"exchange": "Binance"}


async def test_nobody_answers_raises_after_the_deadline(client: CcxtClient) -> None:
    with pytest.raises(DeadlineExceeded, match="terminal 5"):
        await client.balance(3, user_id=1, timeout_s=0.2)


async def test_expired_request_is_answered_and_never_handled(redis: Redis) -> None:
    handled: list[str] = []

    async def handle(request: GatewayRequest) -> GatewayReply:
        handled.append(request.request_id)
        return GatewayReply(request_id=request.request_id, sent_at=CLOCK.now(), result={})

    bus = RedisRequestBus(redis, clock=CLOCK)
    past = CLOCK.now() - timedelta(seconds=5)
    old = GatewayRequest("old", 1, 1, "balance", {}, past, Priority.BALANCE, bus.reply_to, past)
    await bus.post(old)
    async with serving(redis, handle):
        answer = await redis.xread({bus.reply_to: "0"}, block=3000)
    assert b"expir\xc3\xa9e" in str(answer).encode() or b"deadline_exceeded" in str(answer).encode()
    assert handled == []


async def test_request_in_hand_when_the_service_died_is_answered_by_the_next(
    redis: Redis, client: CcxtClient
) -> None:
    taken = asyncio.Event()

    async def hang(request: GatewayRequest) -> GatewayReply:
        taken.set()
        await asyncio.Event().wait()
        raise AssertionError

    asked = asyncio.create_task(client.price(1, user_id=1, symbol="BTC/USDT", timeout_s=8.0))
    async with serving(redis, hang):
        await asyncio.wait_for(taken.wait(), 5)
    async with serving(redis, answering({"price": "7"})):
        assert await asyncio.wait_for(asked, 4) == 7  # before the client's own second try


async def test_answered_requests_leave_nothing_behind(redis: Redis, client: CcxtClient) -> None:
    async with serving(redis, answering({"price": "7"})) as server:
        await client.price(1, user_id=1, symbol="BTC/USDT")
        await asyncio.wait_for(server.idle.wait(), 3)
    assert await redis.xlen(REQUEST_STREAM) == 0
    pending = await redis.xpending(REQUEST_STREAM, REQUEST_GROUP)
    assert pending["pending"] == 0


async def test_unreadable_request_does_not_stop_the_service(redis: Redis, client: CcxtClient) -> None:
    await redis.xadd(REQUEST_STREAM, {"m": b"{not json"})
    await redis.xadd(REQUEST_STREAM, {"other": b"x"})
    async with serving(redis, answering({"price": "7"})):
        assert await client.price(1, user_id=1, symbol="BTC/USDT") == 7


async def test_lost_stream_and_group_are_made_again(redis: Redis, client: CcxtClient) -> None:
    async with serving(redis, answering({"price": "7"})):
        assert await client.price(1, user_id=1, symbol="BTC/USDT") == 7
        await redis.delete(REQUEST_STREAM)  # a Redis that came back empty
        assert await client.price(1, user_id=1, symbol="BTC/USDT", timeout_s=8.0) == 7


async def test_wake_up_reaches_the_service_and_expects_no_reply(redis: Redis, client: CcxtClient) -> None:
    woken = asyncio.Event()

    async def handle(request: GatewayRequest) -> GatewayReply:
        assert request.method == "wake_orders"
        woken.set()
        return GatewayReply(request_id=request.request_id, sent_at=CLOCK.now(), result={})

    async with serving(redis, handle):
        await client.wake_orders()
        await asyncio.wait_for(woken.wait(), 3)
