"""Providers of the AI assistant: what a call needs, and which Ollama addresses may be called.

An Ollama address is typed by a user and called by the server, so it could be turned against services that
only the server reaches. Ollama asks for no key and is meant to run at home: only this machine and the local
network are called. The rest of the internet, link-local addresses (where cloud machines keep their secrets)
and names that resolve elsewhere are refused.
"""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from domain.errors import InvalidInput

OPENROUTER = "openrouter"
OLLAMA = "ollama"
PROVIDERS = (OPENROUTER, OLLAMA)
LABELS = {OPENROUTER: "OpenRouter", OLLAMA: "Ollama"}
OLLAMA_DEFAULT_URL = "http://localhost:11434"

# Loopback, RFC 1918, the shared range that home VPNs use (RFC 6598), and IPv6 unique local addresses.
_ALLOWED = tuple(
    ip_network(network)
    for network in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "::1/128",
        "fc00::/7",
    )
)


@dataclass(frozen=True, slots=True)
class AiProvider:
    """Whom to call. `base_url` ends before `/models`; `repr` hides the key so that it cannot reach a log."""

    name: str
    base_url: str
    model: str
    api_key: str = field(default="", repr=False)

    @property
    def label(self) -> str:
        return f"Ollama ({self.base_url})" if self.name == OLLAMA else LABELS[self.name]


@dataclass(frozen=True, slots=True)
class AiModel:
    """A model that the provider offers; `name` is for people."""

    id: str
    name: str


def checked_ollama_url(text: str) -> str:
    """Return the address without its final slash or `/v1`; an empty one becomes the default.

    Raises:
        InvalidInput: not http or https, with a user, a query or a fragment, or an IP address outside this
            machine and the local network. A name is checked when it is resolved, at each call.
    """
    url = (text.strip() or OLLAMA_DEFAULT_URL).rstrip("/").removesuffix("/v1").rstrip("/")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise _refused(url, f"adresse illisible ({exc})") from exc
    if parts.scheme not in ("http", "https"):
        raise _refused(url, f"protocole « {parts.scheme} », attendu http ou https")
    if not host or port == 0:
        raise _refused(url, "il manque l'hôte, par exemple http://localhost:11434")
    if parts.username or parts.password or parts.query or parts.fragment or not url.isascii() or " " in url:
        raise _refused(url, "seuls le protocole, l'hôte, le port et le chemin sont attendus")
    check_address(host)
    return url


def check_address(host: str) -> None:
    """Raises InvalidInput when `host` is an IP address outside this machine and the local network."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return  # a name
    if not is_local(address):
        raise _refused(host, "ni cette machine ni le réseau local, seuls appelés pour Ollama")


def is_local(address: IPv4Address | IPv6Address) -> bool:
    """Return whether the address is this machine's or of the local network."""
    mapped = getattr(address, "ipv4_mapped", None) or address
    return any(mapped in network for network in _ALLOWED)


def _refused(target: str, why: str) -> InvalidInput:
    return InvalidInput(f"Adresse Ollama « {target[:200]} » refusée : {why}.", code="ollama_url_refused")
