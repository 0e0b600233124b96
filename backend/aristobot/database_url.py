"""What Django is told of a DATABASE_URL, several hosts included.

`postgresql://user:password@host1:5432,host2:5432/aristobot`: libpq tries them in this order and keeps the one
that takes writes, so that a connection made after a failover is to the new primary.
"""

from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import environ

_PORT = "5432"
# A host that vanished without a word is noticed by the kernel in about ten seconds, not in two hours.
_WATCHED = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
# A statement behind somebody's lock (a migration's, above all) fails like one behind a dead server and is tried
# again: without an end it would hold a terminal's database thread, and so the terminal's own end, for as long.
# A process that is paused inside a transaction lets go of its rows before another terminal 5 replaces it (21 s);
# our transactions are statements in a row, with nothing awaited in between.
_PATIENCE = "-c lock_timeout=10s -c idle_in_transaction_session_timeout=15s"


def database_settings(url: str) -> dict[str, Any]:
    """Return the entry of `DATABASES`. What the address itself says of an option wins."""
    settings: dict[str, Any] = dict(environ.Env.db_url_config(_with_hosts_as_options(url)))
    settings["ENGINE"] = "django.db.backends.postgresql"
    options = settings.setdefault("OPTIONS", {})
    defaults: dict[str, Any] = {**_WATCHED, "options": _PATIENCE}
    if "," in str(options.get("host", "")):
        defaults["target_session_attrs"] = "read-write"
    settings["OPTIONS"] = {**defaults, **options}
    return settings


def _with_hosts_as_options(url: str) -> str:
    """Move `host1:port1,host2:port2` into the query, where libpq reads lists and URL parsers do not object."""
    parts = urlsplit(url)
    credentials, at, places = parts.netloc.rpartition("@")
    if "," not in places:
        return url
    pairs = [_host_and_port(place) for place in places.split(",")]
    hosts, ports = (",".join(column) for column in zip(*pairs, strict=True))
    query = f"host={quote(hosts)}&port={quote(ports)}" + (f"&{parts.query}" if parts.query else "")
    return urlunsplit(parts._replace(netloc=credentials + at, query=query))


def _host_and_port(place: str) -> tuple[str, str]:
    if place.endswith("]") or ":" not in place:
        return place.strip("[]"), _PORT
    host, _, port = place.rpartition(":")
    return host.strip("[]"), port
