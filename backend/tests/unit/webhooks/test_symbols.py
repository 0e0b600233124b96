"""Which market a ticker names: one or none, never a guess."""

import pytest

from domain.webhooks.refusal import CallRefused
from domain.webhooks.symbols import Listed, resolve

BTC = Listed("BTC/USDT", "BTCUSDT", "BTC", "USDT")
KRAKEN = Listed("BTC/USD", "XXBTZUSD", "BTC", "USD")
MARKETS = [
    BTC,
    KRAKEN,
    Listed("ETH/BTC", "ETHBTC", "ETH", "BTC"),
    Listed("AB/CUSDT", "AB_CUSDT", "AB", "CUSDT"),
    Listed("ABC/USDT", "ABC_USDT", "ABC", "USDT"),
    Listed("OLD/USDT", "OLDUSDT", "OLD", "USDT", active=False),
    Listed("BTC/USDT:USDT", "BTCUSDT_PERP", "BTC", "USDT", market_type="swap"),
]


@pytest.mark.parametrize(
    ("ticker", "symbol"),
    [
        ("BTCUSDT", "BTC/USDT"),
        ("btcusdt", "BTC/USDT"),
        ("BINANCE:BTCUSDT", "BTC/USDT"),
        ("BTC/USDT", "BTC/USDT"),
        ("BTC-USDT", "BTC/USDT"),
        ("BTC_USDT", "BTC/USDT"),
        ("XBTUSD", "BTC/USD"),
        ("KRAKEN:XBT/USD", "BTC/USD"),
        ("XXBTZUSD", "BTC/USD"),
        ("ETHXBT", "ETH/BTC"),
        ("ABC/USDT", "ABC/USDT"),
        ("AB/CUSDT", "AB/CUSDT"),
    ],
)
def test_ticker_of_one_market_names_it(ticker: str, symbol: str) -> None:
    assert resolve(ticker, MARKETS, exchange="simex") == symbol


@pytest.mark.parametrize(
    ("ticker", "code"),
    [
        ("BTCUSDT.P", "derivative"),
        ("BYBIT:BTCUSDT.P", "derivative"),
        ("BTC/USDT:USDT", "derivative"),
        ("BTC1!", "derivative"),
        ("XBTUSDC", "unknown_symbol"),
        ("XBTEUR", "unknown_symbol"),
        ("<script>", "unknown_symbol"),
        ("ABCUSDT", "ambiguous_symbol"),
        ("OLDUSDT", "market_closed"),
    ],
)
def test_ticker_of_none_or_several_is_refused(ticker: str, code: str) -> None:
    with pytest.raises(CallRefused) as refusal:
        resolve(ticker, MARKETS, exchange="simex")
    assert refusal.value.error_code == code
