"""Who calls behind reverse proxies, and which pages may open a socket."""

from collections.abc import MutableMapping
from typing import Any

import pytest
from pytest_django.fixtures import SettingsWrapper

from apps.core.proxies import behind_proxies
from apps.core.same_origin import is_own
from domain.webhooks.origins import networks

PROXY, STRANGER = "10.0.0.1", "203.0.113.9"


async def seen(peer: str, public_url: str = "", kind: str = "http", **headers: str) -> tuple[str, str]:
    """What the application sees as caller and scheme."""
    found: list[MutableMapping[str, Any]] = []

    async def application(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        found.append(scope)

    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": kind, "scheme": "ws" if kind == "websocket" else "http", "client": [peer, 1], "headers": pairs}
    await behind_proxies(application, trusted=networks([PROXY]), public_url=public_url)(scope, None, None)
    return found[0]["client"][0], found[0]["scheme"]


@pytest.mark.parametrize(
    ("peer", "forwarded", "caller"),
    [
        (STRANGER, "192.0.2.7", STRANGER),  # anybody can write the header
        (PROXY, "192.0.2.7", "192.0.2.7"),
        (PROXY, "127.0.0.1, 192.0.2.7", "192.0.2.7"),  # the first word is the caller's own
        (PROXY, "", PROXY),
        (PROXY, "n'importe quoi", PROXY),
    ],
)
async def test_caller_is_whom_a_trusted_proxy_names(peer: str, forwarded: str, caller: str) -> None:
    assert (await seen(peer, x_forwarded_for=forwarded))[0] == caller


@pytest.mark.parametrize(
    ("peer", "proto", "scheme"),
    [(PROXY, "https", "https"), (PROXY, "https, http", "http"), (PROXY, "", "http"), (STRANGER, "https", "http")],
)
async def test_scheme_is_what_a_trusted_proxy_says(peer: str, proto: str, scheme: str) -> None:
    assert (await seen(peer, x_forwarded_proto=proto))[1] == scheme


async def test_called_by_its_public_name_it_is_over_tls() -> None:
    public = "https://aristobot.example.org"
    assert await seen(STRANGER, public, host="aristobot.example.org") == (STRANGER, "https")
    assert await seen(STRANGER, public, "websocket", host="Aristobot.example.org") == (STRANGER, "wss")
    assert await seen(STRANGER, public, host="127.0.0.1:8000") == (STRANGER, "http")
    assert await seen(STRANGER, "http://aristobot.example.org", host="aristobot.example.org") == (STRANGER, "http")


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        ("http://localhost:8000", "localhost:8000", True),
        ("https://localhost", "localhost", True),
        ("http://localhost:3000", "localhost:8000", False),  # another program of this machine: it has our cookies
        ("http://localhost", "localhost:8000", False),
        ("http://evil.example", "localhost:8000", False),
        ("http://evil.example", "evil.example", False),  # a name that was made to lead here
        ("http://localhost:8000@evil.example", "localhost:8000", False),
        ("null", "localhost:8000", False),
        ("", "localhost:8000", False),
        ("file://", "", False),
        ("https://cockpit.example.org", "localhost:8000", True),  # named in CSRF_TRUSTED_ORIGINS
    ],
)
def test_socket_is_opened_by_our_own_pages_only(
    origin: str, host: str, own: bool, settings: SettingsWrapper
) -> None:
    settings.ALLOWED_HOSTS = ["localhost"]
    settings.CSRF_TRUSTED_ORIGINS = ["https://cockpit.example.org"]
    assert is_own(origin, host) is own
