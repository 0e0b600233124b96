"""How each family of exchanges words our orders: which it takes, and by what calls."""

from typing import Any

from domain.order_abilities import AmendMode, OrderAbilities, PairMode
from domain.orders import TRIGGERED_TYPES, OrderType


def order_abilities(client: Any) -> OrderAbilities:
    """Return which orders an exchange takes from us, read from its ccxt client (no network)."""
    missing = f"Aristobot ne sait pas encore envoyer ce type d'ordre à {client.name}."
    return OrderAbilities(
        refusals=dict.fromkeys((*sorted(TRIGGERED_TYPES), OrderType.OCO), missing),
        pair=PairMode.NONE,
        amend=AmendMode.CANCEL_FIRST,
    )
