"""What the domain and the services need from outside, as protocols. Adapters and fakes implement them."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from domain.backtest.quick_contract import QuickTestJob, QuickTestResult
from domain.candles import Candle
from domain.live_market import OrderBook
from domain.markets import Market
from domain.messages import GatewayReply, GatewayRequest, Priority, Signal
from domain.order_abilities import OrderAbilities
from domain.orders import FillReport, OrderHandle, OrderReport, OrderTicket, PairTicket
from domain.strategies.contract import Evaluation, EvaluationJob, Validation
from domain.strategies.replay import ReplayAnswer, ReplayJob
from domain.timeframes import Timeframe


class Clock(Protocol):
    """Wall clock (aware UTC) and monotonic clock (seconds), injected so that tests own the time."""

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class Publisher(Protocol):
    """Sends events to browsers, at most once; never the truth (that is PostgreSQL)."""

    async def publish(
        self, topic: str, event_type: str, data: Mapping[str, Any], *, user_id: int | None = None
    ) -> None:
        """Send to everybody who subscribed to `topic`; to one user only when `user_id` is given."""
        ...


@dataclass(frozen=True, slots=True)
class Balance:
    """Free and locked amounts by currency, as Decimals; `market_time` when the exchange gives one."""

    free: Mapping[str, Decimal]
    locked: Mapping[str, Decimal]

    def total(self, currency: str) -> Decimal:
        return self.free.get(currency, Decimal(0)) + self.locked.get(currency, Decimal(0))


@dataclass(frozen=True, slots=True)
class TradingFee:
    """What an account pays on one market, as ratios of the notional."""

    maker_ratio: Decimal
    taker_ratio: Decimal


@dataclass(frozen=True, slots=True)
class BrokerAccess:
    """One user's account at an exchange with its decrypted credentials. Lives in terminal 5 only.

    `repr` hides the credentials so that they cannot reach a log.
    """

    user_id: int
    broker_id: int
    exchange: str
    is_testnet: bool
    credentials: Mapping[str, str] = field(repr=False)  # apiKey, secret, password …


class BrokerDirectory(Protocol):
    """Gives the gateway the accounts it serves (implemented by apps.brokers)."""

    async def active(self) -> Sequence[BrokerAccess]: ...

    async def get(self, broker_id: int) -> BrokerAccess:
        """Raises NotFound when the broker was deleted or is inactive."""
        ...


class MarketStore(Protocol):
    """Keeps what the gateway learned of an exchange (implemented by apps.market_data / apps.brokers)."""

    async def replace_markets(self, exchange: str, markets: Sequence[Market]) -> None:
        """Replace `exchange_symbols` of that exchange in one transaction."""
        ...


PrivateEvent = OrderReport | Balance


class PrivateStream(Protocol):
    """What an exchange tells of one account as it happens: an early word, never the only one."""

    async def listen(self, *, receive: Callable[[PrivateEvent], None], opened: Callable[[], None]) -> None:
        """Connect and hand over every event until cancelled.

        Args:
            receive: called at once with an order's state, or with all that the account holds; must not block.
            opened: called once, when events are certain to come: whatever happened before must be asked for.

        Raises:
            AristobotError: the connection failed, was refused or fell silent.
        """
        ...


class ExchangeSession(Protocol):
    """One authenticated connection of one (user, broker). Order calls are never retried inside."""

    @property
    def candle_source(self) -> str:
        """Key of `candles`: "binance", "binance-testnet", "simex:<run>" …"""
        ...

    @property
    def abilities(self) -> OrderAbilities:
        """Which orders this exchange takes from us."""
        ...

    async def load_markets(self) -> Mapping[str, Market]: ...

    async def fetch_balance(self) -> Balance: ...

    async def fetch_candles(
        self,
        symbol: str,
        timeframe: Timeframe,
        *,
        since: datetime,
        until: datetime,
        priority: Priority = Priority.CANDLES,
    ) -> Sequence[Candle]:
        """Closed and open candles with since <= open_time < until, ascending; the adapter pages."""
        ...

    async def fetch_trading_fee(self, symbol: str) -> TradingFee | None:
        """Return what this account pays, None where the exchange does not tell it."""
        ...

    async def fetch_price(self, symbol: str) -> Decimal: ...

    async def create_order(self, ticket: OrderTicket, *, valid_until: datetime) -> OrderReport:
        """Send once.

        Raises:
            OrderRejected: refused, it does not exist there.
            OrderNotExecuted: certainly not executed, may be sent later.
            OrderOutcomeUnknown: no proof either way.
        """
        ...

    async def create_pair(self, pair: PairTicket, *, valid_until: datetime) -> tuple[OrderReport, OrderReport]:
        """Send both legs in one request, once (`PairMode.OCO` only); return (stop loss, take profit).

        Raises the three verdicts of `create_order`, each about both legs together.
        """
        ...

    async def replace_order(self, old: OrderHandle, ticket: OrderTicket, *, valid_until: datetime) -> OrderReport:
        """Cancel `old` and place `ticket` in one request, once (`AmendMode.ATOMIC` only).

        The exchange does nothing at all when `old` has executed in part or is no longer open.

        Raises:
            OrderRejected: `ticket` does not exist there; `old` must be looked up (usually untouched).
            OrderNotExecuted: certainly nothing happened, may be sent later.
            OrderOutcomeUnknown: no proof either way, for both orders.
        """
        ...

    async def cancel_order(self, order: OrderHandle) -> None:
        """Raises OrderNotFound when nothing is open under that name (it may be filled)."""
        ...

    async def find_order(self, order: OrderHandle) -> OrderReport:
        """Look the order up, with its fills, by our id or else the exchange's. Raises OrderNotFound."""
        ...

    async def fetch_open_orders(self, symbol: str | None = None) -> Sequence[OrderReport]:
        """Return everything that rests there, orders with a trigger included; None: of every symbol."""
        ...

    async def fetch_my_trades(self, symbol: str, *, since: datetime | None = None) -> Sequence[FillReport]: ...

    def private_stream(self) -> PrivateStream | None:
        """Return the account's stream, the same one each time; None where the exchange must be asked."""
        ...

    async def close(self) -> None: ...


class ExchangeSessions(Protocol):
    """Pool of sessions in terminal 5, one per (user, broker)."""

    async def session(self, broker_id: int) -> ExchangeSession: ...


class Gateway(Protocol):
    """What terminals 1 and 3 see of terminal 5: reads by request and reply over the bus.

    Every method raises DeadlineExceeded when terminal 5 did not answer in time, else the exchange's error.
    """

    async def balance(self, broker_id: int, *, user_id: int, timeout_s: float = 10.0) -> Balance: ...

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
        """Return (candle source, candles with since <= open_time < until, ascending)."""
        ...

    async def trading_fee(
        self, broker_id: int, *, user_id: int, symbol: str, timeout_s: float = 10.0
    ) -> TradingFee | None:
        """Return what the account pays, None where the exchange does not tell it."""
        ...

    async def price(self, broker_id: int, *, user_id: int, symbol: str, timeout_s: float = 5.0) -> Decimal: ...

    async def book(
        self, broker_id: int, *, user_id: int, symbol: str, depth: int = 20, timeout_s: float = 5.0
    ) -> OrderBook:
        """Return the order book as it is now, at most 100 levels a side."""
        ...

    async def tickers(
        self, broker_id: int, *, user_id: int, symbols: Sequence[str], timeout_s: float = 10.0
    ) -> Mapping[str, Decimal]:
        """Return the last price by symbol, of at most 1,000; markets without a price are left out."""
        ...

    async def load_markets(self, broker_id: int, *, user_id: int, timeout_s: float = 60.0) -> int:
        """Reload the markets of that broker's exchange; return how many."""
        ...

    async def test_credentials(
        self,
        *,
        user_id: int,
        exchange: str,
        credentials: Mapping[str, str],
        is_testnet: bool,
        timeout_s: float = 20.0,
    ) -> Balance:
        """One-off connection outside the pool. Credentials travel encrypted (adapters.secrets)."""
        ...

    async def wake_orders(self) -> None:
        """Tell terminal 5 that rows wait (pending orders or commands). Only a wake-up; never fails loudly."""
        ...


class SignalStream(Protocol):
    """The Redis stream `heartbeat`."""

    async def publish(self, signal: Signal) -> None: ...

    def read(self, *, after: str, block_s: float) -> AsyncIterator[tuple[str, Signal]]:
        """Yield (stream id, signal) after the given id ("0" for all that is kept, "$" for new ones)."""
        ...


class RequestBus(Protocol):
    """Both ends of `ccxt_requests` / `ccxt_responses:<client>`."""

    async def send(self, request: GatewayRequest) -> GatewayReply: ...


class StrategyHost(Protocol):
    """Runs user code in sandboxed child processes (implemented by core.adapters.strategy_host)."""

    async def evaluate(self, job: EvaluationJob, *, timeout_s: float = 5.0) -> Evaluation:
        """Raises StrategyError (with line and traceback), StrategyTimeout, StrategyMemory, StrategyInvalid."""
        ...

    async def validate(self, code: str) -> Validation: ...

    async def quick_test(
        self, job: QuickTestJob, *, progress: Callable[[float], None] = lambda ratio: None
    ) -> QuickTestResult:
        """Play a strategy over a few hundred candles, telling which share is played; raises as `evaluate`."""
        ...

    async def evaluate_alike(self, job: ReplayJob, *, timeout_s: float) -> Sequence[ReplayAnswer]:
        """Return the decisions of several bots of one user, asked in one child; raises as `evaluate`."""
        ...

    async def replay(self, job: ReplayJob, *, timeout_s: float = 60.0) -> Sequence[ReplayAnswer]:
        """Ask again what was decided, when nothing else is asked; raises as `evaluate`."""
        ...

    async def close(self) -> None: ...
