"""How each family of exchanges words our orders: which it takes, and by what calls."""

from typing import Any

from apps.core.adapters.ccxt_loader import load_ccxt
from apps.core.adapters.order_dialects.base import OrderDialect
from apps.core.adapters.order_dialects.binance import BinanceDialect
from apps.core.adapters.order_dialects.bitget import BitgetDialect
from apps.core.adapters.order_dialects.kraken import KrakenDialect
from apps.core.adapters.order_dialects.okx import OkxDialect
from domain.order_abilities import OrderAbilities


def dialect_for(client: Any, *, name: str | None = None) -> OrderDialect:
    """Return the dialect of a ccxt client's family; ccxt's unified calls where we know no better.

    Args:
        name: what the exchange is called in messages; ccxt's name by default.
    """
    ccxt = load_ccxt()
    families: tuple[tuple[type, type[OrderDialect]], ...] = (
        (ccxt.binance, BinanceDialect),
        (ccxt.bitget, BitgetDialect),
        (ccxt.kraken, KrakenDialect),
        (ccxt.okx, OkxDialect),
    )
    kind = next((dialect for family, dialect in families if isinstance(client, family)), OrderDialect)
    return kind(client, name=name or str(client.name))


def order_abilities(client: Any, *, name: str | None = None) -> OrderAbilities:
    """Return which orders an exchange takes from us, read from its ccxt client (no network)."""
    return dialect_for(client, name=name).abilities
