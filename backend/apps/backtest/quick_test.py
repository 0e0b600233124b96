"""Terminal 3's side of the quick test: the last candles of a market, then the strategy in the sandbox.

Nothing of it is kept: it ends with its answer, its time, or when its user takes it back (`strategy_requests`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from decimal import Decimal
from typing import Any

from apps.backtest.announce import TOPIC, alongside
from apps.brokers.models import Broker
from apps.core.adapters.database import read_database
from apps.market_data import selectors
from apps.market_data.services.window import ensure_window
from domain.backtest.quick_contract import QuickTestJob, QuickTestResult
from domain.candles import Candle
from domain.errors import InvalidInput, LimitReached, NotFound, Unavailable
from domain.markets import Market
from domain.ports import Clock, Gateway, Publisher, StrategyHost
from domain.strategies.contract import DEFAULT_WINDOW
from domain.strategies.window import candle_window
from domain.timeframes import Timeframe, to_ms

TESTED = 500
_CANDLES_WITHIN = timedelta(seconds=12)
_AT_ONCE = 2  # of one user: two loops of his must not keep the others' tests waiting
_TOLD_EVERY_S = 0.15


class _News:
    """How far one test is, told to its user's browsers now and then; a test without a number is not told of."""

    def __init__(self, *, number: str, user_id: int, publisher: Publisher, clock: Clock) -> None:
        self.phase, self.progress = "loading", 0.0
        self._number = number
        self._user_id = user_id
        self._publisher = publisher
        self._clock = clock

    def playing(self, progress: float) -> None:
        self.phase, self.progress = "running", progress

    def telling(self) -> AbstractAsyncContextManager[None]:
        """Publish for the length of a block."""
        return alongside(self._tick())

    async def _tick(self) -> None:
        told = None
        while self._number:
            news = {"id": self._number, "phase": self.phase, "progress": round(self.progress, 4)}
            if news != told:
                await self._publisher.publish(TOPIC, "quick_test", news, user_id=self._user_id)
                told = news
            await self._clock.sleep(_TOLD_EVERY_S)


class QuickTests:
    """Serves the requests of kind `quick_test`."""

    def __init__(self, *, gateway: Gateway, host: StrategyHost, publisher: Publisher, clock: Clock) -> None:
        self._gateway = gateway
        self._host = host
        self._publisher = publisher
        self._clock = clock
        self._at_work: Counter[int] = Counter()  # by user

    async def run(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Try `code` on the last candles of `symbol` at the user's broker.

        Returns:
            The tested candles ([open time in ms, open, high, low, close] floats), the trades and the refusals.

        Raises:
            LimitReached: he has as many tests at work as one user may.
            NotFound, InvalidInput: not his broker, unknown symbol or timeframe.
            StrategyError: the code failed; `details` has the line.
            Unavailable, ExchangeError: the candles could not be had.
        """
        user_id = int(params["user_id"])
        if self._at_work[user_id] >= _AT_ONCE:
            raise LimitReached(
                f"Essai refusé : {_AT_ONCE} essais de votre compte sont déjà en cours ; annulez-en un, ou attendez "
                "sa fin.",
                code="too_many_quick_tests",
            )
        number = str(params.get("number", ""))
        news = _News(number=number, user_id=user_id, publisher=self._publisher, clock=self._clock)
        self._at_work[user_id] += 1
        try:
            async with news.telling():
                return await self._run(params, news)
        finally:
            self._at_work[user_id] -= 1

    async def _run(self, params: Mapping[str, Any], news: _News) -> Mapping[str, Any]:
        timeframe = Timeframe.parse(str(params["timeframe"]))
        market, source, exchange = await read_database(
            _target, int(params["user_id"]), int(params["broker_id"]), str(params["symbol"])
        )
        now = self._clock.now()
        until = timeframe.open_time(await read_database(selectors.market_now, exchange, now=now))
        candles = await ensure_window(
            self._gateway,
            broker_id=int(params["broker_id"]),
            user_id=int(params["user_id"]),
            source=source,
            symbol=market.symbol,
            timeframe=timeframe,
            until=until,
            count=TESTED + DEFAULT_WINDOW,
            deadline=now + _CANDLES_WITHIN,
            clock=self._clock,
        )
        if not candles:
            raise Unavailable(
                f"Essai impossible : aucune bougie {market.symbol} {timeframe.value} chez {exchange}."
            )
        job = QuickTestJob(
            code=str(params["code"]),
            candles=candle_window(candles),
            step_ms=int(timeframe.duration / timedelta(milliseconds=1)),
            tested=TESTED,
            market=market,
            initial_amount=_amount(params["amount"], market.quote),
            params=params["params"],
        )
        news.playing(0.0)
        return _body(await self._host.quick_test(job, progress=news.playing), candles[-TESTED:], job)


def _target(user_id: int, broker_id: int, symbol: str) -> tuple[Market, str, str]:
    """Return (market, candle source, exchange)."""
    broker = Broker.objects.filter(id=broker_id, user_id=user_id).first()
    if broker is None:
        raise NotFound(f"Essai refusé : le broker {broker_id} n'existe pas.", code="unknown_broker")
    market = selectors.market_for(broker.exchange, symbol)
    source = selectors.candle_source_of(broker.exchange, is_testnet=broker.is_testnet)
    return market, source, str(broker.exchange)


def _amount(text: Any, quote: str) -> Decimal:
    amount = Decimal(str(text))
    if not (amount.is_finite() and 0 < amount < Decimal(10) ** 15):
        raise InvalidInput(f"Essai refusé : montant {text} {quote}, il doit être positif.", code="invalid_amount")
    return amount


def _body(result: QuickTestResult, tested: Sequence[Candle], job: QuickTestJob) -> dict[str, Any]:
    profit = result.final_balance - job.initial_amount
    return {
        "candles": [
            [to_ms(each.open_time), float(each.open), float(each.high), float(each.low), float(each.close)]
            for each in tested
        ],
        "trades": [
            {
                "entry_time": each.entry_time_ms,
                "exit_time": each.exit_time_ms,
                "quantity": f"{each.quantity:f}",
                "entry_price": f"{each.entry_price:f}",
                "exit_price": f"{each.exit_price:f}",
                "fees": f"{each.fees:f}",
                "profit": f"{each.profit:f}",
                "reason": each.reason,
            }
            for each in result.trades
        ],
        "refusals": [{"time": time_ms, "reason": reason} for time_ms, reason in result.refusals],
        "trade_count": result.trade_count,
        "ambiguous_count": result.ambiguous_count,
        "open_since": result.open_since_ms,
        "quote": job.market.quote,
        "initial_amount": f"{job.initial_amount:f}",
        "final_balance": f"{result.final_balance:f}",
        "profit": f"{profit:f}",
        "profit_ratio": f"{profit / job.initial_amount:.8f}",
    }
