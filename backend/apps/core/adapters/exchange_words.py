"""What exchanges say in English, explained in French: their own words stay beside it."""

import re

# Binance's and simex's messages, by how they begin (Source: Binance Spot API, error codes, 2026-09).
_MEANINGS: tuple[tuple[str, str], ...] = (
    (r"Account has insufficient balance", "solde libre insuffisant sur le compte"),
    (r"Filter failure: (MARKET_)?LOT_SIZE", "quantité hors des bornes ou du pas de ce marché"),
    (r"Filter failure: PRICE_FILTER", "prix hors des bornes ou du pas de ce marché"),
    (r"Filter failure: PERCENT_PRICE", "prix trop éloigné du marché"),
    (r"Filter failure: (MIN_)?NOTIONAL", "valeur de l'ordre hors des bornes de ce marché"),
    (r"Filter failure: MAX_NUM_ALGO_ORDERS", "trop d'ordres à déclenchement ouverts sur ce marché"),
    (r"Filter failure: MAX_NUM_ORDERS", "trop d'ordres ouverts sur ce marché"),
    (r"Filter failure: MAX_POSITION", "position maximale de ce marché dépassée"),
    (r"Filter failure", "l'ordre enfreint une règle de ce marché"),
    (r"Stop price would trigger immediately", "le seuil serait déclenché tout de suite"),
    (r"Order would immediately match and take", "l'ordre s'exécuterait tout de suite alors qu'il doit attendre"),
    (r"Order would trigger immediately", "l'ordre serait déclenché tout de suite"),
    (r"The relationship of the prices", "les seuils doivent encadrer le prix du marché"),
    (r"Duplicate order sent", "un ordre ouvert porte déjà cet identifiant"),
    (r"Unknown order sent", "cet ordre n'est plus ouvert là-bas (exécuté ou annulé)"),
    (r"Order does not exist", "cet ordre y est inconnu"),
    (r"Market is closed", "ce marché est fermé"),
    (r"This action is disabled on this account", "ce compte n'a pas le droit de faire cela"),
    (r"This symbol is not permitted", "ce compte n'a pas le droit de traiter ce symbole"),
    (r"Invalid symbol", "symbole inconnu"),
    (r"Invalid API-key, IP, or permissions", "clé refusée : clé, adresse IP ou permission"),
    (r"API-key format invalid", "clé mal formée"),
    (r"Signature for this request is not valid", "signature refusée : clé secrète erronée"),
    (r"Timestamp for this request", "horloge de cette machine décalée"),
    (r"Too (many|much) ", "trop de requêtes"),
    (r"Way too (many|much) ", "trop de requêtes, adresse bloquée pour un temps"),
    (r"Server is currently overloaded", "exchange surchargé"),
    (r"Timeout waiting for response", "l'exchange n'a pas eu de réponse de ses propres serveurs"),
    (r"Internal error", "panne interne de l'exchange"),
    (r"An unknown error occur", "panne interne de l'exchange"),
    (r"Precision is over the maximum", "trop de décimales"),
)
_COMPILED = tuple((re.compile(pattern), meaning) for pattern, meaning in _MEANINGS)


def explained(words: str) -> str:
    """Return the exchange's words after their meaning in French; unchanged when it is not known."""
    meaning = next((meaning for pattern, meaning in _COMPILED if pattern.match(words)), None)
    return words if meaning is None else f"{meaning} — {words}"
