"""The assistant: asks the model, tries its code in the sandbox, has it mended once, then offers it.

The answer goes out as events, one after the other. Neither the request nor the answer is kept or logged.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass, field
from typing import Any

import structlog

from apps.core.adapters import ai_providers
from apps.core.adapters.ai_providers import StreamTimeouts
from apps.strategies.common_indicators import COMMON
from apps.strategies.indicators import indicators
from domain.assistant import OLLAMA, AiProvider
from domain.assistant_answer import Answer, read_answer
from domain.assistant_prompt import AssistantRequest, Message, Mode, messages_for, repair_messages
from domain.errors import AristobotError
from domain.strategies.contract import Validation

log = structlog.get_logger(__name__)

MAX_TOKENS = 8192
_TOLD_EVERY_S = 5.0  # the browser gives a server up that says nothing

Event = dict[str, Any]
Validate = Callable[[str], Awaitable[Validation]]


@dataclass(slots=True)
class _Round:
    """One answer of the model, as it comes in."""

    text: str = ""
    is_cut: bool = False
    read: Answer = field(default_factory=lambda: Answer("", None, False))


async def answer(
    provider: AiProvider,
    request: AssistantRequest,
    *,
    validate: Validate,
    timeouts: StreamTimeouts | None = None,
    told_every_s: float = _TOLD_EVERY_S,
) -> AsyncGenerator[Event, None]:
    """Yield what the browser shows, ending with `done` or `error`. Closing the iterator ends the call.

    Events by `type`: `start` {provider, model}; `wait` {elapsed_s} and `think` while nothing can be read;
    `text` {text} as it comes; `check` when the code is tried; `repair` {errors} when the model mends it (its
    text starts anew); `done` {text, code, valid, class_name, errors, unchecked}; `error` {code, message}.
    """
    started = time.monotonic()
    yield {"type": "start", "provider": provider.name, "model": provider.model}
    events = _conversation(provider, request, validate, timeouts)
    try:
        async with aclosing(_with_signs_of_life(events, started, told_every_s)) as lively:
            async for event in lively:
                yield event
    except AristobotError as exc:
        log.info("assistant.failed", provider=provider.name, model=provider.model, code=exc.error_code)
        yield {"type": "error", "code": exc.error_code, "message": exc.message}


async def _conversation(
    provider: AiProvider, request: AssistantRequest, validate: Validate, timeouts: StreamTimeouts | None
) -> AsyncGenerator[Event, None]:
    columns = {name: names for name, (_, names) in COMMON.items()}
    messages = messages_for(request, indicators(), columns, is_brief=provider.name == OLLAMA)
    first = _Round()
    async for event in _listen(provider, messages, first, timeouts):
        yield event
    if request.mode is Mode.EXPLAIN or first.read.code is None or first.is_cut:
        yield _unoffered(first, wants_code=request.mode is not Mode.EXPLAIN)
        return
    yield {"type": "check"}
    verdict = await _try(first.read.code, validate)
    if isinstance(verdict, Validation) and not verdict.valid:
        yield {"type": "repair", "errors": [asdict(each) for each in verdict.errors]}
        second = _Round()
        again = repair_messages(messages, first.text, verdict.errors)
        async for event in _listen(provider, again, second, timeouts):
            yield event
        if second.read.code is not None and not second.is_cut:
            first = second
            yield {"type": "check"}
            verdict = await _try(second.read.code, validate)
    yield _offered(first.read, verdict)


async def _listen(
    provider: AiProvider, messages: Sequence[Message], into: _Round, timeouts: StreamTimeouts | None
) -> AsyncGenerator[Event, None]:
    pieces = ai_providers.stream(provider, messages, max_tokens=MAX_TOKENS, timeouts=timeouts)
    async with aclosing(pieces):
        async for piece in pieces:
            into.is_cut = into.is_cut or piece.is_cut
            into.text += piece.text
            if piece.text:
                yield {"type": "text", "text": piece.text}
            elif piece.is_thought:
                yield {"type": "think"}
    into.read = read_answer(into.text)
    into.is_cut = into.is_cut or into.read.is_cut


async def _try(code: str, validate: Validate) -> Validation | AristobotError:
    """Return the sandbox's verdict, or why there is none: the answer is not lost when terminal 3 is."""
    try:
        return await validate(code)
    except AristobotError as exc:
        return exc


def _offered(read: Answer, verdict: Validation | AristobotError) -> Event:
    if isinstance(verdict, AristobotError):
        return _done(read.words, read.code, unchecked=verdict.message)
    errors = [asdict(each) for each in verdict.errors]
    return _done(read.words, read.code, valid=verdict.valid, class_name=verdict.class_name, errors=errors)


def _unoffered(heard: _Round, *, wants_code: bool) -> Event:
    if wants_code and heard.is_cut:
        return {
            "type": "error",
            "code": "ai_cut",
            "message": (
                f"Code coupé au milieu : le modèle s'est arrêté avant la fin (limite de {MAX_TOKENS} jetons, ou "
                "celle du modèle). Demander une version plus courte, ou choisir un autre modèle."
            ),
        }
    return _done(heard.read.words, None)


def _done(text: str, code: str | None, **facts: Any) -> Event:
    blank: Mapping[str, Any] = {"valid": False, "class_name": None, "errors": [], "unchecked": ""}
    return {"type": "done", "text": text, "code": code, **blank, **facts}


async def _with_signs_of_life(
    events: AsyncGenerator[Event, None], started: float, told_every_s: float
) -> AsyncGenerator[Event, None]:
    """Pass events on; say that one is still waiting when none comes."""
    queue: asyncio.Queue[Event | BaseException | None] = asyncio.Queue(maxsize=100)
    pump = asyncio.create_task(_pump(events, queue))
    try:
        while True:
            try:
                async with asyncio.timeout(told_every_s):
                    event = await queue.get()
            except TimeoutError:
                yield {"type": "wait", "elapsed_s": round(time.monotonic() - started)}
                continue
            if event is None:
                return
            if isinstance(event, BaseException):
                raise event
            yield event
    finally:
        pump.cancel()
        with suppress(asyncio.CancelledError):
            await pump


async def _pump(events: AsyncGenerator[Event, None], queue: "asyncio.Queue[Event | BaseException | None]") -> None:
    async with aclosing(events):
        try:
            async for event in events:
                await queue.put(event)
        except AristobotError as exc:
            await queue.put(exc)
            return
    await queue.put(None)
