"""Where a client's requests and streams go."""

import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_django.fixtures import SettingsWrapper

from apps.core.adapters.ccxt_client_class import Rim, make_client
from apps.core.adapters.rate_budget import RateBudget
from domain.ports import BrokerAccess
from tests.fakes.clock import FakeClock

KEYS = {"apiKey": "k", "secret": "s", "password": "p"}


def client_of(exchange: str, *, is_testnet: bool = False) -> Any:
    clock = FakeClock()
    rim = Rim(budget=RateBudget(clock=clock, rate_per_s=1, capacity=1), clock=clock)
    return make_client(BrokerAccess(1, 1, exchange, is_testnet, KEYS), rim=rim, timeout_s=1.0)


def leaves(urls: Any) -> Iterator[str]:
    if isinstance(urls, str):
        yield urls
    else:
        for each in urls.values():
            yield from leaves(each)


def test_simex_client_knows_no_other_host(settings: SettingsWrapper) -> None:
    settings.SIMEX_URL = "http://127.0.0.1:18080/"
    client = client_of("simex")
    assert {re.sub(r"(:18080)/.*", r"\1", url) for url in leaves(client.urls["api"])} == {
        "http://127.0.0.1:18080",
        "ws://127.0.0.1:18080",
    }
    assert client.urls["api"]["ws"]["ws-api"]["spot"] == "ws://127.0.0.1:18080/ws-api/v3"


def test_binance_client_takes_the_addresses_of_the_settings(settings: SettingsWrapper) -> None:
    settings.BINANCE_REST_URL, settings.BINANCE_WS_URL = "http://127.0.0.1:1", "ws://127.0.0.1:2"
    urls = client_of("binance").urls["api"]
    assert (urls["private"], urls["ws"]["spot"], urls["ws"]["ws-api"]["spot"]) == (
        "http://127.0.0.1:1/api/v3",
        "ws://127.0.0.1:2/ws",
        "ws://127.0.0.1:2/ws-api/v3",
    )


def test_another_stream_host_alone_leaves_the_private_streams_at_binance(settings: SettingsWrapper) -> None:
    settings.BINANCE_REST_URL, settings.BINANCE_WS_URL = (
        "https://api.binance.com",
        "wss://data-stream.binance.vision",
    )
    urls = client_of("binance").urls["api"]["ws"]
    assert urls["spot"] == "wss://data-stream.binance.vision/ws"
    assert urls["ws-api"]["spot"] == "wss://ws-api.binance.com:443/ws-api/v3"


@pytest.mark.parametrize("exchange", ["binance", "bitget", "kraken", "okx"])
def test_client_of_an_exchange_with_streams_can_watch_with_exact_numbers(exchange: str) -> None:
    client = client_of(exchange)
    assert client.has["watchOrders"]
    assert client.has["watchBalance"]
    assert client.number is str
    assert client.apiKey == "k"


def test_exchange_without_streams_has_an_ordinary_client() -> None:
    client = client_of("bit2c")
    assert not client.has["watchOrders"]


async def test_events_of_an_account_are_not_kept_by_the_thousand() -> None:
    client = client_of("binance")
    client.set_markets([spot_market(client)])
    socket = SimpleNamespace(url="", futures={}, subscriptions={}, resolve=lambda *_: None)
    for number in range(1, 301):
        client.handle_message(socket, {"subscriptionId": 1, "event": execution(number)})
    kept = [order["id"] for order in client.orders]
    assert (len(kept), kept[-1]) == (100, "300")
    assert len(client.myTrades) == 100


def spot_market(client: Any) -> Any:
    return client.safe_market_structure(
        {"id": "BTCUSDT", "symbol": "BTC/USDT", "base": "BTC", "quote": "USDT", "type": "spot", "spot": True}
        | {"active": True, "precision": {"amount": "0.00001", "price": "0.01"}}
    )


def execution(number: int) -> dict[str, Any]:
    """Return what Binance tells of an order that is filled at once."""
    names = {"s": "BTCUSDT", "c": f"c{number}", "S": "BUY", "o": "MARKET", "f": "GTC", "x": "TRADE", "X": "FILLED"}
    amounts = {"q": "1", "p": "0", "l": "1", "z": "1", "L": "100", "n": "0.1", "N": "USDT", "Z": "100", "Y": "100"}
    return {"e": "executionReport", "E": number, "T": number, "i": number, "t": number, **names, **amounts}
