"""What the stream's messages become, and what is refused."""

from decimal import Decimal

import pytest

from apps.core.adapters.binance_stream import MalformedMessage, parse_message
from domain.errors import ExchangeUnavailable
from domain.market_feed import TradeEvent
from domain.market_tracker import KlineEvent

# Binance's documented examples (WebSocket Streams, aggTrade and kline).
TRADE = (
    b'{"e":"aggTrade","E":1672515782136,"s":"BNBBTC","a":12345,"p":"0.001","q":"100","f":100,"l":105,'
    b'"T":1672515782136,"m":true,"M":true}'
)
KLINE = (
    b'{"stream":"bnbbtc@kline_1m","data":{"e":"kline","E":1672515782136,"s":"BNBBTC","k":{"t":1672515780000,'
    b'"T":1672515839999,"s":"BNBBTC","i":"1m","f":100,"L":200,"o":"0.0010","c":"0.0020","h":"0.0025",'
    b'"l":"0.0015","v":"1000","n":100,"x":false,"q":"1.0000","V":"500","Q":"0.500","B":"123456"}}}'
)


def test_bare_trade_is_read() -> None:
    event = parse_message(TRADE)
    assert isinstance(event, TradeEvent)
    assert (event.symbol, event.raw) == ("BNBBTC", TRADE)
    assert event.trade[:6] == (12345, Decimal("0.001"), Decimal(100), 100, 105, 1672515782136)
    assert event.trade.executions == 6


def test_wrapped_kline_is_read() -> None:
    event = parse_message(KLINE)
    assert isinstance(event, KlineEvent)
    assert (event.open_ms, event.is_final, event.last_trade_id) == (1672515780000, False, 200)
    assert (event.close, event.trade_count) == (Decimal("0.0020"), 100)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        TRADE[:60],
        TRADE.replace(b'"0.001"', b'"NaN"'),
        TRADE.replace(b'"0.001"', b'"-1"'),
        TRADE.replace(b'"0.001"', b'"abc"'),
        TRADE.replace(b'"a":12345,', b""),
        TRADE.replace(b"12345", b"null"),
        KLINE.replace(b'"k":{', b'"z":{'),
    ],
)
def test_malformed_message_is_named_as_such(raw: bytes) -> None:
    with pytest.raises(MalformedMessage):
        parse_message(raw)


def test_other_messages_are_passed_over() -> None:
    assert parse_message(b'{"result":null,"id":1}') is None


def test_announced_shutdown_renews_the_connection() -> None:
    with pytest.raises(ExchangeUnavailable) as raised:
        parse_message(b'{"e":"serverShutdown","E":1}')
    assert raised.value.error_code == "stream_renewal"
