"""Orders as French sentences name them."""

from collections.abc import Mapping

from domain.orders import OrderStatus, Side

_SIDES: Mapping[str, str] = {Side.BUY.value: "d'achat", Side.SELL.value: "de vente"}
_STATUSES: Mapping[str, str] = {
    OrderStatus.PENDING.value: "en attente d'envoi",
    OrderStatus.SENDING.value: "en cours d'envoi",
    OrderStatus.UNKNOWN.value: "inconnu",
    OrderStatus.OPEN.value: "ouvert",
    OrderStatus.PARTIALLY_FILLED.value: "exécuté en partie",
    OrderStatus.FILLED.value: "exécuté",
    OrderStatus.CANCELLED.value: "annulé",
    OrderStatus.REJECTED.value: "refusé",
    OrderStatus.EXPIRED.value: "expiré",
}


def order_of_side(side: str) -> str:
    """Return "ordre d'achat" or "ordre de vente"."""
    return f"ordre {_SIDES[side]}"


def status_word(status: str) -> str:
    """Return a status as one says it: "exécuté", "annulé"."""
    return _STATUSES[status]
