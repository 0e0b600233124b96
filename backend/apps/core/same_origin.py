"""WebSockets are opened by our own pages only.

A browser lets any page open a socket to us, with our cookies where the page is of the same host name on another
port. So the page's origin must be the very host and port that is called (a host that ALLOWED_HOSTS names, or a
page elsewhere could have the name of its choice point here), or one of CSRF_TRUSTED_ORIGINS. A program that is
not a browser says where it comes from like one.
"""

from typing import Any
from urllib.parse import urlsplit

from channels.security.websocket import WebsocketDenier
from django.conf import settings
from django.http.request import split_domain_port, validate_host

from apps.core.proxies import Application, Scope, header


def same_origin(application: Application) -> Application:
    """Return the ASGI application that refuses the sockets of other pages."""

    async def guarded(scope: Scope, receive: Any, send: Any) -> None:
        chosen = application if is_own(header(scope, b"origin"), header(scope, b"host")) else WebsocketDenier()
        await chosen(scope, receive, send)

    guarded.application = application  # type: ignore[attr-defined]
    return guarded


def is_own(origin: str, host: str) -> bool:
    """Return whether a page of this origin may open a socket to this host."""
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    page = urlsplit(origin)
    if page.scheme not in ("http", "https") or not host or page.netloc.lower() != host.lower():
        return False
    domain, _ = split_domain_port(host)
    return bool(domain) and bool(validate_host(domain, settings.ALLOWED_HOSTS))
