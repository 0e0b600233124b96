"""What every answer tells the browser to forbid. Outermost of Django's middlewares: files are answered with it too.

Scripts come from our own files and from nowhere else: no inline script, no `eval`. Style sheets too, and those that
libraries write by themselves: CodeMirror's and Reka's, which bear the page's nonce, and the one line of the charts'
attribution, known by its hash. The one thing left open is the `style` attribute: CodeMirror sets it with values
of its own making. Whoever could write one into our pages could move things about, no more.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import DisallowedHost
from django.utils.crypto import get_random_string

# lightweight-charts 5.2 writes this style for its logo; `e2e` fails on a violation when a version changes it.
_CHART_LOGO = "'sha256-3pRED1tOXas1FXFoPb9TGCjmYe9XQsmO9OV23khV2nY='"
_FIXED = {
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=(), clipboard-write=(self)",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class SecurityHeaders:
    """Django middleware. `request.csp_nonce` is what the cockpit's page gives to its editor."""

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self._get_response = get_response

    def __call__(self, request: Any) -> Any:
        request.csp_nonce = get_random_string(22)
        response = self._get_response(request)
        response.headers.setdefault("Content-Security-Policy", policy(_sockets_of(request), request.csp_nonce))
        for name, value in _FIXED.items():
            response.headers.setdefault(name, value)
        if request.path.startswith("/api/"):
            response.headers.setdefault("Cache-Control", "no-store")
        if request.is_secure():
            for cookie in response.cookies.values():
                cookie["secure"] = True
        return response


def policy(sockets: str, nonce: str) -> str:
    """Return the policy. `sockets` names our own WebSocket origin: for some browsers 'self' is http only."""
    sheets = f"'self' 'nonce-{nonce}' {_CHART_LOGO}"
    directives = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": sheets,
        "style-src-elem": sheets,
        "style-src-attr": "'unsafe-inline'",
        "img-src": "'self' data:",
        "font-src": "'self'",
        "connect-src": f"'self' {sockets}".strip(),
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in directives.items())


def _sockets_of(request: Any) -> str:
    try:
        host = request.get_host()
    except DisallowedHost:
        return ""
    scheme = "wss" if request.is_secure() else "ws"
    return urlsplit(f"{scheme}://{host}").geturl()
