"""How the values of the `Gateway` port are written on the bus: money as text, times as ISO or milliseconds."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from domain.candles import Candle
from domain.errors import (
    AristobotError,
    AuthenticationFailed,
    DeadlineExceeded,
    ExchangeError,
    ExchangeRateLimited,
    ExchangeUnavailable,
    InvalidInput,
    NotFound,
    Unavailable,
)
from domain.live_market import amount_text
from domain.ports import Balance
from domain.timeframes import Timeframe, from_ms, to_ms

# What a read may answer; the class is found again by its name on the other side.
_ERRORS: dict[str, type[AristobotError]] = {
    kind.__name__: kind
    for kind in (
        AuthenticationFailed,
        DeadlineExceeded,
        ExchangeError,
        ExchangeRateLimited,
        ExchangeUnavailable,
        InvalidInput,
        NotFound,
        Unavailable,
    )
}


def balance_to_wire(balance: Balance) -> dict[str, Any]:
    return {
        "free": {currency: str(amount) for currency, amount in balance.free.items()},
        "locked": {currency: str(amount) for currency, amount in balance.locked.items()},
    }


def balance_from_wire(message: Mapping[str, Any]) -> Balance:
    return Balance(
        free={currency: Decimal(amount) for currency, amount in message["free"].items()},
        locked={currency: Decimal(amount) for currency, amount in message["locked"].items()},
    )


def prices_to_wire(prices: Mapping[str, Decimal]) -> dict[str, str]:
    return {symbol: amount_text(price) for symbol, price in prices.items()}


def prices_from_wire(message: Mapping[str, Any]) -> dict[str, Decimal]:
    return {str(symbol): Decimal(price) for symbol, price in message.items()}


def candles_to_wire(candles: Sequence[Candle]) -> list[list[Any]]:
    return [
        [
            to_ms(each.open_time),
            str(each.open),
            str(each.high),
            str(each.low),
            str(each.close),
            str(each.volume),
            each.trade_count,
        ]
        for each in candles
    ]


def candles_from_wire(rows: Sequence[Sequence[Any]], *, symbol: str, timeframe: Timeframe) -> list[Candle]:
    return [
        Candle(
            symbol=symbol,
            timeframe=timeframe,
            open_time=from_ms(row[0]),
            open=Decimal(row[1]),
            high=Decimal(row[2]),
            low=Decimal(row[3]),
            close=Decimal(row[4]),
            volume=Decimal(row[5]),
            trade_count=row[6],
        )
        for row in rows
    ]


def error_to_wire(error: AristobotError) -> dict[str, Any]:
    kind = next((each.__name__ for each in type(error).__mro__ if each.__name__ in _ERRORS), Unavailable.__name__)
    return {"kind": kind, **error.as_dict()}


def error_from_wire(message: Mapping[str, Any]) -> AristobotError:
    kind = _ERRORS.get(str(message.get("kind")), Unavailable)
    return kind(str(message["message"]), details=message.get("details"), code=str(message["code"]))
