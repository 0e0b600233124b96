"""What an exchange can do for a spot account, in the words of the order form, from its stored facts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from apps.brokers.models import Exchange


@dataclass(frozen=True, slots=True)
class Capability:
    """One thing the exchange can do or not. `note` says why not, or how it is done instead."""

    code: str
    label: str
    supported: bool
    note: str = ""


Facts = Mapping[str, Any]
Rule = Callable[[Facts, Facts], bool]


def _any_of(*names: str) -> Rule:
    return lambda has, features: any(has.get(name) or features.get(name) for name in names)


# (code, label, rule on `has` and the spot order's features, what is said when it cannot)
_RULES: tuple[tuple[str, str, Rule, str], ...] = (
    ("market", "Ordre au marché", _any_of("createMarketOrder"), "Aucun ordre au marché."),
    ("limit", "Ordre limite", _any_of("createLimitOrder"), "Aucun ordre limite."),
    (
        "stop_loss",
        "Stop Loss",
        _any_of("stopLossPrice", "createStopLossOrder"),
        "Surveillé par Aristobot au lieu de l'exchange.",
    ),
    (
        "take_profit",
        "Take Profit",
        _any_of("takeProfitPrice", "createTakeProfitOrder"),
        "Surveillé par Aristobot au lieu de l'exchange.",
    ),
    ("stop_limit", "Stop Limite", _any_of("triggerPrice", "createStopLimitOrder"), "Aucun ordre stop limite."),
    (
        "attached_protection",
        "SL + TP joints à l'ordre",
        _any_of("attachedStopLossTakeProfit", "createOrderWithTakeProfitAndStopLoss"),
        "Posés comme ordres séparés, ou surveillés par Aristobot.",
    ),
    ("edit", "Modification d'ordre", _any_of("editOrder"), "Annulation puis nouvel ordre."),
    ("cancel_all", "Tout annuler", _any_of("cancelAllOrders"), "Ordres annulés un par un."),
    ("fees", "Frais du compte", _any_of("fetchTradingFee", "fetchTradingFees"), "Frais publics de l'exchange."),
    ("candles", "Bougies", _any_of("fetchOHLCV"), "Ni bot ni backtest possible sans bougies."),
)


def capabilities_of(exchange: Exchange) -> list[Capability]:
    """Return every capability, the missing ones with their reason, in the order they are shown."""
    found = [
        Capability(code, label, supported, "" if supported else missing)
        for code, label, rule, missing in _RULES
        for supported in (bool(rule(exchange.has, exchange.order_features)),)
    ]
    sandbox = bool(exchange.has_sandbox)
    note = "" if sandbox else f"{exchange.name} n'offre pas de réseau de test que ccxt connaisse."
    return [*found, Capability("sandbox", "Réseau de test", sandbox, note)]
