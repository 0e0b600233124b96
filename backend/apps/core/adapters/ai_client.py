"""The `openai` client as we let it call: the addresses `domain.assistant` allows, bounded answers, no redirection.

Importing this module costs 25 MiB and a second: only those who call a provider import it.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from ipaddress import ip_address
from typing import Any, cast

import httpx2
from openai import AsyncOpenAI, Omit

from domain.assistant import OLLAMA, AiProvider, check_address, is_local

_CONNECT_TIMEOUT_S = 5.0
_WRITE_TIMEOUT_S = 30.0
MAX_BODY = 8 * 1024 * 1024
# The environment's OpenAI account is none of the provider's business.
_HEADERS: dict[str, Any] = {"X-Title": "Aristobot3", "OpenAI-Organization": Omit(), "OpenAI-Project": Omit()}


class AddressRefused(OSError):
    """The name of an Ollama server resolves outside this machine and the local network."""


class AnswerTooLarge(OSError):
    """More bytes than any answer has."""


async def resolve(host: str, port: int) -> list[str]:
    """Return the IP addresses of `host`, in the order to try."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def connected(provider: AiProvider) -> AsyncOpenAI:
    """Return a client of this provider; the caller closes it, and bounds how long he reads."""
    is_at_home = provider.name == OLLAMA
    if is_at_home:
        check_address(httpx2.URL(provider.base_url).host)
    timeout = httpx2.Timeout(None, connect=_CONNECT_TIMEOUT_S, write=_WRITE_TIMEOUT_S)
    # A transport of our own also leaves the proxies of the environment aside.
    http = httpx2.AsyncClient(
        transport=_Guarded(local_only=is_at_home), timeout=timeout, follow_redirects=False, trust_env=False
    )
    return AsyncOpenAI(
        base_url=provider.base_url,
        api_key=provider.api_key or "aucune",  # the client wants one; Ollama is not told
        http_client=http,
        max_retries=0,  # the user sees the failure and decides
        timeout=timeout,
        default_headers=_HEADERS,
    )


class _Guarded(httpx2.AsyncHTTPTransport):
    """Checks a name where it is resolved, on the very address that is then connected to."""

    def __init__(self, *, local_only: bool) -> None:
        super().__init__()
        self._local_only = local_only

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await (self._at_home(request) if self._local_only else super().handle_async_request(request))
        response.stream = _Bounded(cast(httpx2.AsyncByteStream, response.stream))
        return response

    async def _at_home(self, request: httpx2.Request) -> httpx2.Response:
        host = request.url.host
        addresses = await resolve(host, request.url.port or (443 if request.url.scheme == "https" else 80))
        for address in addresses:
            if not is_local(ip_address(address.partition("%")[0])):
                raise AddressRefused(f"{host} est {address}, hors de cette machine et du réseau local")
        headers = httpx2.Headers(request.headers)
        headers.pop("Authorization", None)
        # The Host header stays the name's; so does the name that TLS checks.
        extensions = {**request.extensions, "sni_hostname": host}
        failure: httpx2.ConnectError | None = None
        for address in addresses:
            url = request.url.copy_with(host=address)
            pinned = httpx2.Request(
                request.method, url, headers=headers, stream=request.stream, extensions=extensions
            )
            try:
                return await super().handle_async_request(pinned)
            except httpx2.ConnectError as exc:  # `localhost` may be ::1 first, where Ollama does not listen
                failure = exc
        raise failure or httpx2.ConnectError(f"{host} n'a pas d'adresse")


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        seen = 0
        async for chunk in self._inner:
            seen += len(chunk)
            if seen > MAX_BODY:
                raise AnswerTooLarge(f"plus de {MAX_BODY // (1024 * 1024)} Mio")
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()
