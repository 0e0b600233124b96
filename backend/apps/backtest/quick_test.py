"""Terminal 3's side of the quick test: the last candles of a market, then the strategy in the sandbox."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from apps.brokers.models import Broker
from apps.core.adapters.database import read_database
from apps.market_data import selectors
from apps.market_data.services.window import ensure_window
from domain.backtest.quick_contract import QuickTestJob, QuickTestResult
from domain.candles import Candle
from domain.errors import InvalidInput, NotFound, Unavailable
from domain.markets import Market
from domain.ports import Clock, Gateway, StrategyHost
from domain.strategies.contract import DEFAULT_WINDOW
from domain.strategies.window import candle_window
from domain.timeframes import Timeframe, to_ms

TESTED = 500
_CANDLES_WITHIN = timedelta(seconds=12)


class QuickTests:
    """Serves the requests of kind `quick_test`."""

    def __init__(self, *, gateway: Gateway, host: StrategyHost, clock: Clock) -> None:
        self._gateway = gateway
        self._host = host
        self._clock = clock

    async def run(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Try `code` on the last candles of `symbol` at the user's broker.

        Returns:
            The tested candles ([open time in ms, open, high, low, close] floats), the trades and the refusals.

        Raises:
            NotFound, InvalidInput: not his broker, unknown symbol or timeframe.
            StrategyError: the code failed; `details` has the line.
            Unavailable, ExchangeError: the candles could not be had.
        """
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
        return _body(await self._host.quick_test(job), candles[-TESTED:], job)


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
        raise InvalidInput(f"Essai refusé : montant {amount} {quote}, il doit être positif.", code="invalid_amount")
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
