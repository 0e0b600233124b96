"""Asks AI providers by the `openai` client, whose protocol OpenRouter and Ollama both speak.

Neither the prompt nor the answer is logged, nor put into an error. The client is imported at the first call:
the web process of those who use no assistant does not carry it.
"""

import asyncio
import errno
import json
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from domain.assistant import AiModel, AiProvider
from domain.assistant_failures import explain_refusal
from domain.errors import AiProviderError

if TYPE_CHECKING:
    from openai import APIError, APIStatusError, AsyncOpenAI, AsyncStream

_MODELS_TIMEOUT_S = 15.0
_MAX_QUOTED = 300
_STOPPED = "length"
_FRENCH = {
    errno.ECONNREFUSED: "connexion refusée",
    errno.EHOSTUNREACH: "machine injoignable",
    errno.ENETUNREACH: "réseau injoignable",
    errno.ETIMEDOUT: "aucune réponse",
}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StreamTimeouts:
    """How long to wait for a streamed answer, in seconds."""

    first_s: float = 180.0  # Ollama loads the model from the disk first
    silence_s: float = 60.0
    total_s: float = 600.0


class _Silent(Exception):
    """Nothing came for that many seconds."""

    def __init__(self, silence_s: float) -> None:
        super().__init__(silence_s)
        self.silence_s = silence_s


@dataclass(frozen=True, slots=True)
class AiChunk:
    """A piece of an answer: words, or only the sign that the model is thinking; `is_cut` at the token limit."""

    text: str = ""
    is_thought: bool = False
    is_cut: bool = False


def load_client() -> None:
    """Import the client, a second of work that a running event loop should not do."""
    from apps.core.adapters import ai_client  # noqa: F401 — 25 MiB, for those who use it


async def list_models(provider: AiProvider, *, timeout_s: float = _MODELS_TIMEOUT_S) -> list[AiModel]:
    """Return the models that the provider offers, by id.

    Raises:
        AiProviderError: unreachable, too slow, refused or unreadable, with the provider's own words.
    """
    action = "Lecture des modèles impossible"
    async with _calling(provider, action, timeout_s) as client:
        reply = await client.models.with_raw_response.list()
        body = _read(provider, action, reply.status_code, reply.text)
    rows = body.get("data") or []
    if not isinstance(rows, list):
        _fail(provider, action, "réponse sans liste de modèles", "ai_unreadable")
    named = {
        str(row["id"]): str(row.get("name") or row["id"]) for row in rows if isinstance(row, dict) and "id" in row
    }
    return [AiModel(id=key, name=named[key]) for key in sorted(named, key=str.lower)]


async def complete(provider: AiProvider, prompt: str, *, max_tokens: int, timeout_s: float) -> str:
    """Return the provider's answer to one prompt, "" when the model only thought.

    Raises:
        AiProviderError: unreachable, too slow, refused or unreadable, with the provider's own words.
    """
    action = f"Le modèle « {provider.model} » ne répond pas"
    async with _calling(provider, action, timeout_s) as client:
        reply = await client.chat.completions.with_raw_response.create(
            model=provider.model, messages=[{"role": "user", "content": prompt}], max_tokens=max_tokens
        )
        body = _read(provider, action, reply.status_code, reply.text)
    try:
        content = body["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        _fail(provider, action, "réponse sans texte", "ai_unreadable")
    return str(content or "")


async def stream(
    provider: AiProvider,
    messages: Sequence[Mapping[str, str]],
    *,
    max_tokens: int,
    timeouts: StreamTimeouts | None = None,
) -> AsyncGenerator[AiChunk, None]:
    """Yield the pieces of the provider's answer as they come; closing the iterator ends the call.

    Raises:
        AiProviderError: also in the middle: refused, silent too long, cut, unreadable, or without any text.
    """
    limits = timeouts or StreamTimeouts()
    action = f"Réponse de « {provider.model} » impossible"
    is_empty, is_finished = True, False
    async with _calling(provider, action, limits.total_s) as client:
        replies = await _within(limits.first_s, _opened(client, provider, messages, max_tokens))
        _check_streamed(provider, action, replies.response.headers.get("content-type", ""))
        within = limits.first_s
        async with replies:
            while (reply := await _within(within, anext(replies, None))) is not None:
                try:
                    chunk, is_last = _chunk(reply)
                except (AttributeError, IndexError, KeyError, TypeError):  # JSON, but of no known shape
                    _fail(provider, action, "réponse illisible (forme inconnue)", "ai_unreadable")
                is_finished = is_finished or is_last
                if chunk is not None:
                    within = limits.silence_s
                    is_empty = is_empty and not chunk.text
                    yield chunk
    if not is_finished:
        _fail(provider, action, "réponse interrompue avant la fin", "ai_interrupted")
    if is_empty:
        _fail(provider, action, "réponse vide : réessayer, ou choisir un autre modèle", "ai_empty")


async def _opened(
    client: "AsyncOpenAI", provider: AiProvider, messages: Sequence[Mapping[str, str]], max_tokens: int
) -> "AsyncStream[Any]":
    asked: Any = {"model": provider.model, "messages": list(messages), "max_tokens": max_tokens, "stream": True}
    replies: AsyncStream[Any] = await client.chat.completions.create(**asked)
    return replies


async def _within(silence_s: float, awaited: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(silence_s):  # not wait_for: before Python 3.12 it may swallow a cancellation
            return await awaited
    except TimeoutError:
        raise _Silent(silence_s) from None


def _chunk(reply: Any) -> tuple[AiChunk | None, bool]:
    """Return the piece and whether the model says that it has finished."""
    choice = reply.choices[0] if getattr(reply, "choices", None) else None
    if choice is None:
        return None, False
    delta, reason = choice.delta, choice.finish_reason
    text = (delta.content or "") if delta else ""
    extra = (delta.model_extra or {}) if delta else {}
    thought = bool(extra.get("reasoning") or extra.get("reasoning_content"))
    if text or thought or reason == _STOPPED:
        return AiChunk(text=text, is_thought=thought and not text, is_cut=reason == _STOPPED), reason is not None
    return None, reason is not None


def _check_streamed(provider: AiProvider, action: str, kind: str) -> None:
    if "text/event-stream" not in kind:
        _fail(provider, action, f"réponse illisible ({kind or 'sans type'}, flux attendu)", "ai_unreadable")


@asynccontextmanager
async def _calling(provider: AiProvider, action: str, timeout_s: float) -> AsyncIterator["AsyncOpenAI"]:
    from apps.core.adapters import ai_client  # 25 MiB, for those who use it

    async with ai_client.connected(provider) as client:
        with _translated(provider, action, timeout_s):
            async with asyncio.timeout(timeout_s):
                yield client


@contextmanager
def _translated(provider: AiProvider, action: str, timeout_s: float) -> Iterator[None]:
    import openai

    try:
        yield
    except openai.APITimeoutError:  # of connecting or sending; the rest of the waiting is bounded here
        _fail(provider, action, "injoignable (aucune réponse à la connexion)", "ai_unreachable")
    except TimeoutError:
        _fail(provider, action, f"pas de réponse en {timeout_s:.0f} s", "ai_timeout")
    except _Silent as exc:
        _fail(provider, action, f"silence depuis {exc.silence_s:.0f} s", "ai_timeout")
    except openai.APIStatusError as exc:
        _refuse(provider, action, exc)
    except openai.APIConnectionError as exc:
        _cut_off(provider, action, exc.__cause__ or exc)
    except openai.APIError as exc:
        _refuse_inside(provider, action, exc)
    except json.JSONDecodeError:
        _fail(provider, action, "réponse illisible (JSON attendu)", "ai_unreadable")
    except OSError as exc:
        _cut_off(provider, action, exc)


def _cut_off(provider: AiProvider, action: str, cause: BaseException) -> NoReturn:
    import httpx2

    from apps.core.adapters.ai_client import AddressRefused, AnswerTooLarge

    if isinstance(cause, AddressRefused):
        _fail(provider, action, str(cause), "ollama_url_refused")
    if isinstance(cause, AnswerTooLarge):
        _fail(provider, action, f"réponse trop grande ({cause})", "ai_unreadable")
    if isinstance(cause, (httpx2.ConnectError, OSError)):
        _fail(provider, action, f"injoignable ({_reason(cause)})", "ai_unreachable")
    _fail(provider, action, f"échange interrompu ({str(cause) or type(cause).__name__})", "ai_interrupted")


def _reason(cause: BaseException) -> str:
    """Return why a connection failed; the client wraps the system's error once or twice."""
    each: BaseException | None = cause
    while each is not None:
        if isinstance(each, socket.gaierror):
            return "nom d'hôte inconnu"
        if isinstance(each, OSError) and each.errno:
            return _FRENCH.get(each.errno) or os.strerror(each.errno)
        each = each.__cause__ or each.__context__
    return str(cause) or type(cause).__name__


def _refuse(provider: AiProvider, action: str, exc: "APIStatusError") -> NoReturn:
    try:
        body = json.loads(exc.response.text)
    except (ValueError, RuntimeError):  # RuntimeError: the body was not read before the connection went
        body = None
    waited = exc.response.headers.get("retry-after", "")
    refusal = explain_refusal(exc.status_code, _said(body), retry_after_s=int(waited) if waited.isdigit() else None)
    _fail(provider, action, refusal.why, refusal.code)


def _refuse_inside(provider: AiProvider, action: str, exc: "APIError") -> NoReturn:
    """An error that a provider writes into a stream whose status was 200."""
    body = exc.body if isinstance(exc.body, dict) else {}
    code = body.get("code")
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    refusal = explain_refusal(status, _said({"error": body}) or str(exc.message)[:_MAX_QUOTED])
    _fail(provider, action, refusal.why, refusal.code)


def _read(provider: AiProvider, action: str, status: int, raw: str) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        _fail(provider, action, f"réponse illisible (HTTP {status}, JSON attendu)", "ai_unreadable")
    said = _said(body)
    if said and "choices" not in body:
        refusal = explain_refusal(500, said)
        _fail(provider, action, refusal.why, refusal.code)
    return body


def _said(body: Any) -> str:
    """Return the provider's own words about a failure, bounded, or ""."""
    error = body.get("error") if isinstance(body, dict) else None
    words = error.get("message") if isinstance(error, dict) else error
    return str(words)[:_MAX_QUOTED] if words else ""


def _fail(provider: AiProvider, action: str, why: str, code: str) -> NoReturn:
    message = f"{action} chez {provider.label} : {why}."
    if len(provider.api_key) >= 4:
        message = message.replace(provider.api_key, "••••")  # some repeat the key in their refusal
    raise AiProviderError(message, code=code, details={"provider": provider.name}) from None
