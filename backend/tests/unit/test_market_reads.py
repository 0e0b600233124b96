"""How public reads are asked from exchanges of different abilities, and how small numbers travel."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from apps.core.adapters import ccxt_market_reads as market_reads
from domain.live_market import OrderBook

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Client:
    """A ccxt client of some exchange; notes what it was asked for."""

    def __init__(self, name: str, *, has_tickers: bool = False) -> None:
        self.id = name
        self.has = {"fetchTickers": has_tickers}
        self.markets: dict[str, Any] = {"A/USDT": {}, "B/USDT": {}, "NEVER/USDT": {}}
        self.asked: list[Any] = []
        self.prices: dict[str, Any] = {"A/USDT": "10.5", "B/USDT": 0.00000123, "NEVER/USDT": None}

    async def fetch_order_book(self, symbol: str, limit: int | None) -> dict[str, Any]:
        self.asked.append(limit)
        return {"bids": [[1.1e-7, 5.0], [1e-7, 2e18]], "asks": [[1.2e-7, 0.000000000000000001]], "timestamp": None}

    async def fetch_tickers(self, symbols: Sequence[str]) -> dict[str, Any]:
        self.asked.append(list(symbols))
        return {symbol: {"last": self.prices[symbol]} for symbol in symbols}

    async def fetch_ticker(self, symbol: str) -> dict[str, Any]:
        self.asked.append(symbol)
        return {"last": self.prices[symbol]}


async def test_depth_is_asked_where_any_is_taken_and_cut_here_elsewhere() -> None:
    takes, refuses = Client("okx"), Client("bitfinex")
    await market_reads.order_book(takes, "A/USDT", 20, now=NOW)
    book = await market_reads.order_book(refuses, "A/USDT", 1, now=NOW)
    assert (takes.asked, refuses.asked) == ([20], [None])
    assert book.bids == ((Decimal("0.00000011"), Decimal(5)),)


async def test_book_travels_in_full_without_exponents() -> None:
    book = await market_reads.order_book(Client("okx"), "A/USDT", 20, now=NOW)
    wire = book.to_wire()
    assert wire["bids"] == [["0.00000011", "5.0"], ["0.0000001", "2000000000000000000"]]
    assert wire["asks"] == [["0.00000012", "0.000000000000000001"]]
    assert OrderBook.from_wire(wire) == book


async def test_last_prices_come_in_one_request_where_the_exchange_has_it() -> None:
    client = Client("kraken", has_tickers=True)
    prices = await market_reads.last_prices(client, ["A/USDT", "B/USDT", "NEVER/USDT", "UNKNOWN/USDT"])
    assert prices == {"A/USDT": Decimal("10.5"), "B/USDT": Decimal("0.00000123")}
    assert client.asked == [["A/USDT", "B/USDT", "NEVER/USDT"]]


async def test_last_prices_come_one_by_one_elsewhere() -> None:
    client = Client("small")
    assert set(await market_reads.last_prices(client, ["A/USDT", "B/USDT"])) == {"A/USDT", "B/USDT"}
    assert client.asked == ["A/USDT", "B/USDT"]
