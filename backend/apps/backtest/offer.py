"""What a form proposes for a backtest of a market, each value with where it comes from."""

import asyncio
from datetime import datetime
from decimal import Decimal
from typing import Any

import structlog
from asgiref.sync import async_to_sync

from apps.backtest.bodies import text
from apps.backtest.fees import Fees, known_fees
from apps.backtest.inputs import SETTLE
from apps.backtest.services.requests import DEFAULT_SLIPPAGE
from apps.brokers.models import Broker
from apps.brokers.selectors import exchange_name
from apps.core.services.gateway_access import short_lived_gateway
from apps.market_data import history_selectors, selectors
from apps.market_data.history_selectors import Span
from domain.errors import AristobotError, Unavailable
from domain.markets import Market
from domain.ports import Gateway
from domain.timeframes import Timeframe

log = structlog.get_logger(__name__)

_TIMEOUT_S = 5.0  # a form waits no longer for what it can do without
_MOST_SPANS = 12
_EXAMPLE = Decimal(10_000)  # of an account whose balance is not known or too small for an order
_LONG_AGO = datetime.fromisoformat("2000-01-01T00:00:00+00:00")


def offer(broker: Broker, symbol: str, timeframe: Timeframe, *, now: datetime) -> dict[str, Any]:
    """Return fees, limits, amount and candles for a market. Raises NotFound: the exchange has no such symbol."""
    market = selectors.market_for(broker.exchange, symbol)
    name = exchange_name(broker.exchange)
    market_time = selectors.market_now(broker.exchange, now=now)
    candles = _candles(broker, symbol, timeframe, until=timeframe.open_time(market_time - SETTLE))
    fees, free = _asked(broker, market, name)
    return {
        "market": _market_body(market),
        "fees": _fees_body(fees),
        "amount": _amount(market, free),
        "slippage_ratio": text(DEFAULT_SLIPPAGE),
        "candles": {"exchange_name": name, **candles},
    }


@async_to_sync
async def _asked(broker: Broker, market: Market, name: str) -> tuple[Fees, Decimal | None]:
    """Ask terminal 5 for both at once; each does without an answer."""
    async with short_lived_gateway() as gateway:
        fees = known_fees(
            gateway,
            market,
            broker_id=broker.pk,
            broker_name=broker.name,
            exchange=name,
            user_id=broker.user_id,
            timeout_s=_TIMEOUT_S,
        )
        return await asyncio.gather(fees, _free(gateway, broker, market.quote))


async def _free(gateway: Gateway, broker: Broker, quote: str) -> Decimal | None:
    try:
        balance = await gateway.balance(broker.pk, user_id=broker.user_id, timeout_s=_TIMEOUT_S)
    except AristobotError as exc:
        log.warning("backtests.balance_not_read", broker_id=broker.pk, error=exc.message)
        return None
    return balance.free.get(quote, Decimal(0))


def _candles(broker: Broker, symbol: str, timeframe: Timeframe, *, until: datetime) -> dict[str, Any]:
    """Return which candles are kept already, newest stretch first; the exchange is asked for the others."""
    try:
        source = selectors.candle_source_of(broker.exchange, is_testnet=broker.is_testnet)
    except Unavailable:  # the simulated market is not known yet: nothing of it is kept
        kept: list[Span] = []
    else:
        kept = history_selectors.verified_spans(source, symbol, timeframe, since=_LONG_AGO, until=until)
    newest = [{"start": span.start.isoformat(), "end": span.end.isoformat()} for span in reversed(kept)]
    return {
        "kept": newest[:_MOST_SPANS],
        "kept_count": history_selectors.count_places(kept, timeframe),
        "available_until": until.isoformat(),
    }


def _market_body(market: Market) -> dict[str, Any]:
    return {
        "symbol": market.symbol,
        "base": market.base,
        "quote": market.quote,
        "min_quantity": text(market.min_quantity),
        "min_notional": text(market.min_notional),
    }


def _fees_body(fees: Fees) -> dict[str, Any]:
    return {
        "maker_ratio": text(fees.maker_ratio),
        "taker_ratio": text(fees.taker_ratio),
        "origin": fees.origin.value,
        "words": fees.words,
    }


def _amount(market: Market, free: Decimal | None) -> dict[str, str | None]:
    enough = free is not None and free > (market.min_notional or 0)
    return {"value": text(free if enough else _EXAMPLE), "origin": "balance" if enough else "example"}
