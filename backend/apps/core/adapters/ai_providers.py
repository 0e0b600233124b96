"""Asks AI providers, in the OpenAI protocol that OpenRouter and Ollama both speak.

By aiohttp, which the web process has loaded anyway: the `openai` client would add 45 MiB and 2 s of import to
it, for two routes. Redirections are not followed and answers are bounded, so that an address typed by a user
reaches nothing else than what `domain.assistant` allows; a name is checked where it is resolved, on the very
address that is then connected to.
"""

import asyncio
import json
import socket
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, NoReturn
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver

from domain.assistant import OLLAMA, AiModel, AiProvider, check_address, is_local
from domain.errors import AiProviderError

_CONNECT_TIMEOUT_S = 5.0
_MODELS_TIMEOUT_S = 15.0
_MAX_BODY = 8 * 1024 * 1024
_MAX_QUOTED = 300
_NAME = "Aristobot3"


class _AddressRefused(OSError):
    """The name of an Ollama server resolves outside this machine and the local network."""


class _LocalResolver(ThreadedResolver):
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        for entry in found:
            if not is_local(ip_address(entry["host"].partition("%")[0])):
                raise _AddressRefused(f"{host} est {entry['host']}, hors de cette machine et du réseau local")
        return found


async def list_models(provider: AiProvider, *, timeout_s: float = _MODELS_TIMEOUT_S) -> list[AiModel]:
    """Return the models that the provider offers, by id.

    Raises:
        AiProviderError: unreachable, too slow, refused or unreadable, with the provider's own words.
    """
    action = "Lecture des modèles impossible"
    body = await _call(provider, "GET", "/models", None, action=action, timeout_s=timeout_s)
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
    asked = {
        "model": provider.model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": max_tokens,
        "stream": False,
    }
    body = await _call(provider, "POST", "/chat/completions", asked, action=action, timeout_s=timeout_s)
    try:
        content = body["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        _fail(provider, action, "réponse sans texte", "ai_unreadable")
    return str(content or "")


async def _call(
    provider: AiProvider,
    method: str,
    path: str,
    asked: Mapping[str, Any] | None,
    *,
    action: str,
    timeout_s: float,
) -> dict[str, Any]:
    if provider.name == OLLAMA:
        check_address(urlsplit(provider.base_url).hostname or "")
    timeout = aiohttp.ClientTimeout(total=timeout_s, connect=_CONNECT_TIMEOUT_S)
    connector = aiohttp.TCPConnector(resolver=_LocalResolver() if provider.name == OLLAMA else None)
    headers = {"X-Title": _NAME, **({"Authorization": f"Bearer {provider.api_key}"} if provider.api_key else {})}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=connector, headers=headers) as session,
            session.request(method, provider.base_url + path, json=asked, allow_redirects=False) as reply,
        ):
            return _read(provider, action, reply.status, await _body(reply))
    except TimeoutError:
        _fail(provider, action, f"pas de réponse en {timeout_s:.0f} s", "ai_timeout")
    except aiohttp.ClientConnectorError as exc:
        if isinstance(exc.os_error, _AddressRefused):
            _fail(provider, action, str(exc.os_error), "ollama_url_refused")
        _fail(provider, action, f"injoignable ({_reason(exc)})", "ai_unreachable")
    except (aiohttp.ClientError, asyncio.IncompleteReadError) as exc:
        _fail(provider, action, f"échange interrompu ({exc or type(exc).__name__})", "ai_unreachable")


async def _body(reply: aiohttp.ClientResponse) -> bytes:
    held = bytearray()
    async for chunk in reply.content.iter_chunked(64 * 1024):
        held += chunk
        if len(held) > _MAX_BODY:
            raise aiohttp.ClientPayloadError(f"plus de {_MAX_BODY // (1024 * 1024)} Mio")
    return bytes(held)


def _read(provider: AiProvider, action: str, status: int, raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    said = _said(body)
    if status in (401, 403):
        _fail(provider, action, f"clé API refusée (HTTP {status}{said})", "ai_key_refused")
    if status >= 300 or (said and "choices" not in (body or {})):
        _fail(provider, action, f"HTTP {status}{said}", "ai_refused")
    if not isinstance(body, dict):
        _fail(provider, action, f"réponse illisible (HTTP {status}, JSON attendu)", "ai_unreadable")
    return body


def _said(body: Any) -> str:
    """Return the provider's own words about a failure, bounded, or ""."""
    error = body.get("error") if isinstance(body, dict) else None
    words = error.get("message") if isinstance(error, dict) else error
    return f", « {str(words)[:_MAX_QUOTED]} »" if words else ""


def _reason(exc: aiohttp.ClientConnectorError) -> str:
    return exc.os_error.strerror or str(exc.os_error)


def _fail(provider: AiProvider, action: str, why: str, code: str) -> NoReturn:
    message = f"{action} chez {provider.label} : {why}."
    if len(provider.api_key) >= 4:
        message = message.replace(provider.api_key, "••••")  # some repeat the key in their refusal
    raise AiProviderError(message, code=code, details={"provider": provider.name}) from None
