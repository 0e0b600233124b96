"""Who calls, and by which scheme, when reverse proxies stand in front of us.

Headers that anybody can write are believed only of the proxies that `TRUSTED_PROXIES` names. What this finds is
put in the scope, so that every reader (Django, Channels, django-axes, the webhooks' door) sees the same caller.
"""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from domain.webhooks.origins import Network, caller, is_trusted

Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Any, Any], Awaitable[None]]

_SECURE = {"http": "https", "ws": "wss"}


def behind_proxies(application: Application, *, trusted: Sequence[Network], public_url: str = "") -> Application:
    """Return the ASGI application that sees the caller behind trusted proxies.

    Args:
        public_url: where the world reaches us. Called by that name and https, it is over TLS, whether or not the
            proxy says so in X-Forwarded-Proto.
    """
    public = urlsplit(public_url)
    public_host = public.netloc.lower() if public.scheme == "https" else None

    async def seen(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] in ("http", "websocket"):
            scope = _seen_through(scope, trusted, public_host)
        await application(scope, receive, send)

    return seen


def header(scope: Scope, name: bytes) -> str:
    """Return the values of a header, joined by commas; "" when it is absent."""
    return ",".join(value.decode("latin-1") for key, value in scope["headers"] if key == name)


def _seen_through(scope: Scope, trusted: Sequence[Network], public_host: str | None) -> Scope:
    scheme = scope.get("scheme") or ("ws" if scope["type"] == "websocket" else "http")
    by_tls = public_host is not None and header(scope, b"host").lower() == public_host
    peer = scope.get("client")
    if peer is not None and is_trusted(peer[0], trusted):
        found = caller(peer[0], header(scope, b"x-forwarded-for"), trusted)
        scope = {**scope, "client": [found, peer[1]]}
        # The nearest proxy wrote the last word; it is the one that is trusted for sure.
        by_tls = by_tls or header(scope, b"x-forwarded-proto").rpartition(",")[2].strip() in ("https", "wss")
    return {**scope, "scheme": _SECURE.get(scheme, scheme)} if by_tls else scope
