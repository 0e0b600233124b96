"""Reads of candles and symbols."""

from datetime import datetime

from django.conf import settings
from django.db.models import QuerySet

from apps.brokers.models import Broker, Exchange
from apps.core.models import HeartbeatStatus
from apps.market_data.models import Candle as CandleRow
from apps.market_data.models import ExchangeSymbol
from domain.candles import Candle
from domain.errors import NotFound, Unavailable
from domain.markets import Market
from domain.timeframes import Timeframe

SIMULATED = "simex"


def market_for(exchange: str, symbol: str) -> Market:
    """Return the market facts terminal 5 stored.

    Args:
        exchange: `Broker.exchange`, e.g. "binance", "simex".

    Raises:
        NotFound: that exchange has no such symbol (or its markets were never loaded).
    """
    row = ExchangeSymbol.objects.filter(exchange=exchange, symbol=symbol).first()
    if row is None:
        raise NotFound(
            f"Symbole « {symbol} » introuvable parmi les marchés chargés de l'exchange « {exchange} ».",
            details={"exchange": exchange, "symbol": symbol},
            code="unknown_symbol",
        )
    return Market(
        symbol=row.symbol,
        exchange_id=row.exchange_symbol,
        base=row.base,
        quote=row.quote,
        tick_size=row.price_precision.normalize(),
        step_size=row.amount_precision.normalize(),
        min_quantity=row.min_amount,
        max_quantity=row.max_amount,
        min_notional=row.min_notional,
        maker_fee_ratio=row.maker_fee_ratio,
        taker_fee_ratio=row.taker_fee_ratio,
        active=row.active,
        market_type=row.type,
    )


def candle_source_of(exchange: str, *, is_testnet: bool = False) -> str:
    """Return the key of `candles` for a broker's exchange ("binance", "binance-testnet", "simex:<run>").

    Raises:
        Unavailable: the simulated exchange's run is not known yet (terminal 5 has not reached it).
    """
    if exchange != "simex":
        return f"{exchange}-testnet" if is_testnet else exchange
    row = Exchange.objects.filter(pk=exchange).first()
    if row is None or not row.candle_source:
        raise Unavailable(
            "Simulateur pas encore chargé par le service CCXT (terminal 5).", code="markets_not_loaded"
        )
    return str(row.candle_source)


def market_now(exchange: str, *, now: datetime) -> datetime:
    """Return the market's clock for an exchange: a simulated one runs on the heartbeat's, the others on ours.

    A simulated exchange that relays a real one runs on ours too.
    """
    if exchange != SIMULATED or settings.SIMEX_REAL_PRICES:
        return now
    runs = HeartbeatStatus.objects.filter(feed__startswith=f"{SIMULATED}:", market_time__isnull=False)
    latest = runs.order_by("-last_application_start").values_list("market_time", flat=True).first()
    return now if latest is None else latest


def symbols(exchange: str, *, quote: str | None = None, search: str | None = None) -> "QuerySet[ExchangeSymbol]":
    """Return the symbols of an exchange by name, optionally of one quote currency or containing a text."""
    found = ExchangeSymbol.objects.filter(exchange=exchange)
    if quote:
        found = found.filter(quote=quote.upper())
    if search:
        found = found.filter(symbol__icontains=search.strip())
    return found


def candles_of(broker: Broker, symbol: str, timeframe: Timeframe) -> "QuerySet[CandleRow]":
    """Return the stored candles a broker's exchange gave for a symbol."""
    source = candle_source_of(broker.exchange, is_testnet=broker.is_testnet)
    return CandleRow.objects.filter(source=source, symbol=symbol, timeframe=timeframe.value)


def closed_window(source: str, symbol: str, timeframe: Timeframe, *, until: datetime, count: int) -> list[Candle]:
    """Return the stored closed candles with close_time <= until among the last `count` places, ascending."""
    rows = CandleRow.objects.filter(
        source=source,
        symbol=symbol,
        timeframe=timeframe.value,
        close_time__lte=until,
        open_time__gte=until - count * timeframe.duration,
    ).order_by("open_time")
    columns = ("open_time", "open_price", "high_price", "low_price", "close_price", "volume", "is_flat")
    # Not as model objects: each close reads hundreds, and its orders wait for them.
    return [
        Candle(
            symbol=symbol,
            timeframe=timeframe,
            open_time=open_time,
            open=open_price,
            high=high,
            low=low,
            close=close,
            volume=volume,
            trade_count=0 if is_flat else None,
        )
        for open_time, open_price, high, low, close, volume, is_flat in rows.values_list(*columns)
    ]
