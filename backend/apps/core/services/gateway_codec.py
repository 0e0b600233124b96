"""How the values of the `Gateway` port are written on the bus: money as text, times as ISO or milliseconds."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from domain.candles import Candle
from domain.live_market import amount_text
from domain.ports import Balance, TradingFee
from domain.timeframes import Timeframe, from_ms, to_ms


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


def fee_to_wire(fee: TradingFee | None) -> dict[str, Any]:
    return {} if fee is None else {"maker": amount_text(fee.maker_ratio), "taker": amount_text(fee.taker_ratio)}


def fee_from_wire(message: Mapping[str, Any]) -> TradingFee | None:
    return TradingFee(Decimal(message["maker"]), Decimal(message["taker"])) if message else None


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
