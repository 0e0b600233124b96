"""Sends a message to an apprise address (Discord, mail, Telegram …).

apprise is imported by the first message: it costs 40 MiB and 2 s, which a process that never alerts, and the
web process, do not pay.
"""

import logging
from functools import cache
from typing import Any
from urllib.parse import unquote

from domain.alerts import service_of
from domain.errors import AlertNotSent

_TIMEOUT_S = 15.0
_CONNECT_TIMEOUT_S, _READ_TIMEOUT_S = 5.0, 10.0
_MAX_QUOTED = 300
_SHORTEST_HIDDEN = 4


def send(address: str, title: str, body: str) -> None:
    """Send one message, in at most 15 s.

    Raises:
        AlertNotSent: unreadable address, refused, or no answer; in French, with the service's own words and
            nothing of the address that could be used.
    """
    apprise, asset = _library()
    service = service_of(address)
    plugin = apprise.Apprise.instantiate(address, asset=asset, suppress_exceptions=True)
    if plugin is None:
        raise AlertNotSent(
            f"Adresse {service} illisible : apprise ne la reconnaît pas, voir la forme attendue par ce service.",
            code="alert_address_unknown",
        )
    # Whatever the address asks for (`?rto=`, `?retry=`): a slow service must not hold a sender.
    plugin.socket_connect_timeout, plugin.socket_read_timeout = _CONNECT_TIMEOUT_S, _READ_TIMEOUT_S
    target = apprise.Apprise(asset=asset)
    target.add(plugin)
    outcome = target.notify(title=title, body=body, body_format="text", timeout=_TIMEOUT_S)
    if not outcome:
        said = "; ".join(entry.message for entry in outcome.logs())
        raise AlertNotSent(f"Envoi refusé par {service} : {_harmless(said, address) or 'sans explication'}")


@cache
def _library() -> tuple[Any, Any]:
    import apprise

    logging.getLogger("apprise").propagate = False  # its lines name addresses; ours are in the outcome
    asset = apprise.AppriseAsset(app_id="Aristobot3", app_desc="Aristobot3", app_url="", async_mode=False)
    return apprise, asset


def _harmless(said: str, address: str) -> str:
    """Return apprise's words without any part of the address that may be a secret, bounded."""
    rest = address.partition("://")[2].partition("?")[0]
    for separator in ":@":
        rest = rest.replace(separator, "/")
    for part in sorted((unquote(part) for part in rest.split("/")), key=len, reverse=True):
        if len(part) >= _SHORTEST_HIDDEN:
            said = said.replace(part, "••••")
    return said[:_MAX_QUOTED]
