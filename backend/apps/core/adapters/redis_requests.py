"""Both ends of `ccxt_requests` (a stream with a consumer group) and `ccxt_responses:<client>`.

A request is acknowledged after its answer was written: what terminal 5 was working on when it died is read
again at its start. Requests are reads, so answering one twice harms nobody.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import uuid4

import orjson
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from domain.errors import AristobotError, DeadlineExceeded, Unavailable
from domain.messages import (
    REQUEST_GROUP,
    REQUEST_STREAM,
    RESPONSE_PREFIX,
    GatewayReply,
    GatewayRequest,
    check_version,
)
from domain.ports import Clock

log = structlog.get_logger(__name__)

Handler = Callable[[GatewayRequest], Awaitable[GatewayReply]]

_CONSUMER = "ccxt_service"
_BLOCK_MS = 1000
_MAX_REQUESTS = 10_000  # kept in the stream; more than that waits for nobody
_MAX_REPLIES = 1_000
_REPLIES_EXPIRE_S = 120
_RETRY_S = 0.5
_MAX_WRITES = 16  # connections one client opens at most


class RedisRequestServer:
    """Terminal 5's end: hands each request to `handler`, writes the one reply.

    Args:
        handler: must not raise but when cancelled; deadlines are checked here before it is called.
        concurrency: requests handled at once; the others wait in the stream.
    """

    def __init__(self, redis: Redis, *, clock: Clock, handler: Handler, concurrency: int = 64) -> None:
        self._redis = redis
        self._clock = clock
        self._handler = handler
        self._slots = asyncio.Semaphore(concurrency)
        self.in_flight = 0
        self.idle = asyncio.Event()  # nothing in hand

    async def run(self) -> None:
        """Serve until cancelled; survives restarts of the server."""
        async with asyncio.TaskGroup() as tasks:
            while not _cancelling():
                try:
                    await self._prepare()
                    await self._read_own(tasks)
                    while not _cancelling():
                        await self._read_new(tasks)
                except (RedisError, OSError) as exc:
                    log.warning("gateway.redis_unavailable", error=str(exc))
                    await self._clock.sleep(_RETRY_S)

    async def _prepare(self) -> None:
        try:
            await self._redis.xgroup_create(REQUEST_STREAM, REQUEST_GROUP, id="0", mkstream=True)
        except ResponseError as exc:
            if "BUSYGROUP" not in str(exc):
                raise

    async def _read_own(self, tasks: asyncio.TaskGroup) -> None:
        """What an earlier life of this service took and never answered."""
        answer = await self._redis.xreadgroup(REQUEST_GROUP, _CONSUMER, {REQUEST_STREAM: "0"}, count=_MAX_REQUESTS)
        for entry_id, fields in _entries(answer):
            await self._start(tasks, entry_id, fields)

    async def _read_new(self, tasks: asyncio.TaskGroup) -> None:
        answer = await self._redis.xreadgroup(
            REQUEST_GROUP, _CONSUMER, {REQUEST_STREAM: ">"}, count=16, block=_BLOCK_MS
        )
        for entry_id, fields in _entries(answer):
            await self._start(tasks, entry_id, fields)

    async def _start(self, tasks: asyncio.TaskGroup, entry_id: bytes, fields: dict[bytes, bytes]) -> None:
        await self._slots.acquire()
        self.in_flight += 1
        self.idle.clear()
        tasks.create_task(self._serve(entry_id, fields))

    async def _serve(self, entry_id: bytes, fields: dict[bytes, bytes]) -> None:
        try:
            request = _parse_request(fields)
            if request is not None:
                await self._reply(request, await self._answer(request))
            await self._redis.xack(REQUEST_STREAM, REQUEST_GROUP, entry_id)
            await self._redis.xdel(REQUEST_STREAM, entry_id)
        except (RedisError, OSError) as exc:
            log.warning("gateway.reply_not_sent", entry=entry_id.decode(), error=str(exc))
        finally:
            self.in_flight -= 1
            if not self.in_flight:
                self.idle.set()
            self._slots.release()

    async def _answer(self, request: GatewayRequest) -> GatewayReply:
        remaining = (request.deadline - self._clock.now()).total_seconds()
        if remaining > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(remaining):
                    return await self._handler(request)
        error = {
            "kind": DeadlineExceeded.__name__,
            "code": DeadlineExceeded.code,
            "message": f"Requête « {request.method} » expirée avant que le service CCXT ait pu répondre.",
            "details": {"method": request.method},
        }
        return GatewayReply(request_id=request.request_id, sent_at=self._clock.now(), error=error)

    async def _reply(self, request: GatewayRequest, reply: GatewayReply) -> None:
        if not request.reply_to:
            return
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.xadd(request.reply_to, {"m": orjson.dumps(reply.to_wire())}, maxlen=_MAX_REPLIES, approximate=True)
            pipe.expire(request.reply_to, _REPLIES_EXPIRE_S)
            await pipe.execute()


class RedisRequestBus:
    """A client's end: the `RequestBus` port. One response stream per object, read by one task.

    Belongs to the event loop in which it is first used; close it there.
    """

    def __init__(self, redis: Redis, *, clock: Clock) -> None:
        self._redis = redis
        self._clock = clock
        self.reply_to = f"{RESPONSE_PREFIX}{os.getpid()}-{uuid4().hex[:12]}"
        self._waiting: dict[str, asyncio.Future[GatewayReply]] = {}
        self._reader: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self._closed = False
        self._writing = asyncio.Semaphore(_MAX_WRITES)

    async def send(self, request: GatewayRequest) -> GatewayReply:
        """Write the request and wait for its reply until its deadline.

        Raises:
            DeadlineExceeded: no reply in time.
            Unavailable: Redis does not answer.
        """
        future: asyncio.Future[GatewayReply] = asyncio.get_running_loop().create_future()
        self._waiting[request.request_id] = future
        self._start_reading()
        try:
            async with asyncio.timeout(max(_seconds_left(request.deadline, self._clock), 0)):
                await self.post(request)
                return await future
        except TimeoutError as exc:
            raise DeadlineExceeded(
                f"Le service CCXT (terminal 5) n'a pas répondu à « {request.method} » dans le délai.",
                details={"method": request.method},
            ) from exc
        finally:
            del self._waiting[request.request_id]

    async def post(self, request: GatewayRequest) -> None:
        """Write a request that expects no reply. Raises Unavailable when Redis does not answer."""
        body = orjson.dumps(request.to_wire())
        try:
            async with self._writing:
                await self._redis.xadd(REQUEST_STREAM, {"m": body}, maxlen=_MAX_REQUESTS, approximate=True)
        except (RedisError, OSError) as exc:
            raise Unavailable(
                f"Requête « {request.method} » impossible : Redis ne répond pas.", code="redis_down"
            ) from exc

    async def close(self) -> None:
        """Stop reading and forget the response stream."""
        self._closed = True
        self._wanted.set()
        if self._reader is not None:
            self._reader.cancel()  # a read may swallow it: the flag ends the loop then, after one block
            await asyncio.wait([self._reader], timeout=2 * _BLOCK_MS / 1000)
        with suppress(RedisError, OSError):
            await self._redis.delete(self.reply_to)

    def _start_reading(self) -> None:
        self._wanted.set()
        if self._reader is None or self._reader.done():
            self._reader = asyncio.get_running_loop().create_task(self._read_replies())

    async def _read_replies(self) -> None:
        last: bytes | str = "0"
        while not self._closed and not _cancelling():
            await self._wanted.wait()
            try:
                answer = await self._redis.xread({self.reply_to: last}, count=100, block=_BLOCK_MS)
                for entry_id, fields in _entries(answer):
                    last = entry_id
                    self._deliver(fields)
            except (RedisError, OSError) as exc:
                log.warning("gateway_client.redis_unavailable", error=str(exc))
                last = "0"  # the stream may have been lost; replies nobody waits for are ignored
                await self._clock.sleep(_RETRY_S)
            if not self._waiting and not self._closed:
                self._wanted.clear()

    def _deliver(self, fields: dict[bytes, bytes]) -> None:
        try:
            reply = GatewayReply.from_wire(orjson.loads(fields[b"m"]))
        except (AristobotError, KeyError, orjson.JSONDecodeError) as exc:
            log.error("gateway_client.unreadable_reply", error=str(exc))
            return
        future = self._waiting.get(reply.request_id)
        if future is not None and not future.done():
            future.set_result(reply)


def _cancelling() -> bool:
    """Tell whether this task was cancelled, even when a read of redis-py swallowed the exception."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _seconds_left(deadline: datetime, clock: Clock) -> float:
    return (deadline - clock.now()).total_seconds()


def _parse_request(fields: dict[bytes, bytes]) -> GatewayRequest | None:
    try:
        message = orjson.loads(fields[b"m"])
        check_version(message, "gateway_request")
        return GatewayRequest.from_wire(message)
    except (AristobotError, KeyError, AttributeError, orjson.JSONDecodeError) as exc:
        log.error("gateway.unreadable_request", error=str(exc))
        return None


def _entries(answer: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """Return the entries of the only stream asked for, whatever the protocol's version gave."""
    if not answer:
        return []
    streams = answer.values() if isinstance(answer, dict) else [entries for _, entries in answer]
    found: list[tuple[bytes, dict[bytes, bytes]]] = []
    for entries in streams:
        groups = entries if entries and isinstance(entries[0], list) else [entries]
        found += [(entry_id, fields) for group in groups for entry_id, fields in group if fields]
    return found
