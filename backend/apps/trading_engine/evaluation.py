"""Brings a strategy what it looks at (closed candles, balance), and its answer back."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from apps.orders.selectors import reserved_by_currency
from apps.trading_engine.alike import AlikeQuestions
from apps.trading_engine.database import Database
from apps.trading_engine.jobs import Job
from apps.trading_engine.settlement import Answer
from domain.candles import Candle
from domain.errors import Unavailable
from domain.ports import Balance, Clock, Gateway, StrategyHost
from domain.strategies.contract import DEFAULT_WINDOW, CandleWindow, EvaluationJob
from domain.strategies.parity import seen_of
from domain.strategies.window import candle_window
from domain.timeframes import Timeframe


class CandleReader(Protocol):
    """Gives the last `count` closed candles up to `until`, oldest first; waits until `deadline` for the newest."""

    async def __call__(
        self,
        *,
        broker_id: int,
        user_id: int,
        source: str,
        symbol: str,
        timeframe: Timeframe,
        until: datetime,
        count: int,
        deadline: datetime,
    ) -> Sequence[Candle]:
        """Raises Unavailable when the just-closed candle does not come in time."""
        ...


@dataclass(frozen=True, slots=True)
class _View:
    """A window as a strategy sees it, and the exact close of its newest candle."""

    window: CandleWindow
    price: Decimal


@dataclass(frozen=True, slots=True)
class _Purse:
    """A balance, what orders held of it, and the wall time just before it was asked."""

    balance: Balance
    reserved: dict[str, Decimal]
    asked_at: datetime


class Flights:
    """Lets callers that want the same thing at the same moment share one request."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, asyncio.Task[Any]] = {}

    async def share(self, key: Hashable, ask: Callable[[], Awaitable[Any]]) -> Any:
        """Return what the request under way for `key` brings, or start one. One caller's end stops no other."""
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.ensure_future(ask())
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._land(key, done))
        return await asyncio.shield(task)

    def _land(self, key: Hashable, task: asyncio.Task[Any]) -> None:
        del self._under_way[key]
        if not task.cancelled():
            task.exception()  # seen here too, in case every caller has gone


class Evaluator:
    """Asks a job's strategy what it wants. One request serves all the bots of a market or of an account.

    Args:
        patience: how long the candles and the balance may take.
        evaluation_timeout_s: wall-clock limit of the user's code.
    """

    def __init__(
        self,
        *,
        gateway: Gateway,
        host: StrategyHost,
        candles: CandleReader,
        database: Database,
        clock: Clock,
        patience: timedelta = timedelta(seconds=6),
        evaluation_timeout_s: float = 5.0,
        window: int = DEFAULT_WINDOW,
    ) -> None:
        self._gateway = gateway
        self._questions = AlikeQuestions(host, timeout_s=evaluation_timeout_s)
        self._candles = candles
        self._database = database
        self._clock = clock
        self._patience = patience
        self._window = window
        self._flights = Flights()

    async def evaluate(self, job: Job) -> Answer:
        """Return the strategy's answer with the money and the price it was given.

        Raises:
            StrategyError: the user's code failed.
            Unavailable, ExchangeError: the candles or the balance could not be had.
        """
        view, purse = await asyncio.gather(self._view(job), self._purse(job))
        quote = job.symbol.partition("/")[2]
        available = purse.balance.free.get(quote, Decimal(0)) - purse.reserved.get(quote, Decimal(0))
        question = EvaluationJob(
            code=job.code,
            candles=view.window,
            balance=float(max(available, Decimal(0))),
            position=job.position,
            params=job.params,
        )
        evaluation = await self._questions.ask(question, user_id=job.user_id, window=_window_key(job))
        seen = seen_of(question, source=job.candle_source, symbol=job.symbol, timeframe=job.timeframe.value)
        return Answer(
            evaluation=evaluation, balance=purse.balance, asked_at=purse.asked_at, price=view.price, seen=seen
        )

    async def _view(self, job: Job) -> _View:
        view: _View = await self._flights.share(_window_key(job), lambda: self._fetch_view(job))
        return view

    async def _purse(self, job: Job) -> _Purse:
        purse: _Purse = await self._flights.share(("balance", job.broker_id), lambda: self._fetch_purse(job))
        return purse

    async def _fetch_view(self, job: Job) -> _View:
        candles = await self._candles(
            broker_id=job.broker_id,
            user_id=job.user_id,
            source=job.candle_source,
            symbol=job.symbol,
            timeframe=job.timeframe,
            until=job.close_time,
            count=self._window,
            deadline=self._clock.now() + self._patience,
        )
        if not candles or candles[-1].close_time != job.close_time:
            raise Unavailable(
                f"Évaluation impossible ({job.symbol}, {job.timeframe.value}) : la bougie close à "
                f"{job.close_time:%Y-%m-%d %H:%M} UTC n'est pas disponible chez {job.exchange}."
            )
        return _View(window=candle_window(candles), price=candles[-1].close)

    async def _fetch_purse(self, job: Job) -> _Purse:
        asked_at = self._clock.now()
        balance, reserved = await asyncio.gather(
            self._gateway.balance(job.broker_id, user_id=job.user_id, timeout_s=self._patience.total_seconds()),
            self._database.run(reserved_by_currency, job.broker_id, as_of=asked_at),
        )
        return _Purse(balance=balance, reserved=reserved, asked_at=asked_at)


def _window_key(job: Job) -> Hashable:
    return "candles", job.candle_source, job.symbol, job.timeframe, job.close_time
