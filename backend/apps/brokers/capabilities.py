"""What an exchange can do for a spot account, in the words of the order form, from its stored facts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from apps.brokers.models import Exchange
from domain.order_abilities import AmendMode, OrderAbilities, PairMode
from domain.orders import OrderType


@dataclass(frozen=True, slots=True)
class Capability:
    """One thing the exchange can do or not. `note` says why not, or how it is done instead."""

    code: str
    label: str
    supported: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class OrderTypeAbility:
    """Whether we send a type of order to an exchange, and why not."""

    type: str
    label: str
    supported: bool
    reason: str = ""


Facts = Mapping[str, Any]
Rule = Callable[[Facts, Facts], bool]


def _any_of(*names: str) -> Rule:
    return lambda has, features: any(has.get(name) or features.get(name) for name in names)


_ORDER_TYPES = {
    OrderType.MARKET: "Ordre au marché",
    OrderType.LIMIT: "Ordre limite",
    OrderType.STOP_LOSS: "Stop Loss",
    OrderType.TAKE_PROFIT: "Take Profit",
    OrderType.STOP_LIMIT: "Stop Limite",
    OrderType.OCO: "SL + TP sur la même quantité",
}
_PAIR_NOTES = {
    PairMode.OCO: "Tenus ensemble par l'exchange (OCO).",
    PairMode.LINKED: "Deux ordres liés : Aristobot annule l'un quand l'autre s'exécute.",
    PairMode.NONE: "Cet exchange bloquerait la quantité deux fois.",
}
_AMEND_NOTES = {
    AmendMode.ATOMIC: "Remplacement en une seule requête.",
    AmendMode.CANCEL_FIRST: "Annulation, confirmation de l'exchange, puis nouvel ordre.",
}
# (code, label, rule on ccxt's facts, what is said when it cannot)
_RULES: tuple[tuple[str, str, Rule, str], ...] = (
    ("cancel_all", "Tout annuler", _any_of("cancelAllOrders"), "Ordres annulés un par un."),
    ("fees", "Frais du compte", _any_of("fetchTradingFee", "fetchTradingFees"), "Frais publics de l'exchange."),
    ("candles", "Bougies", _any_of("fetchOHLCV"), "Ni bot ni backtest possible sans bougies."),
)


def abilities_of(exchange: Exchange) -> OrderAbilities:
    """Return which orders the exchange takes from us; none while terminal 5 has not said it."""
    if exchange.order_abilities:
        return OrderAbilities.from_wire(exchange.order_abilities)
    return OrderAbilities(refusals=dict.fromkeys(OrderType, f"{exchange.name} n'est pas encore décrit."))


def order_types_of(exchange: Exchange) -> list[OrderTypeAbility]:
    """Return every type of order of ours, the refused ones with their reason, in the order of the form."""
    abilities = abilities_of(exchange)
    return [
        OrderTypeAbility(kind.value, label, not reason, reason)
        for kind, label in _ORDER_TYPES.items()
        for reason in (_refusal(abilities, kind),)
    ]


def _refusal(abilities: OrderAbilities, kind: OrderType) -> str:
    without_pair = kind is OrderType.OCO and abilities.pair is PairMode.NONE
    return abilities.refusal(kind) or (_PAIR_NOTES[PairMode.NONE] if without_pair else "")


def capabilities_of(exchange: Exchange) -> list[Capability]:
    """Return every capability, the missing ones with their reason, in the order they are shown.

    Of orders: what Aristobot sends there, not what ccxt says of the exchange.
    """
    abilities = abilities_of(exchange)
    orders = [
        Capability(each.type, each.label, each.supported, each.reason or _how(each.type, abilities))
        for each in order_types_of(exchange)
    ]
    edit = Capability("edit", "Modification d'ordre", supported=True, note=_AMEND_NOTES[abilities.amend])
    facts = [
        Capability(code, label, supported, "" if supported else missing)
        for code, label, rule, missing in _RULES
        for supported in (bool(rule(exchange.has, exchange.order_features)),)
    ]
    sandbox = bool(exchange.has_sandbox)
    note = "" if sandbox else f"{exchange.name} n'offre pas de réseau de test que ccxt connaisse."
    return [*orders, edit, *facts, Capability("sandbox", "Réseau de test", sandbox, note)]


def _how(kind: str, abilities: OrderAbilities) -> str:
    return _PAIR_NOTES[abilities.pair] if kind == OrderType.OCO else ""
