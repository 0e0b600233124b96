"""The French sentences of events: what whoever watches the console, or reads « Journaux », must know.

An event without a sentence is a developer's: it goes to the file only.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from domain.french import number

Fields = Mapping[str, Any]
_SIDES = {"buy": "achat", "sell": "vente"}
_TYPES = {
    "market": "au marché",
    "limit": "limite",
    "stop_loss": "stop loss",
    "take_profit": "take profit",
    "stop_limit": "stop limite",
    "oco": "stop loss + take profit",
}
_STATES = {
    "open": "est en place chez l'exchange",
    "partially_filled": "est exécuté en partie",
    "filled": "est exécuté",
    "cancelled": "est annulé",
    "rejected": "est refusé",
    "expired": "a expiré sans être exécuté",
    "unknown": "est de statut inconnu : il est recherché chez l'exchange, rien n'est renvoyé",
}
_SERVICES = {
    "heartbeat": "Heartbeat",
    "heartbeat_secondary": "Heartbeat secondaire",
    "trading_engine": "Moteur de trading",
    "ccxt_service": "Service CCXT",
    "redis": "Redis",
}


def sentence(event: str, fields: Fields) -> str:
    """Return the French sentence of an event, "" when it has none or a field of it is missing."""
    known = _SENTENCES.get(event)
    if known is None:
        return ""
    try:
        return known(fields) if callable(known) else known.format_map(fields)
    except (KeyError, ValueError, TypeError, ArithmeticError):
        return ""


def _order(fields: Fields) -> str:
    return f"Ordre {fields['symbol']} n° {fields['trade_id']}"


def _submitted(fields: Fields) -> str:
    side, kind = _SIDES.get(fields["side"], fields["side"]), _TYPES.get(fields["type"], fields["type"])
    return f"{_order(fields)} enregistré : {side} {kind} de {_number(fields['quantity'])}."


def _state(fields: Fields) -> str:
    said = _STATES.get(fields["status"])
    return f"{_order(fields)} {said}." if said else ""


def _decided(fields: Fields) -> str:
    wish = {"buy": "d'acheter", "sell": "de vendre", "none": "de ne rien faire"}.get(fields["action"])
    return f"Bot {fields['bot_id']} décide {wish} ({fields['signal_id']})." if wish else ""


def _watched(fields: Fields) -> str:
    name = _SERVICES.get(fields["service"], fields["service"])
    return f"{name} ne répond plus." if fields["change"] == "down" else f"{name} répond de nouveau."


def _exchange(fields: Fields) -> str:
    return "l'échange simulé" if fields["exchange"] == "simex" else str(fields["exchange"])


def _stream_up(fields: Fields) -> str:
    return f"Flux privé du broker {fields['broker_id']} ouvert ({_exchange(fields)})."


def _markets(fields: Fields) -> str:
    seconds = number(Decimal(str(round(fields["seconds"], 1))))
    return f"Marchés de {_exchange(fields)} chargés : {fields['count']} en {seconds} s."


def _signal(fields: Fields) -> str:
    delay = _number(fields["delay_ms"])
    return f"Signal {fields['signal_id']} reçu en {delay} ms, bots concernés : {fields['bots']}."


def _heartbeat(fields: Fields) -> str:
    return f"Heartbeat {'secondaire' if fields['source'] == 'secondary' else 'principal'} en marche."


def _wrong_code(fields: Fields) -> str:
    count = int(fields["failures"])
    return f"Double authentification : code refusé, {f'{count} faux de suite' if count > 1 else 'un essai faux'}."


def _number(value: Any) -> str:
    return number(Decimal(str(value)))


# Said in « Journaux », neither on the screen nor among what matters: they come with every candle.
_QUIET = frozenset({"heartbeat.signal", "engine.signal", "orders.sending"})


def is_quiet(event: str, fields: Fields) -> bool:
    """Tell whether an event comes with every candle and asks nothing of anybody."""
    return event in _QUIET or (event == "engine.decided" and fields.get("action") == "none")


def matters(line: Mapping[str, Any]) -> bool:
    """Tell whether a line is for who trades: an order, a decision to act, an alert, anything that failed."""
    if line["level"] not in ("debug", "info"):
        return True
    return bool(line.get("message")) and not is_quiet(line["event"], line["fields"])


_SENTENCES: Mapping[str, str | Callable[[Fields], str]] = {
    "api.no_answer": "Demande sans réponse : {error}",
    "web.started": "Serveur web en marche.",
    "terminal.tables_behind": (
        "La base n'est pas à jour pour ce programme (il manque {missing} : {first}…) : ce terminal attend "
        "« manage.py migrate »."
    ),
    "terminal.work_failed": "Une tâche annexe ({work}) a échoué, nouvel essai dans {again_in_s} s.",
    "two_factor.wrong_code": _wrong_code,
    "two_factor.recovery_code_used": "Double authentification : un code de secours vient de servir.",
    "two_factor.turned_on": "Double authentification activée.",
    "two_factor.turned_off": "Double authentification désactivée.",
    "two_factor.recovery_codes_renewed": "Double authentification : codes de secours renouvelés.",
    "sign_in.address_locked": "Connexions refusées depuis {address} : trop de mots de passe faux.",
    "sign_in.account_closed_to_new_addresses": (
        "Connexion refusée depuis {address} : trop de mots de passe faux pour ce compte, qui n'accepte plus que "
        "les adresses et les navigateurs connus."
    ),
    "heartbeat.started": _heartbeat,
    "heartbeat.signal": "Signal {signal_id} publié.",
    "heartbeat.disconnected": "Connexion au marché perdue, nouvel essai. Cause : {error}",
    "heartbeat.incident": "{message}",
    "heartbeat.waits_for_database": "PostgreSQL ne répond pas encore, nouvel essai.",
    "heartbeat.signals_wait": "Redis ne répond pas : les signaux attendent et partiront à son retour.",
    "trading_engine.started": "Moteur de trading en marche.",
    "trading_engine.stopped": "Moteur de trading arrêté.",
    "trading_engine.sandbox_failed": "Le bac à sable des stratégies ne démarre pas : {reason}",
    "trading_engine.sandbox_incomplete": (
        "Isolation des stratégies incomplète sur cette machine : « ./aristobot doctor » dit ce qui manque."
    ),
    "engine.signal": _signal,
    "engine.decided": _decided,
    "engine.missed": "Bot {bot_id} : {reason}.",
    "engine.decision_failed": "Bot {bot_id} : décision impossible, {reason}",
    "engine.bot_paused": "Bot {bot_id} en pause : {reason}",
    "engine.database_down": "PostgreSQL ne répond pas : les décisions attendent.",
    "watch.exit": "Position {position_id} : prix atteint ({price}), vente.",
    "ccxt_service.started": "Service CCXT en marche.",
    "ccxt_service.stopped": "Service CCXT arrêté.",
    "gateway.markets_loaded": _markets,
    "gateway.broker_not_loaded": "Broker {broker_id} injoignable : {error}",
    "gateway.run_changed": "Le marché simulé est reparti de zéro : ses comptes sont neufs.",
    "broker.credentials_unreadable": "Clés du broker {broker_id} illisibles : {error}",
    "exchange.rate_limited": "L'exchange demande de ralentir (réponse {status}).",
    "orders.sending": "Envoi à l'exchange.",
    "orders.refused": "Ordre {symbol} refusé : {reason}",
    "orders.submitted": _submitted,
    "orders.state": _state,
    "orders.lease_acquired": "Ce service CCXT envoie désormais les ordres.",
    "orders.lease_waiting": "Un autre service CCXT envoie les ordres : celui-ci attend en réserve.",
    "orders.lease_lost": "Ce service CCXT n'a plus le droit d'envoyer : plus aucun ordre ne part d'ici.",
    "orders.exchange_unavailable": "Broker {broker_id} injoignable, ses ordres attendent : {error}",
    "orders.database_down": "PostgreSQL ne répond pas : les ordres attendent.",
    "webhooks.database_down": "PostgreSQL ne répond pas : les appels reçus attendent.",
    "orders.stream_down": "Flux privé du broker {broker_id} coupé, ses ordres sont suivis par questions : {error}",
    "orders.stream_up": _stream_up,
    "orders.external_found": "Ordre placé hors d'Aristobot trouvé sur {symbol}.",
    "watch.service": _watched,
    "alert.recorded": "Alerte : {message}",
    "alerts.not_sent": "Une alerte n'a pas pu partir ; nouvel essai. Voir « Mon Compte ».",
    "presence.redis_unavailable": "Redis ne répond pas, nouvel essai.",
    "simulateur.renewed": "Le compte Simulateur du broker {broker_id} est neuf : le marché simulé est reparti.",
}
