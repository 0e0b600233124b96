"""Reads calls written as plain text: `key=value`, `buy BTCUSDT 100`, and TradingView's own strategy sentence."""

import re

from domain.webhooks.refusal import CallRefused

# What TradingView proposes as the message of a strategy's alert, once its placeholders are replaced.
_SENTENCE = re.compile(
    r"order\s+(?P<action>buy|sell)\s*@\s*(?P<quantity>[^\s]+)\s+filled\s+on\s+(?P<ticker>[\w:./!-]+?)\.?(?=\s|$)"
    r"(?:\s*New strategy position is\s+[^\s]+)?",
    re.IGNORECASE,
)
_SPACED_SIGN = re.compile(r"\s*([=]|:(?=\s))\s*")
_QUOTED = re.compile(r"(?P<key>[\w.]+)=(?P<quote>[\"'])(?P<value>.*?)(?P=quote)")
_PAIR = re.compile(r"(?P<key>[A-Za-z_][\w.]*)[=:](?P<value>\S+)")
_NUMBER = re.compile(r"[+-]?\d[\d.,_]*")


def read_text(text: str) -> dict[str, str]:
    """Return the fields that a text names, its bare words put under action, ticker and amount in that order.

    Raises:
        CallRefused: a word has no place, or a field is given twice.
    """
    sentence = _SENTENCE.search(text)
    if sentence:
        return {key: value for key, value in sentence.groupdict().items() if value}
    fields: dict[str, str] = {}
    rest = _QUOTED.sub(lambda found: _keep(fields, found["key"], found["value"]), _SPACED_SIGN.sub(r"\1", text))
    bare: list[str] = []
    for word in re.split(r"[\s;]+|,(?=\s)", rest):
        pair = _PAIR.fullmatch(word.rstrip(","))
        if pair and not _is_market(pair):
            _keep(fields, pair["key"], pair["value"])
        elif word.strip(","):
            bare.append(word.strip(","))
    return {**_places(bare, fields), **fields}


def _keep(fields: dict[str, str], key: str, value: str) -> str:
    if fields.get(key, value) != value:
        raise CallRefused(f"Message ambigu : le champ « {key[:40]} » est donné deux fois.", code="ambiguous")
    fields[key] = value
    return " "


def _is_market(pair: re.Match[str]) -> bool:
    """`BINANCE:BTCUSDT` is a market, `action:buy` a field."""
    return ":" in pair[0] and "=" not in pair[0] and pair["key"].isupper()


def _places(words: list[str], fields: dict[str, str]) -> dict[str, str]:
    """Give bare words their place: action, then market, then amount with its unit."""
    found: dict[str, str] = {}
    waiting = [name for name in ("action", "ticker") if name not in fields]
    for index, word in enumerate(words):
        if waiting and not _NUMBER.fullmatch(word):
            found[waiting.pop(0)] = word
        elif "amount" not in found and _NUMBER.fullmatch(word.rstrip("%")):
            found["amount"] = word
        elif "amount" in found and "unit" not in found and words[index - 1] == found["amount"]:
            found["unit"] = word
        else:
            raise CallRefused(
                f"Message illisible : le mot « {word[:40]} » n'a pas de place. "
                "Attendu : « buy BTCUSDT 100 », ou des champs « ticker=BTCUSDT action=buy quote_amount=100 ».",
                code="unreadable",
            )
    return found
