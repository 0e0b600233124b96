"""A gateway in memory: what terminal 5 would answer, set by the test."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from domain.candles import Candle
from domain.errors import AristobotError
from domain.live_market import OrderBook
from domain.messages import Priority
from domain.ports import Balance, TradingFee
from domain.timeframes import Timeframe


class FakeGateway:
    """The `Gateway` port. `calls` counts what was asked; `failures` maps a method to the error it raises."""

    def __init__(self, *, source: str = "simex:test") -> None:
        self.source = source
        self.free: dict[int, dict[str, Decimal]] = {}
        self.prices: dict[str, Decimal] = {}
        self.books: dict[str, OrderBook] = {}
        self.candle_rows: list[Candle] = []
        self.failures: dict[str, AristobotError] = {}
        self.calls: list[str] = []
        self.wakes = 0
        self.fee: TradingFee | None = None

    async def balance(self, broker_id: int, *, user_id: int, timeout_s: float = 10.0) -> Balance:
        self._enter("balance")
        return Balance(free=dict(self.free.get(broker_id, {})), locked={})

    async def candles(
        self,
        broker_id: int,
        *,
        user_id: int,
        symbol: str,
        timeframe: Timeframe,
        since: datetime,
        until: datetime,
        timeout_s: float = 15.0,
        priority: Priority = Priority.CANDLES,
    ) -> tuple[str, Sequence[Candle]]:
        self._enter("candles")
        rows = [row for row in self.candle_rows if row.symbol == symbol and row.timeframe is timeframe]
        return self.source, [row for row in rows if since <= row.open_time < until]

    async def trading_fee(
        self, broker_id: int, *, user_id: int, symbol: str, timeout_s: float = 10.0
    ) -> TradingFee | None:
        self._enter("trading_fee")
        return self.fee

    async def price(self, broker_id: int, *, user_id: int, symbol: str, timeout_s: float = 5.0) -> Decimal:
        self._enter("price")
        return self.prices[symbol]

    async def book(
        self, broker_id: int, *, user_id: int, symbol: str, depth: int = 20, timeout_s: float = 5.0
    ) -> OrderBook:
        self._enter("book")
        book = self.books[symbol]
        return OrderBook(symbol, book.bids[:depth], book.asks[:depth], book.at)

    async def tickers(
        self, broker_id: int, *, user_id: int, symbols: Sequence[str], timeout_s: float = 10.0
    ) -> Mapping[str, Decimal]:
        self._enter("tickers")
        return {symbol: self.prices[symbol] for symbol in symbols if symbol in self.prices}

    async def load_markets(self, broker_id: int, *, user_id: int, timeout_s: float = 60.0) -> int:
        self._enter("load_markets")
        return len(self.prices)

    async def test_credentials(
        self,
        *,
        user_id: int,
        exchange: str,
        credentials: Mapping[str, str],
        is_testnet: bool,
        timeout_s: float = 20.0,
    ) -> Balance:
        self._enter("test_credentials")
        return Balance(free={}, locked={})

    async def wake_orders(self) -> None:
        self.wakes += 1

    def _enter(self, method: str) -> None:
        self.calls.append(method)
        if method in self.failures:
            raise self.failures[method]
