"""Redis addresses: besides `redis://`, `rediss://` and `unix://`, a service watched by Sentinels.

`sentinel://[user:password@]host:port,host:port,host:port/service[?db=0&sentinel_password=…]`
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_SCHEME = "sentinel://"
_SENTINEL_PORT = 26379


@dataclass(frozen=True, slots=True)
class SentinelAddress:
    """Where the Sentinels are and which service they watch.

    Args:
        redis: options of the connections to the servers.
        sentinel: options of those to the Sentinels.
    """

    hosts: tuple[tuple[str, int], ...]
    service: str
    redis: dict[str, Any]
    sentinel: dict[str, Any]


def sentinel_address(url: str) -> SentinelAddress | None:
    """Return what a `sentinel://` address says, None for any other.

    Raises:
        ValueError: no host, no service, or a port that is no number. Passwords are not quoted.
    """
    if not url.startswith(_SCHEME):
        return None
    parts = urlsplit(url)
    credentials, _, places = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    hosts = tuple(_host(place) for place in places.split(",") if place)
    service = unquote(parts.path.strip("/"))
    if not hosts or not service or "/" in service:
        raise ValueError("REDIS_URL: expected sentinel://host:port,host:port/service")
    redis: dict[str, Any] = {"db": int(query.get("db", "0"))}
    if user:
        redis["username"] = unquote(user)
    if password:
        redis["password"] = unquote(password)
    sentinel = {"password": query["sentinel_password"]} if "sentinel_password" in query else {}
    return SentinelAddress(hosts=hosts, service=service, redis=redis, sentinel=sentinel)


def channel_host(url: str, **options: Any) -> dict[str, Any]:
    """Return the entry of `CHANNEL_LAYERS` for an address; `options` are those of each connection."""
    address = sentinel_address(url)
    if address is None:
        return {"address": url, **options}
    from apps.core.adapters.redis_connection import FollowingConnection  # only where Sentinels are

    return {
        "connection_class": FollowingConnection,
        "sentinels": list(address.hosts),
        "master_name": address.service,
        "sentinel_kwargs": {**address.sentinel, **SENTINEL_OPTIONS},
        **address.redis,
        **options,
    }


# Of a Sentinel that is down the next one is asked soon.
SENTINEL_OPTIONS: dict[str, Any] = {"socket_connect_timeout": 1.0, "socket_timeout": 2.0}


# A browser event that a frozen server does not take is lost rather than waited for: pages refetch.
CHANNEL_OPTIONS: dict[str, Any] = {"socket_timeout": 5.0}


def _host(place: str) -> tuple[str, int]:
    name, _, port = place.rpartition(":") if not place.endswith("]") and ":" in place else (place, "", "")
    try:
        return name.strip("[]"), int(port or _SENTINEL_PORT)
    except ValueError:
        raise ValueError(f"REDIS_URL: « {port} » is no port") from None
