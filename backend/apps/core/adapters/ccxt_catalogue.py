"""What ccxt says of every exchange it knows, from its class descriptions: no network, no account."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from django.conf import settings

from apps.core.adapters.ccxt_client_class import EXCHANGE_NAMES, SIMEX
from apps.core.adapters.ccxt_loader import load_ccxt
from apps.core.adapters.order_dialects import order_abilities
from domain.timeframes import Timeframe

_WORDED = ("binance", "bitget", "kraken", "okx")  # the families whose orders we word ourselves


def catalogue_version() -> str:
    """Return what the facts depend on: ccxt's version, what we can order, whether an exchange is simulated."""
    ccxt = load_ccxt()
    ours = [order_abilities(getattr(ccxt, exchange)()).to_wire() for exchange in _WORDED]
    version = f"{ccxt.__version__}+{sha256(repr(ours).encode()).hexdigest()[:8]}"
    return f"{version}+simex" if settings.SIMEX_URL else version


def all_exchange_facts() -> dict[str, dict[str, Any]]:
    """Return the catalogue's columns by exchange id. Takes about a second: call it in a thread."""
    ccxt = load_ccxt()
    found = {exchange: exchange_facts(exchange, getattr(ccxt, exchange)()) for exchange in ccxt.exchanges}
    if settings.SIMEX_URL:
        found[SIMEX] = exchange_facts(SIMEX, ccxt.binance())
    return found


def exchange_facts(exchange: str, client: Any) -> dict[str, Any]:
    """Return what the catalogue stores of one exchange, read from a ccxt client of it.

    `sandbox` is true when ccxt knows the address of a test network: `features["sandbox"]` is not reliable.
    """
    spot = (client.features or {}).get("spot") or {}
    name = EXCHANGE_NAMES.get(exchange, str(client.name))
    return {
        "name": name,
        "required_credentials": [name for name, needed in client.requiredCredentials.items() if needed],
        "has": dict(client.has),
        "order_features": _plain(spot.get("createOrder")),
        "order_abilities": order_abilities(client, name=name).to_wire(),
        "timeframes": [each.value for each in Timeframe if each.value in (client.timeframes or {})],
        "has_sandbox": exchange != SIMEX and bool(client.urls.get("test")),
    }


def _plain(features: Mapping[str, Any] | None) -> dict[str, bool]:
    """Keep only whether each feature of a spot order exists."""
    return {str(name): bool(value) for name, value in (features or {}).items()}
