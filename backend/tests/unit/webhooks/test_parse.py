"""Bodies as TradingView and people send them; what is doubtful is refused with its reason."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.orders import OrderType
from domain.webhooks.call import Action, Call, Level, Size, Unit
from domain.webhooks.loose_json import read_object
from domain.webhooks.parse import MAX_BYTES, parse, text_of
from domain.webhooks.refusal import CallRefused

AT = datetime(2026, 11, 22, 14, 11, 14, tzinfo=UTC)
HUNDRED = Size(Decimal(100), Unit.QUOTE)


def call(action: Action = Action.BUY, ticker: str = "BTCUSDT", **fields: Any) -> Call:
    return Call(action=action, ticker=ticker, **fields)


READ: dict[str, tuple[str, Call]] = {
    "strict JSON": ('{"ticker": "BTCUSDT", "action": "buy", "quote_amount": "100"}', call(size=HUNDRED)),
    "numbers stay exact": (
        '{"ticker": "BTCUSDT", "action": "buy", "quantity": 0.10000000000000000001}',
        call(size=Size(Decimal("0.10000000000000000001"), Unit.BASE)),
    ),
    "unquoted values, as {{strategy.order.contracts}} leaves them": (
        '{"ticker": BTCUSDT, "action": buy, "contracts": 1.5, "time": 2026-11-22T14:11:14Z}',
        call(size=Size(Decimal("1.5"), Unit.BASE), sent_at=AT),
    ),
    "trailing commas, single quotes, a comment": (
        "{'ticker': 'BTCUSDT', // la paire\n 'action': 'buy', 'quote_amount': 100,}",
        call(size=HUNDRED),
    ),
    "typographic quotes of a phone": (
        "{“ticker”: “BTCUSDT”, “action”: “buy”, “quote_amount”: “100”}",
        call(size=HUNDRED),
    ),
    "nested as TradingView names it": (
        '{"ticker": "BTCUSDT", "strategy": {"order": {"action": "sell", "contracts": "0.5", "id": "TP1"},'
        ' "comment": "🚀 sortie"}, "bar": {"close": 94106.2, "volume": 12}}',
        call(Action.SELL, size=Size(Decimal("0.5"), Unit.BASE), call_id="TP1"),
    ),
    "a chart's price does not make a limit order": (
        '{"ticker": "BTCUSDT", "action": "buy", "quote_amount": "100", "price": "94106.2"}',
        call(size=HUNDRED),
    ),
    "limit with protections": (
        '{"ticker": "BTCUSDT", "action": "buy", "quote_amount": "100", "type": "limit", "price": "90000",'
        ' "stop_loss": "2 %", "take_profit": "99000"}',
        call(
            size=HUNDRED,
            order_type=OrderType.LIMIT,
            price=Decimal(90000),
            stop_loss=Level(Decimal(2), True),
            take_profit=Level(Decimal(99000), False),
        ),
    ),
    "percent of the balance": (
        '{"symbol": "BTC/USDT", "side": "SELL", "percent": "100"}',
        call(Action.SELL, "BTC/USDT", size=Size(Decimal(100), Unit.PERCENT)),
    ),
    "target from a strategy's position": (
        '{"ticker": "BTCUSDT", "action": "target", "market_position": "long", "position_size": "0.3"}',
        call(Action.TARGET, size=Size(Decimal("0.3"), Unit.BASE)),
    ),
    "a short target leaves the position on spot": (
        '{"ticker": "BTCUSDT", "action": "target", "market_position": "short", "position_size": "-0.3"}',
        call(Action.TARGET, size=Size(Decimal(0), Unit.BASE), is_short=True),
    ),
    "a short target by its sign alone": (
        '{"ticker": "BTCUSDT", "action": "target", "position_size": "-0.3"}',
        call(Action.TARGET, size=Size(Decimal(0), Unit.BASE), is_short=True),
    ),
    "shorthand": ("buy BTCUSDT 100", call(size=HUNDRED)),
    "shorthand with its unit": (
        "BUY BINANCE:BTCUSDT 0.01 BTC sl=2% id=a-1",
        call(
            ticker="BINANCE:BTCUSDT",
            size=Size(Decimal("0.01"), Unit.BASE),
            stop_loss=Level(Decimal(2), True),
            call_id="a-1",
        ),
    ),
    "shorthand share": ("sell BTCUSDT 50%", call(Action.SELL, size=Size(Decimal(50), Unit.PERCENT))),
    "key=value": ("ticker=BTCUSDT\naction=buy\nquote_amount=100\n", call(size=HUNDRED)),
    "key: value;": ("ticker: BTCUSDT; action: close", call(Action.CLOSE)),
    "TradingView's own sentence": (
        "Croisement (9, 21): order buy @ 0.25 filled on BTCUSDT. New strategy position is 0.25",
        call(size=Size(Decimal("0.25"), Unit.BASE)),
    ),
    "unknown fields are told": (
        '{"ticker": "BTCUSDT", "action": "close", "couleur": "bleu"}',
        call(Action.CLOSE, ignored=("couleur",)),
    ),
    "epoch milliseconds": ("close BTCUSDT time=1795356674000", call(Action.CLOSE, sent_at=AT)),
}


@pytest.mark.parametrize(("text", "expected"), READ.values(), ids=READ.keys())
def test_body_is_read_as_its_sender_means_it(text: str, expected: Call) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"ticker": "BTCUSDT", "action": "buy", "quote_amount": "100"}\n',
        '{"ticker": "BTCUSDT", "action": "buy", "quote_amount": "100"}'.encode("utf-16"),
        '{"ticker": "BTCUSDT", "action": "buy", "quote_amount": "100", "comment": "🚀'.encode() + b'\xff\x00"}',
    ],
    ids=["byte order mark", "UTF-16", "bytes that are no text in a comment"],
)
def test_bytes_of_any_origin_become_the_same_call(body: bytes) -> None:
    assert parse(text_of(body)) == call(size=HUNDRED)


REFUSED: dict[str, tuple[str, str]] = {
    "placeholder not replaced": ('{"ticker": {{ticker}}, "action": "buy"}', "{{ticker}} n'a pas été remplacé"),
    "strategy's placeholder in another alert": (
        '{"ticker": "BTCUSDT", "action": "{{strategy.order.action}}"}',
        "que dans l'alerte d'une stratégie",
    ),
    "empty": (" \n", "vide"),
    "no action": ('{"ticker": "BTCUSDT", "quote_amount": 5}', "Champ « action » absent"),
    "no ticker": ('{"action": "buy"}', "Champ « ticker » absent"),
    "unknown action": ("hodl BTCUSDT", "Action « hodl » inconnue"),
    "short": ('{"ticker": "BTCUSDT", "action": "short"}', "pas de vente à découvert"),
    "two sizes": ('{"ticker": "X", "action": "buy", "quantity": 1, "percent": 5}', "Taille ambiguë"),
    "a field twice": ('{"ticker": "BTCUSDT", "action": "buy", "action": "sell"}', "donné deux fois"),
    "a field under two names": ('{"ticker": "BTCUSDT", "symbol": "ETHUSDT", "action": "buy"}', "donné deux fois"),
    "comma in a number": ('{"ticker": "X", "action": "buy", "quantity": "1,000"}', "la virgule est ambiguë"),
    "NaN": ('{"ticker": "X", "action": "buy", "quantity": NaN}', "nombre attendu"),
    "negative": ('{"ticker": "X", "action": "buy", "quantity": "-1"}', "nombre positif attendu"),
    "zero": ('{"ticker": "X", "action": "buy", "quantity": 0}', "nombre positif attendu"),
    "more than everything": ("sell BTCUSDT 101%", "100 % au plus"),
    "limit without a price": ('{"ticker": "X", "action": "buy", "type": "limit"}', "Champ « price » absent"),
    "not a date": ("close BTCUSDT time=hier", "date ISO 8601 attendue"),
    "unfinished": ('{"ticker": "BTCUSDT", "action": "buy"', "« } » manquant"),
    "text after the object": ('{"ticker": "X", "action": "close"} vite', "texte après la fin"),
    "a list": ('["buy", "BTCUSDT"]', "un objet { … } est attendu"),
    "nested without end": ('{"a":' * 3000 + "1" + "}" * 3000, "niveaux imbriqués"),
    "loosely nested without end": ("{a:" * 3000 + "1" + "}" * 3000, "niveaux imbriqués"),
    "half an emoji": ('{"ticker": "X", "action": "\\ud83d"}', "Action « � » inconnue"),
    "a sentence": ("achète un peu de bitcoin stp", "« peu » n'a pas de place"),
    "a word too many": ("buy BTCUSDT 100 USDT vite", "« vite » n'a pas de place"),
    "foreign unit": ("buy BTCUSDT 1 ETH", "Unité « ETH » sans rapport"),
}


@pytest.mark.parametrize(("text", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_doubtful_body_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(CallRefused) as refusal:
        parse(text)
    assert reason in refusal.value.message


def test_body_of_64_kb_is_read() -> None:
    text = json.dumps({"ticker": "BTCUSDT", "action": "close", "comment": "é" * 20_000})
    padded = text + " " * (MAX_BYTES - len(text.encode()))
    assert parse(text_of(padded.encode())) == call(Action.CLOSE)


_LEAVES = st.one_of(st.text(max_size=20), st.booleans(), st.none(), st.integers(), st.decimals(allow_nan=False))
_TREES = st.recursive(
    _LEAVES.map(lambda leaf: str(leaf) if isinstance(leaf, Decimal) else leaf),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(min_size=1, max_size=8), _TREES, max_size=6))
def test_loose_reader_agrees_with_strict_json_where_that_holds(tree: dict[str, Any]) -> None:
    strict = json.dumps(tree)
    loosened = strict[:-1] + ",}" if tree else strict  # a trailing comma sends it to the loose reader
    assert read_object(loosened) == read_object(strict)


@given(st.text(max_size=200) | st.binary(max_size=200).map(text_of))
def test_any_text_is_read_or_refused_and_nothing_else(text: str) -> None:
    with suppress(CallRefused):
        assert parse(text).ticker
