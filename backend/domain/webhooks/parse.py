"""From the body of a call to what it asks for. Everything doubtful is refused with its reason, nothing guessed.

`{{placeholders}}` are replaced by TradingView before it sends; one that is still there was not, and is refused.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from domain.orders import OrderType
from domain.webhooks import values
from domain.webhooks.call import Action, Call, Level, Size, Unit
from domain.webhooks.loose_json import MAX_DEPTH, read_object, sound
from domain.webhooks.plain_text import read_text
from domain.webhooks.refusal import CallRefused

MAX_BYTES = 64 * 1024
MAX_CALL_ID = 128

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][\w.]*(?:\([^{}]*\))?)\s*\}\}")
# What a field may be called. TradingView's own names work nested too: {"strategy": {"order": {"action": …}}}.
_NAMES: Mapping[str, str] = {
    alias: name
    for name, aliases in {
        "ticker": "ticker symbol pair market instrument symbole paire tickerid syminfo.ticker",
        "action": "action side signal order_action strategy.order.action sens",
        "quote_amount": "quote_amount quoteamount quote_qty quoteorderqty usd usdt usdc montant cost notional",
        "quantity": "quantity qty contracts order_contracts strategy.order.contracts quantite quantité base_amount",
        "percent": "percent pct percentage pourcent pourcentage",
        "amount": "amount size",
        "unit": "unit",
        "type": "type order_type ordertype",
        "price": "price limit_price limitprice strategy.order.price order_price",
        "stop_loss": "stop_loss stoploss sl",
        "take_profit": "take_profit takeprofit tp",
        "id": "id call_id alert_id order_id strategy.order.id",
        "time": "time timenow timestamp date sent_at",
        "secret": "secret passphrase password",
        "position_size": "position_size strategy.position_size target_size",
        "market_position": "market_position strategy.market_position",
        "note": "close open high low volume interval exchange comment message note strategy strategy_name name "
        "strategy.order.comment strategy.order.alert_message alert_name bar base_currency quote_currency currency",
    }.items()
    for alias in aliases.split()
}
_ACTIONS: Mapping[str, Action] = {
    word: action
    for action, words in {
        Action.BUY: "buy long achat acheter enter_long",
        Action.SELL: "sell vente vendre",
        Action.CLOSE: "close exit flat cloture clôture cloturer clôturer fermer exit_long close_long",
        Action.CANCEL: "cancel annuler annulation cancel_all",
        Action.TARGET: "target position cible",
    }.items()
    for word in words.split()
}
_TYPES = {
    "market": OrderType.MARKET,
    "marché": OrderType.MARKET,
    "limit": OrderType.LIMIT,
    "limite": OrderType.LIMIT,
}


def parse(text: str) -> Call:
    """Return what a call asks for.

    Raises:
        CallRefused: French, with the field and its value.
    """
    return call_of(fields_of(text))


def text_of(body: bytes) -> str:
    """Return the text of a body without its byte order mark; bytes that are no text become « � »."""
    encoding = "utf-16" if body[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return sound(body.decode(encoding, "replace").strip().strip("\ufeff\x00").strip())


def fields_of(text: str) -> dict[str, str]:
    """Return the fields a text gives, by the name they have here; unknown ones under their own, before "?".

    Raises:
        CallRefused: empty, unreadable, ambiguous, or a placeholder was not replaced.
    """
    text = text.strip()
    if not text:
        raise CallRefused("Message vide : rien à exécuter.", code="empty")
    left = _PLACEHOLDER.search(text)
    if left:
        raise _not_replaced(left[1])
    is_json = text[0] in "{["
    given = _flat(read_object(text)) if is_json else read_text(text)
    fields: dict[str, str] = {}
    for key, value in ((sound(key), sound(value)) for key, value in given.items()):
        name = _NAMES.get(key.strip().lower().replace("-", "_"), f"?{key.strip()}")
        if name == "note":
            continue
        if fields.setdefault(name, value) != value:
            raise CallRefused(
                f"Message ambigu : « {name} » est donné deux fois, « {fields[name][:40]} » et « {value[:40]} ».",
                code="ambiguous",
            )
    return fields


def call_of(fields: Mapping[str, str]) -> Call:
    """Return the call that fields make. Raises CallRefused."""
    action = _action(fields)
    order_type = _order_type(fields)
    return Call(
        action=action,
        ticker=_required(fields, "ticker", "BTCUSDT ou BTC/USDT"),
        order_type=order_type,
        size=None if action is Action.CANCEL else _size(fields, action),
        price=_price(fields, order_type),
        stop_loss=_level(fields, "stop_loss"),
        take_profit=_level(fields, "take_profit"),
        call_id=_call_id(fields),
        sent_at=values.moment(fields["time"]) if fields.get("time") else None,
        secret=fields.get("secret", ""),
        ignored=tuple(sorted(key[1:] for key in fields if key.startswith("?"))),
        is_short=action is Action.TARGET and _is_short(fields),
    )


def _flat(found: Mapping[str, Any], prefix: str = "", depth: int = 0) -> dict[str, str]:
    """Bring nested objects to one level: by their whole path where that is a known name, else by the last word."""
    if depth > MAX_DEPTH:
        raise CallRefused(f"Message illisible : plus de {MAX_DEPTH} niveaux imbriqués.", code="unreadable")
    fields: dict[str, str] = {}
    for key, value in found.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            inner = _flat(value, f"{path}.", depth + 1)
        elif value is None or value == "" or isinstance(value, list):
            continue
        else:
            inner = {_known(path): str(value).lower() if isinstance(value, bool) else value.strip()}
        for name, text in inner.items():
            if fields.setdefault(name, text) != text:
                raise CallRefused(f"Message ambigu : « {name[:40]} » est donné deux fois.", code="ambiguous")
    return fields


def _known(path: str) -> str:
    """Return the longest end of a path that is a field's name, the path itself when none is."""
    words = path.split(".")
    ends = (".".join(words[start:]) for start in range(len(words)))
    return next((end for end in ends if end.strip().lower() in _NAMES), path)


def _not_replaced(name: str) -> CallRefused:
    where = (
        "TradingView ne le remplace que dans l'alerte d'une stratégie"
        if name.startswith("strategy.")
        else "TradingView ne le remplace que dans le message d'une alerte"
    )
    return CallRefused(
        f"Le champ {{{{{name[:60]}}}}} n'a pas été remplacé : {where}, et seulement s'il l'écrit exactement ainsi.",
        code="placeholder",
        details={"placeholder": name[:60]},
    )


def _required(fields: Mapping[str, str], name: str, expected: str) -> str:
    value = fields.get(name, "").strip()
    if not value:
        raise CallRefused(f"Champ « {name} » absent : {expected} attendu.", code="missing")
    return value[:64]


def _action(fields: Mapping[str, str]) -> Action:
    word = _required(fields, "action", "buy, sell, close, cancel ou target").lower()
    if word == "short":
        raise CallRefused(
            "Action « short » refusée : pas de vente à découvert au comptant ; « close » ferme la position.",
            code="bad_value",
        )
    if word not in _ACTIONS:
        raise CallRefused(
            f"Action « {word[:40]} » inconnue : buy, sell, close, cancel ou target attendu.", code="bad_value"
        )
    return _ACTIONS[word]


def _order_type(fields: Mapping[str, str]) -> OrderType:
    word = fields.get("type", "market").lower()
    if word not in _TYPES:
        raise CallRefused(f"Type « {word[:40]} » inconnu : market ou limit attendu.", code="bad_value")
    return _TYPES[word]


def _price(fields: Mapping[str, str], order_type: OrderType) -> Decimal | None:
    """A price without a limit order is the chart's, told for information."""
    if order_type is OrderType.MARKET:
        return None
    return values.positive(_required(fields, "price", "le prix d'un ordre limite"), "price")


def _level(fields: Mapping[str, str], name: str) -> Level | None:
    return values.level(fields[name], name) if fields.get(name) else None


def _call_id(fields: Mapping[str, str]) -> str:
    found = fields.get("id", "")
    if len(found) > MAX_CALL_ID:
        raise CallRefused(f"Champ « id » trop long : {len(found)} signes, {MAX_CALL_ID} au plus.", code="bad_value")
    return found


def _size(fields: Mapping[str, str], action: Action) -> Size | None:
    given = {unit: fields[unit.value] for unit in Unit if fields.get(unit.value)}
    if fields.get("amount"):
        unit = _unit_of_amount(fields)
        if unit in given:
            raise CallRefused("Taille ambiguë : « amount » répète un autre champ.", code="ambiguous")
        given[unit] = fields["amount"]
    if action is Action.TARGET and not given:
        return _target_size(fields)
    if len(given) > 1:
        names = " et ".join(f"« {unit.value} »" for unit in given)
        raise CallRefused(f"Taille ambiguë : {names} ensemble, un seul attendu.", code="ambiguous")
    if not given:
        return None
    unit, text = next(iter(given.items()))
    return values.size(text, unit, may_be_zero=action is Action.TARGET)


def _unit_of_amount(fields: Mapping[str, str]) -> Unit:
    """« buy BTCUSDT 100 » spends quote, « 50% » is a share, « 0.01 BTC » says its currency."""
    unit = fields.get("unit", "").upper()
    ticker = re.sub(r"[^A-Z0-9]", "", fields.get("ticker", "").upper().rpartition(":")[2])
    if fields["amount"].endswith("%") or unit == "%":
        return Unit.PERCENT
    if unit and ticker.startswith(unit) and not ticker.endswith(unit):
        return Unit.BASE
    if not unit or (ticker.endswith(unit) and not ticker.startswith(unit)):
        return Unit.QUOTE
    raise CallRefused(f"Unité « {unit[:20]} » sans rapport avec « {ticker[:40]} ».", code="bad_value")


def _is_short(fields: Mapping[str, str]) -> bool:
    by_size = not fields.get("market_position") and fields.get("position_size", "").strip().startswith(("-", "−"))
    return by_size or fields.get("market_position", "").lower() == "short"


def _target_size(fields: Mapping[str, str]) -> Size:
    """The position that a TradingView strategy holds: its size, and nothing when it is flat or short."""
    side = fields.get("market_position", "").lower()
    if side in ("flat", "short"):
        return Size(Decimal(0), Unit.BASE)
    text = fields.get("position_size", "")
    if not text:
        raise CallRefused("Cible sans taille : quantity, quote_amount, percent ou position_size.", code="missing")
    value = values.number(text, "position_size")
    if value < 0 and side == "long":
        raise CallRefused(f"Cible contradictoire : long de {text[:40]}.", code="ambiguous")
    return Size(max(value, Decimal(0)), Unit.BASE)
