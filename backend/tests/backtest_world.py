"""Terminal 3's backtests on a real database and real sandboxed workers; the exchange is a fake that counts."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from apps.accounts.models import User
from apps.backtest.models import BacktestResult, BacktestSweep, Job
from apps.backtest.run_player import Loader, RunPlayer
from apps.backtest.services import requests
from apps.backtest.supervisor import Player, Supervisor
from apps.backtest.sweep_player import SweepPlayer
from apps.core.adapters.clock import SystemClock
from apps.core.adapters.strategy_host.backtest_host import BacktestHost
from apps.market_data.services.candle_history import CandleHistory
from apps.strategies.models import Strategy
from apps.trading_engine.database import Database
from domain.candles import Candle
from domain.messages import Priority
from domain.strategies.sample import sample_window
from domain.timeframes import Timeframe
from tests.engine_world import SYMBOL, make_broker, make_user
from tests.fakes.gateway import FakeGateway

FIRST = datetime(2026, 3, 2, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
WARM_UP = 500

# Ours: buys on every bar that nothing is held, sells on the next: many trades, no indicator.
FLIPPING = """
class Flip(Strategy):
    STRATEGY_PARAMS = {"part": {"default": 0.5, "min": 0.1, "max": 0.9, "step": 0.1, "type": "float"}}

    def should_long(self):
        return self.position is None

    def should_short(self):
        return self.position is not None

    def calculate_position_size(self):
        return self.balance * self.params["part"]

    def calculate_stop_loss(self):
        return 0.0

    def calculate_take_profit(self):
        return 0.0
"""
ENDLESS = FLIPPING.replace("return self.position is None", "\n        while True:\n            pass")

# Ours: reads `lag` candles ahead, where there are any.
PEEKING = """
class Peek(Strategy):
    STRATEGY_PARAMS = {"lag": {"default": 0, "min": 0, "max": 5, "step": 1, "type": "int"}}

    def __init__(self, candles, balance, position=None):
        super().__init__(candles, balance, position)
        self.candles["ahead"] = self.candles["close"].shift(-self.params["lag"]).ffill()

    def should_long(self):
        return self.candles["ahead"].iloc[-1] > self.candles["close"].iloc[-2]

    def should_short(self):
        return self.candles["ahead"].iloc[-1] < self.candles["close"].iloc[-2]

    def calculate_position_size(self):
        return self.balance * 0.5

    def calculate_stop_loss(self):
        return 0.0

    def calculate_take_profit(self):
        return 0.0
"""

SLOW = FLIPPING.replace(
    "return self.position is None", "\n        sum(range(2_000_000))\n        return self.position is None"
)


class Exchange(FakeGateway):
    """An exchange with minute candles from `FIRST - warm-up` on, without those of `holes`.

    Args:
        holes: minutes since `FIRST` that it has no candle of.
        gate: pages wait for it, when given.
    """

    def __init__(self, *, count: int, holes: Sequence[int] = (), gate: asyncio.Event | None = None) -> None:
        super().__init__(source="binance")
        self.candle_rows = [row for row in minutes(count) if (row.open_time - FIRST) // MINUTE not in set(holes)]
        self.pages: list[datetime] = []
        self.priorities: set[Priority] = set()
        self.asked = asyncio.Event()
        self.asked_twice = asyncio.Event()
        self.gate = gate

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
        self.pages.append(since)
        self.priorities.add(priority)
        (self.asked if len(self.pages) == 1 else self.asked_twice).set()
        if self.gate is not None:
            await self.gate.wait()
        return await super().candles(
            broker_id, user_id=user_id, symbol=symbol, timeframe=timeframe, since=since, until=until
        )


def minutes(count: int) -> list[Candle]:
    """Return the warm-up and `count` minutes after it."""
    window = sample_window(WARM_UP + count)
    columns = window.open, window.high, window.low, window.close, window.volume
    rows = zip(*([Decimal(f"{price:.2f}") for price in column] for column in columns), strict=True)
    start = FIRST - WARM_UP * MINUTE
    return [Candle(SYMBOL, Timeframe.M1, start + bar * MINUTE, *row) for bar, row in enumerate(rows)]


class Browsers:
    """A `Publisher` that keeps every event."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Mapping[str, Any], int | None]] = []
        self._more = asyncio.Event()

    async def publish(
        self, topic: str, event_type: str, data: Mapping[str, Any], *, user_id: int | None = None
    ) -> None:
        self.events.append((event_type, data, user_id))
        self._more.set()

    async def seen(self, check: Callable[[str, Mapping[str, Any]], bool], *, timeout_s: float = 30.0) -> Any:
        """Wait for an event, those of the past included; return its data."""
        async with asyncio.timeout(timeout_s):
            while True:
                for event_type, data, _ in self.events:
                    if check(event_type, data):
                        return data
                self._more.clear()
                await self._more.wait()

    async def status(self, run: Job, *statuses: str) -> Mapping[str, Any]:
        """Wait until the run's row was told with one of these statuses."""
        found = await self.seen(
            lambda event_type, data: (
                event_type in ("run", "sweep") and data["id"] == run.pk and data["status"] in statuses
            )
        )
        return dict(found)


class HandBell:
    """A `WakeUp` that the test rings."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()

    async def wait(self, timeout_s: float) -> None:
        try:
            await asyncio.wait_for(self._rung.wait(), timeout_s)
        except TimeoutError:
            return
        self._rung.clear()


@dataclass
class World:
    """What a test of the backtests holds."""

    exchange: Exchange
    host: BacktestHost
    browsers: Browsers = field(default_factory=Browsers)
    bell: HandBell = field(default_factory=HandBell)
    queries: Database = field(default_factory=lambda: Database(threads=3))
    names: Any = field(default_factory=itertools.count)

    def players(self) -> Mapping[type[Job], Player]:
        clock = SystemClock()
        history = CandleHistory(self.exchange, queries=self.queries, clock=clock)
        loader = Loader(gateway=self.exchange, history=history, queries=self.queries, clock=clock)
        runs = RunPlayer(loader=loader, host=self.host, queries=self.queries, clock=clock)
        sweeps = SweepPlayer(loader=loader, host=self.host, queries=self.queries, clock=clock, workers=2)
        return {BacktestResult: runs.play, BacktestSweep: sweeps.play}

    @asynccontextmanager
    async def terminal_3(self, *, lease_s: float = 15.0) -> AsyncIterator[asyncio.Task[None]]:
        """Run the supervisor for the length of a block."""
        supervisor = Supervisor(
            players=self.players(),
            wake_up=self.bell,
            queries=self.queries,
            publisher=self.browsers,
            clock=SystemClock(),
            lease=timedelta(seconds=lease_s),
        )
        running = asyncio.create_task(supervisor.run())
        try:
            yield running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def ask(self, user: User, *, code: str = FLIPPING, minutes: int = 300, **changes: Any) -> BacktestResult:
        """Queue a run of that many minutes."""
        run = await self.queries.run(queue_run, user, code=code, minutes=minutes, name=next(self.names), **changes)
        self.bell.ring()
        return run

    async def ask_sweep(self, user: User, *, minutes: int = 300, **wanted: Any) -> BacktestSweep:
        """Queue a search over the parameter of `FLIPPING`."""
        sweep = await self.queries.run(queue_sweep, user, minutes=minutes, name=next(self.names), **wanted)
        self.bell.ring()
        return sweep

    async def cancel(self, run: Job) -> None:
        """Ask for the end, and wait until it is told."""
        await self.queries.run(requests.cancel, run)
        self.bell.ring()
        await self.browsers.status(run, "cancelled")

    def worker_pids(self) -> list[int]:
        """Return the processes that play at this moment."""
        zygote = self.host.pid
        return [int(pid) for pid in Path(f"/proc/{zygote}/task/{zygote}/children").read_text().split()]

    def worker_states(self) -> list[str]:
        """Return what the kernel says of each: R at work, S waiting, T made to stand still."""
        return [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in self.worker_pids()]

    async def row(self, run: Job) -> Any:
        return await self.queries.run(type(run).objects.get, pk=run.pk)


def queue_run(user: User, **asked: Any) -> BacktestResult:
    return requests.create_run(user.pk, settings_of(user, **asked), now=datetime.now(UTC))


def queue_sweep(user: User, **asked: Any) -> BacktestSweep:
    chosen = {"objective": "net_return", "split_ratio": 0.7, "windows": 1, "sampler": "grid"}
    wanted = {**chosen, **settings_of(user, **{"code": FLIPPING, **asked})}
    return requests.create_sweep(user.pk, wanted, now=datetime.now(UTC))


def settings_of(user: User, *, code: str, minutes: int, name: int, **changes: Any) -> dict[str, Any]:
    broker = user.brokers.first()
    strategy = Strategy.objects.create(user=user, name=f"s{name}", code=code, timeframe="1m")
    return {
        "strategy_id": strategy.pk,
        "broker_id": broker.pk,
        "symbol": SYMBOL,
        "start_date": FIRST,
        "end_date": FIRST + minutes * MINUTE,
        "initial_amount": Decimal(1000),
        **changes,
    }


def make_trader(name: str = "lea") -> User:
    user = make_user(name)
    make_broker(user, exchange="binance", name="Binance")
    return user
