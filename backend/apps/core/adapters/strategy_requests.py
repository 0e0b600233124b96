"""How the web process asks terminal 3 to run code in its sandbox: a Redis list, one reply list per request.

At most once: a request lost with a service is answered by the client's deadline, and asking again is harmless.
Whoever chose a request's number may take it back; that has a list of its own, so it never waits behind others.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import orjson
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from apps.core.adapters.redis_connection import connect
from domain.errors import (
    AristobotError,
    Conflict,
    DeadlineExceeded,
    InvalidInput,
    Unavailable,
    error_from_wire,
    error_to_wire,
)
from domain.messages import VERSION, check_version
from domain.ports import Clock, StrategyHost
from domain.strategies.contract import CodeError, Validation

log = structlog.get_logger(__name__)

REQUESTS = "strategy_requests"
VALIDATE = "validate"
_REPLY_PREFIX = "strategy_replies:"
_TAKEN_BACK_PREFIX = "strategy_taken_back:"
_MAX_WAITING = 50  # older requests are dropped: nobody waits for them any more
_EXPIRES_S = 60
_BLOCK_S = 1
_RETRY_S = 0.5


# Takes a request's parameters, returns what is JSON; an AristobotError becomes the reply's error.
Handler = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


class StrategyRequestServer:
    """Terminal 3's end.

    Args:
        handlers: what is served besides `validate`, by kind; these may be taken back.
        concurrency: codes tried at once; the others wait in the list. More than a user alone can ask for.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        host: StrategyHost,
        clock: Clock,
        handlers: Mapping[str, Handler] | None = None,
        concurrency: int = 14,
    ) -> None:
        self._redis = redis
        self._host = host
        self._handlers: dict[str, Handler] = {VALIDATE: self._validate, **(handlers or {})}
        self._clock = clock
        self._slots = asyncio.Semaphore(concurrency)

    async def run(self) -> None:
        """Serve until cancelled; survives restarts of Redis."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                try:
                    await self._slots.acquire()
                    found = await self._next()
                except (RedisError, OSError) as exc:
                    self._slots.release()
                    log.warning("strategy_requests.redis_unavailable", error=str(exc))
                    await self._clock.sleep(_RETRY_S)
                    continue
                if found is None:
                    self._slots.release()
                else:
                    tasks.create_task(self._serve(found))

    async def _next(self) -> bytes | None:
        answer: Any = await self._redis.blpop([REQUESTS], timeout=_BLOCK_S)
        return None if answer is None else answer[1]

    async def _serve(self, raw: bytes) -> None:
        try:
            request = _parse(raw)
            if datetime.fromisoformat(request["deadline"]) <= self._clock.now():
                return
            reply = await self._reply(request)
            key = _REPLY_PREFIX + str(request["id"])
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.rpush(key, orjson.dumps(reply))
                pipe.expire(key, _EXPIRES_S)
                await pipe.execute()
        except InvalidInput as exc:
            log.error("strategy_requests.unreadable", error=exc.message)
        except (RedisError, OSError) as exc:
            log.warning("strategy_requests.reply_not_sent", error=str(exc))
        except Exception:  # a task's boundary: one request must not take terminal 3 along
            log.exception("strategy_requests.failed")
        finally:
            self._slots.release()

    async def _reply(self, request: dict[str, Any]) -> dict[str, Any]:
        head = {
            "v": VERSION,
            "type": "strategy_reply",
            "id": request["id"],
            "sent_at": self._clock.now().isoformat(),
        }
        try:
            return {**head, "result": await self._result(request), "error": None}
        except AristobotError as exc:
            return {**head, "result": None, "error": error_to_wire(exc)}

    async def _result(self, request: dict[str, Any]) -> Mapping[str, Any]:
        handler = self._handlers.get(request["kind"])
        if handler is None:
            raise InvalidInput(f"Demande « {request['kind']} » inconnue du moteur de trading.")
        if request["kind"] == VALIDATE:
            return await handler(request["params"])
        work = asyncio.ensure_future(handler(request["params"]))
        taken_back = asyncio.ensure_future(self._taken_back(str(request["id"])))
        try:
            await asyncio.wait((work, taken_back), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            raise Conflict("Annulé à votre demande.", code="cancelled")
        finally:
            work.cancel()
            taken_back.cancel()
            await asyncio.gather(work, taken_back, return_exceptions=True)

    async def _taken_back(self, number: str) -> None:
        """Wait until the request is taken back, perhaps before it was begun."""
        while True:
            try:
                if await self._redis.blpop([_TAKEN_BACK_PREFIX + number], timeout=_BLOCK_S) is not None:
                    return
            except (RedisError, OSError) as exc:  # the request itself needs no Redis until its reply
                log.warning("strategy_requests.redis_unavailable", error=str(exc))
                await self._clock.sleep(_RETRY_S)

    async def _validate(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        return asdict(await self._host.validate(str(params["code"])))


async def validate_in_terminal_3(url: str, code: str, *, clock: Clock, timeout_s: float = 15.0) -> Validation:
    """Ask for the verdict on `code`. Raises as `ask_terminal_3`."""
    result = await ask_terminal_3(
        url, VALIDATE, {"code": code}, action="Code non testé", clock=clock, timeout_s=timeout_s
    )
    errors = tuple(CodeError(one["message"], one["line"], one["column"]) for one in result["errors"])
    return Validation(valid=result["valid"], class_name=result["class_name"], errors=errors)


async def take_back(url: str, number: str) -> None:
    """Take back the request of that number, whether it runs, waits or is still to come; one that is over stays so.

    Raises:
        Unavailable: Redis does not answer.
    """
    redis = connect(url)
    try:
        async with redis.pipeline(transaction=True) as pipe:
            pipe.rpush(_TAKEN_BACK_PREFIX + number, b"1")
            pipe.expire(_TAKEN_BACK_PREFIX + number, _EXPIRES_S)
            await pipe.execute()
    except (RedisError, OSError) as exc:
        raise Unavailable("Annulation non transmise : Redis ne répond pas.", code="redis_down") from exc
    finally:
        with suppress(RedisError, OSError):
            await redis.aclose()


async def ask_terminal_3(
    url: str,
    kind: str,
    params: Mapping[str, Any],
    *,
    action: str,
    clock: Clock,
    timeout_s: float,
    number: str | None = None,
) -> Mapping[str, Any]:
    """Ask over a connection of its own (a web request's event loop is short-lived) and return the result.

    Args:
        action: what is said not to have been done when nobody answers, in French.
        number: by which `take_back` knows the request; nobody else may guess or choose it.

    Raises:
        Conflict: code `cancelled`, it was taken back.
        DeadlineExceeded: terminal 3 did not answer in time.
        Unavailable: Redis does not answer, or the sandbox cannot run.
        AristobotError: what terminal 3 answered.
    """
    redis = connect(url)
    number = number or uuid4().hex
    now = clock.now()
    request = {
        "v": VERSION,
        "type": "strategy_request",
        "id": number,
        "sent_at": now.isoformat(),
        "deadline": (now + timedelta(seconds=timeout_s)).isoformat(),
        "kind": kind,
        "params": params,
    }
    try:
        async with asyncio.timeout(timeout_s):
            return _result(await _exchange(redis, request))
    except TimeoutError as exc:
        raise DeadlineExceeded(
            f"{action} : le moteur de trading (terminal 3) n'a pas répondu en {timeout_s:g} s.",
            details={"timeout_s": str(timeout_s)},
        ) from exc
    except (RedisError, OSError) as exc:
        raise Unavailable(f"{action} : Redis ne répond pas.", code="redis_down") from exc
    finally:
        with suppress(RedisError, OSError):
            await redis.aclose()


async def _exchange(redis: Redis, request: dict[str, Any]) -> bytes:
    async with redis.pipeline(transaction=True) as pipe:
        pipe.rpush(REQUESTS, orjson.dumps(request))
        pipe.ltrim(REQUESTS, -_MAX_WAITING, -1)
        pipe.expire(REQUESTS, _EXPIRES_S)
        await pipe.execute()
    key = _REPLY_PREFIX + request["id"]
    while True:  # the caller's deadline ends it; short waits because the connection has a read time-out of its own
        answer: Any = await redis.blpop([key], timeout=_BLOCK_S)
        if answer is not None:
            raw: bytes = answer[1]
            return raw


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        message = orjson.loads(raw)
        check_version(message, "strategy_request")
        datetime.fromisoformat(message["deadline"])
        return {name: message[name] for name in ("id", "deadline", "kind", "params")}
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError) as exc:
        raise InvalidInput(f"Demande au moteur de trading illisible : {exc!r}", code="invalid_message") from exc


def _result(raw: bytes) -> Mapping[str, Any]:
    reply = orjson.loads(raw)
    check_version(reply, "strategy_reply")
    if reply["error"] is not None:
        raise error_from_wire(reply["error"])
    result: Mapping[str, Any] = reply["result"]
    return result
