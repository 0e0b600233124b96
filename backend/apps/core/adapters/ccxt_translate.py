"""From ccxt's structures (with `number=str`) to ours: exact Decimals, aware times, our statuses."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from domain.candles import Candle
from domain.markets import Market
from domain.orders import FillReport, OrderReport, OrderStatus, OrderType, Side
from domain.ports import Balance, TradingFee
from domain.timeframes import Timeframe, from_ms

_STATUSES = {
    "open": OrderStatus.OPEN,
    "closed": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELLED,
    "canceling": OrderStatus.OPEN,
    "expired": OrderStatus.EXPIRED,
    "rejected": OrderStatus.REJECTED,
}
# ccxt leaves these of Binance untranslated or vague; the exchange's own word wins.
_BINANCE_STATUSES = {"EXPIRED_IN_MATCH": OrderStatus.EXPIRED, "PENDING_CANCEL": OrderStatus.OPEN}


def decimal(value: Any) -> Decimal:
    """Return the exact Decimal of ccxt's text (or of a float it computed itself)."""
    return value if isinstance(value, Decimal) else Decimal(str(value))


def optional_decimal(value: Any) -> Decimal | None:
    return None if value is None or value == "" else decimal(value)


def limit(value: Any) -> Decimal | None:
    """Return a limit, None when the exchange says nothing or zero (no limit)."""
    number = optional_decimal(value)
    return number if number else None


def market(raw: Mapping[str, Any]) -> Market:
    """Return a spot market. Raises KeyError or TypeError when ccxt gave no precision."""
    limits, precision = raw["limits"], raw["precision"]
    return Market(
        symbol=raw["symbol"],
        exchange_id=raw["id"],
        base=raw["base"],
        quote=raw["quote"],
        tick_size=decimal(precision["price"]).normalize(),
        step_size=decimal(precision["amount"]).normalize(),
        min_quantity=limit(limits["amount"]["min"]),
        max_quantity=limit(limits["amount"]["max"]),
        min_notional=limit(limits["cost"]["min"]),
        maker_fee_ratio=_fee_ratio(raw.get("maker")),
        taker_fee_ratio=_fee_ratio(raw.get("taker")),
        active=raw.get("active") is not False,
    )


def is_usable_spot(raw: Mapping[str, Any]) -> bool:
    """Tell whether ccxt's market is a spot one with both precisions."""
    precision = raw.get("precision") or {}
    return raw.get("spot") is True and None not in (precision.get("price"), precision.get("amount"))


def balance(raw: Mapping[str, Any]) -> Balance:
    """Return the amounts above zero."""
    return Balance(free=_amounts(raw["free"]), locked=_amounts(raw["used"]))


def trading_fee(raw: Mapping[str, Any]) -> TradingFee | None:
    """Return the account's fees on a market, None when ccxt found none in the answer."""
    maker, taker = optional_decimal(raw.get("maker")), optional_decimal(raw.get("taker"))
    return None if maker is None or taker is None else TradingFee(maker, taker)


def candle(row: list[Any], *, symbol: str, timeframe: Timeframe) -> Candle:
    """Return the candle of an OHLCV row, with the trade count when the row holds one."""
    return Candle(
        symbol=symbol,
        timeframe=timeframe,
        open_time=from_ms(int(row[0])),
        open=decimal(row[1]),
        high=decimal(row[2]),
        low=decimal(row[3]),
        close=decimal(row[4]),
        volume=decimal(row[5]),
        trade_count=int(row[6]) if len(row) > 6 else None,
    )


def fill(raw: Mapping[str, Any], *, order_id: str | None = None, executed_at: datetime | None = None) -> FillReport:
    """Return an execution.

    Args:
        order_id, executed_at: of the order, for fills inside an order's answer, which name neither.
    """
    fee = raw.get("fee") or {}
    timestamp = raw.get("timestamp")
    when = from_ms(int(timestamp)) if timestamp is not None else executed_at
    order = raw.get("order") or order_id
    if when is None or order is None or raw.get("id") is None:
        raise ValueError(f"execution without id, order or time: {raw.get('id')!r}")
    return FillReport(
        exchange_trade_id=str(raw["id"]),
        exchange_order_id=str(order),
        price=decimal(raw["price"]),
        quantity=decimal(raw["amount"]),
        fee=optional_decimal(fee.get("cost")) or Decimal(0),
        fee_currency=fee.get("currency") or "",
        executed_at=when,
        is_maker=raw.get("takerOrMaker") == "maker",
    )


def order(raw: Mapping[str, Any], *, fills: tuple[FillReport, ...] | None = None) -> OrderReport:
    """Return what an exchange says of an order.

    Args:
        fills: its executions when they were fetched apart; else those inside the answer are taken.
    """
    moment = _market_time(raw)
    order_id = str(raw["id"])
    if fills is None:
        fills = tuple(fill(each, order_id=order_id, executed_at=moment) for each in raw.get("trades") or ())
    filled = optional_decimal(raw.get("filled")) or Decimal(0)
    average = optional_decimal(raw.get("average"))
    return OrderReport(
        exchange_order_id=order_id,
        client_order_id=raw.get("clientOrderId"),
        symbol=raw["symbol"],
        side=Side(raw["side"]),
        order_type=_order_type(raw),
        status=_status(raw, filled),
        quantity=optional_decimal(raw.get("amount")) or filled,  # a market buy in quote has no other
        filled_quantity=filled,
        average_price=(_average(fills, filled) or average) if filled else None,
        price=limit(raw.get("price")) if raw["type"] == "limit" else None,
        fills=fills,
        market_time=max((each.executed_at for each in fills), default=moment),
        stop_price=_trigger(raw),
    )


def _trigger(raw: Mapping[str, Any]) -> Decimal | None:
    # Not stopLossPrice and takeProfitPrice: of a plain order, those are of the protection attached to it.
    return limit(raw.get("triggerPrice")) or limit(raw.get("stopPrice"))


def _order_type(raw: Mapping[str, Any]) -> OrderType:
    """Return our type of an order; a take profit with a limit price is none of ours, a stop limit is next to it."""
    limited = raw["type"] == "limit"
    if _trigger(raw) is None:
        return OrderType.LIMIT if limited else OrderType.MARKET
    if limited:
        return OrderType.STOP_LIMIT
    return OrderType.TAKE_PROFIT if limit(raw.get("takeProfitPrice")) else OrderType.STOP_LOSS


def _status(raw: Mapping[str, Any], filled: Decimal) -> OrderStatus:
    own_word = str((raw.get("info") or {}).get("status"))
    status = _BINANCE_STATUSES.get(own_word) or _STATUSES[raw["status"]]
    return OrderStatus.PARTIALLY_FILLED if status is OrderStatus.OPEN and filled > 0 else status


def _average(fills: tuple[FillReport, ...], filled: Decimal) -> Decimal | None:
    """Exact average price when the fills explain the whole filled quantity."""
    if not fills or sum(each.quantity for each in fills) != filled:
        return None
    return sum((each.price * each.quantity for each in fills), Decimal(0)) / filled


def _market_time(raw: Mapping[str, Any]) -> datetime | None:
    for name in ("lastUpdateTimestamp", "lastTradeTimestamp", "timestamp"):
        if raw.get(name) is not None:
            return from_ms(int(raw[name]))
    return None


def _amounts(raw: Mapping[str, Any]) -> dict[str, Decimal]:
    amounts = {currency: optional_decimal(value) for currency, value in raw.items()}
    return {currency: amount for currency, amount in amounts.items() if amount}


def _fee_ratio(value: Any) -> Decimal:
    return Decimal("0.001") if value is None else decimal(value)
