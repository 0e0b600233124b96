"""A small world for the engine's tests: users, accounts, markets, bots, and an engine on fakes.

Prices are round: the last close is 100 USDT, so that 50 USDT buy 0.5 BTC.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from apps.accounts.models import User
from apps.brokers.models import Broker
from apps.market_data.models import ExchangeSymbol
from apps.orders.models import Position, Trade
from apps.strategies.models import Strategy
from apps.trading_engine.announce import Announcer
from apps.trading_engine.database import Database
from apps.trading_engine.engine import Limits, TradingEngine
from apps.trading_engine.evaluation import Evaluator
from apps.trading_engine.models import ActiveStrategy, BotDecision
from domain.candles import Candle
from domain.messages import Signal
from domain.timeframes import Timeframe
from tests.fakes.clock import FakeClock
from tests.fakes.gateway import FakeGateway
from tests.fakes.publisher import FakePublisher
from tests.fakes.signals import FakeSignalStream
from tests.fakes.strategy_host import FakeStrategyHost

FEED = "simex:test"
SYMBOL = "BTC/USDT"
CLOSE = datetime(2025, 6, 1, 12, 5, tzinfo=UTC)
MONTHS = timedelta(days=90)


def make_user(name: str = "alice") -> User:
    user: User = User.objects.create_user(username=name, password="un-mot-de-passe-long")
    return user


def make_broker(user: User, *, exchange: str = "simex", name: str = "Simulateur") -> Broker:
    ExchangeSymbol.objects.get_or_create(
        exchange=exchange,
        symbol=SYMBOL,
        defaults={
            "exchange_symbol": "BTCUSDT",
            "base": "BTC",
            "quote": "USDT",
            "min_amount": Decimal("0.00001"),
            "max_amount": Decimal("9000"),
            "min_notional": Decimal("5"),
            "price_precision": Decimal("0.01"),
            "amount_precision": Decimal("0.00001"),
            "maker_fee_ratio": Decimal("0.001"),
            "taker_fee_ratio": Decimal("0.001"),
        },
    )
    broker: Broker = Broker.objects.create(user=user, name=name, exchange=exchange)
    return broker


def make_bot(
    user: User, broker: Broker, *, code: str = "code", timeframe: str = "5m", **fields: Any
) -> ActiveStrategy:
    strategy, _ = Strategy.objects.get_or_create(
        user=user, name=f"Stratégie {code}", defaults={"code": code, "timeframe": timeframe}
    )
    settings: dict[str, Any] = {
        "symbol": SYMBOL,
        "start_date": CLOSE - MONTHS,
        "end_date": CLOSE + MONTHS,
        "is_active": True,
        "active_since": CLOSE - timedelta(hours=1),
        **fields,
    }
    bot: ActiveStrategy = ActiveStrategy.objects.create(
        user=user, broker=broker, strategy=strategy, timeframe=timeframe, **settings
    )
    return bot


def hold(bot: ActiveStrategy, **fields: Any) -> Position:
    """Give the bot an open position of 0.5 BTC bought at 100."""
    values: dict[str, Any] = {
        "quantity": Decimal("0.5"),
        "entry_price": Decimal(100),
        "opened_at": CLOSE - timedelta(minutes=5),
        **fields,
    }
    position: Position = Position.objects.create(
        user=bot.user, broker=bot.broker, bot=bot, symbol=bot.symbol, owner=f"bot:{bot.id}", **values
    )
    return position


def rest(position: Position) -> Trade:
    """Let the stop loss of a bot's position rest at the exchange."""
    trade: Trade = Trade.objects.create(
        user=position.user,
        broker=position.broker,
        bot=position.bot,
        position=position,
        source="strategy",
        owner=position.owner,
        intent="protection",
        client_order_id="stop",
        symbol=position.symbol,
        side="sell",
        type="stop_loss",
        quantity=position.quantity,
        stop_price=position.stop_loss,
        status="open",
        valid_until=position.opened_at,
    )
    return trade


async def until(check: Callable[[], Awaitable[bool]], *, timeout_s: float = 10.0) -> None:
    """Wait until `check` holds. Raises TimeoutError."""
    async with asyncio.timeout(timeout_s):
        while True:
            if await check():
                return
            await asyncio.sleep(0.005)


def candles(until: datetime, *, timeframe: Timeframe = Timeframe.M5, count: int = 30) -> list[Candle]:
    """Return closed candles up to `until`, all at 100."""
    hundred, step = Decimal(100), timeframe.duration
    opens = [until - step * (count - index) for index in range(count)]
    return [
        Candle(SYMBOL, timeframe, moment, hundred, hundred, hundred, hundred, Decimal(1), trade_count=1)
        for moment in opens
    ]


class FixedCandles:
    """A `CandleReader` that always has the candles, or raises what the test says."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.asked = 0
        self.source = ""

    async def __call__(
        self, *, until: datetime, timeframe: Timeframe, source: str, **kwargs: Any
    ) -> Sequence[Candle]:
        self.asked += 1
        self.source = source
        if self.error is not None:
            raise self.error
        return candles(until, timeframe=timeframe)


@dataclass
class World:
    """An engine and everything around it."""

    database: Database
    clock: FakeClock = field(default_factory=lambda: FakeClock(datetime(2026, 1, 1, tzinfo=UTC)))
    gateway: FakeGateway = field(default_factory=FakeGateway)
    host: FakeStrategyHost = field(default_factory=FakeStrategyHost)
    reader: FixedCandles = field(default_factory=FixedCandles)
    publisher: FakePublisher = field(default_factory=FakePublisher)
    signals: FakeSignalStream = field(default_factory=FakeSignalStream)
    limits: Limits = field(default_factory=Limits)

    def engine(self, **replaced: Any) -> TradingEngine:
        """Return a new engine on this world; `replaced` are collaborators of its own."""
        parts: dict[str, Any] = {
            "database": self.database,
            "gateway": self.gateway,
            "host": self.host,
            "candles": self.reader,
            "publisher": self.publisher,
            **replaced,
        }
        return TradingEngine(
            signals=self.signals,
            evaluator=Evaluator(
                gateway=parts["gateway"],
                host=parts["host"],
                candles=parts["candles"],
                database=parts["database"],
                clock=self.clock,
            ),
            announcer=Announcer(publisher=parts["publisher"], database=parts["database"], clock=self.clock),
            database=parts["database"],
            clock=self.clock,
            limits=self.limits,
        )

    def signal(self, close: datetime = CLOSE, **fields: Any) -> Signal:
        """Return a signal sent now."""
        given: dict[str, Any] = {
            "timeframe": Timeframe.M5,
            "close_time": close,
            "symbol": "BTCUSDT",
            "feed": FEED,
            "source": "primary",
            "location": "local",
            "sent_at": self.clock.now(),
            **fields,
        }
        return Signal(**given)

    def fund(self, broker_id: int, usdt: int) -> None:
        """Let an account have that much free USDT."""
        self.gateway.free[broker_id] = {"USDT": Decimal(usdt)}

    async def decisions(self) -> list[BotDecision]:
        """Return every decision, by bot then close."""
        return await self.database.run(lambda: list(BotDecision.objects.order_by("bot_id", "close_time")))

    async def trades(self) -> list[Trade]:
        """Return every order, by age."""
        return await self.database.run(lambda: list(Trade.objects.order_by("id")))

    async def asked(self, count: int) -> None:
        """Wait until the sandbox was asked that often."""

        async def enough() -> bool:
            return len(self.host.jobs) >= count

        await until(enough)

    async def until_decided(self, bot_id: int, *, count: int = 1) -> None:
        """Wait until a bot has that many decisions."""
        done = BotDecision.objects.filter(bot_id=bot_id, status="decided")
        await until(lambda: self.database.run(lambda: done.all().count() >= count))
