"""Who is calling: the address behind trusted proxies, and TradingView's own addresses."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

# Source: TradingView, « About webhooks », read on 2026-11-26.
TRADINGVIEW_ADDRESSES = frozenset({"52.89.214.238", "34.212.75.30", "54.218.53.128", "52.32.178.7"})

Network = IPv4Network | IPv6Network


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Read addresses and networks ("127.0.0.1", "10.0.0.0/8"). Raises ValueError."""
    return tuple(ip_network(text.strip(), strict=False) for text in texts if text.strip())


def is_trusted(peer: str, trusted: Sequence[Network]) -> bool:
    """Return whether who is connected to us is one of the trusted proxies."""
    plain = _plain(peer)
    return plain is not None and any(ip_address(plain) in network for network in trusted)


def caller(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """Return the address of the caller.

    Args:
        peer: who is connected to us.
        forwarded_for: the header X-Forwarded-For. Anybody can write it, so it is read from its end and only as
            far as trusted proxies wrote it: a peer that is not trusted is the caller whatever it says.
    """
    chain = [peer, *reversed([part.strip() for part in forwarded_for.split(",") if part.strip()])]
    found = peer
    for hop in chain:
        plain = _plain(hop)
        if plain is None:
            return found  # what a proxy cannot have seen ends the chain
        found = plain
        if not any(ip_address(plain) in network for network in trusted):
            return found
    return found


def _plain(text: str) -> str | None:
    host = text.removeprefix("[").partition("]")[0] if text.startswith("[") else text
    if host.count(":") == 1:  # IPv4 with a port
        host = host.partition(":")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
