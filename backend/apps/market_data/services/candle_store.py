"""The only writer of `candles`. Only closed candles are stored, so a row never needs a second look."""

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal

from django.db import connection

from apps.market_data.models import Candle as CandleRow
from domain.candles import Candle

_BATCH = 1000
_DECIMALS = Decimal(1).scaleb(-18)
_PRICES = ["open_price", "high_price", "low_price", "close_price", "volume", "is_flat", "close_time"]
_COLUMNS = "source, symbol, timeframe, open_time, " + ", ".join(_PRICES)
_ARRIVALS = f"""
CREATE TEMPORARY TABLE arriving_candles ON COMMIT DROP AS SELECT {_COLUMNS} FROM candles WITH NO DATA
"""  # noqa: S608 — constants only
_TAKE_OVER = f"""
INSERT INTO candles ({_COLUMNS}) SELECT {_COLUMNS} FROM arriving_candles ORDER BY open_time
ON CONFLICT (source, symbol, timeframe, open_time)
DO UPDATE SET {", ".join(f"{name} = EXCLUDED.{name}" for name in _PRICES)}
"""  # noqa: S608 — constants only


def save(source: str, candles: Sequence[Candle]) -> None:
    """Insert or correct closed candles of one source, in batches of one statement each.

    Args:
        source: key of `candles`, e.g. "binance", "simex:<run>".
    """
    unique = {(each.symbol, each.timeframe, each.open_time): each for each in candles}
    CandleRow.objects.bulk_create(
        [_row(source, each) for each in unique.values()],
        batch_size=_BATCH,
        update_conflicts=True,
        unique_fields=["source", "symbol", "timeframe", "open_time"],
        update_fields=_PRICES,
    )


def copy(source: str, candles: Sequence[Candle]) -> None:
    """Insert or correct many closed candles of one source by COPY. Call it inside a transaction."""
    unique = {(each.symbol, each.timeframe, each.open_time): each for each in candles}
    with connection.cursor() as cursor:
        cursor.execute(_ARRIVALS)
        with cursor.copy(f"COPY arriving_candles ({_COLUMNS}) FROM STDIN") as lines:
            for each in unique.values():
                row = _row(source, each)
                lines.write_row([getattr(row, name) for name in _COLUMNS.split(", ")])
        cursor.execute(_TAKE_OVER)
        cursor.execute("DROP TABLE arriving_candles")


def _row(source: str, candle: Candle) -> CandleRow:
    return CandleRow(
        source=source,
        symbol=candle.symbol,
        timeframe=candle.timeframe.value,
        open_time=candle.open_time,
        close_time=candle.close_time,
        open_price=_fit(candle.open),
        high_price=_fit(candle.high),
        low_price=_fit(candle.low),
        close_price=_fit(candle.close),
        volume=_fit(candle.volume),
        is_flat=candle.trade_count == 0,
    )


def _fit(value: Decimal) -> Decimal:
    """Eighteen decimals: exact for every exchange known (eight usually)."""
    return value.quantize(_DECIMALS, ROUND_HALF_EVEN) if value.as_tuple().exponent < -18 else value  # type: ignore[operator]
