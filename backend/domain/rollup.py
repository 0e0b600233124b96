"""Larger candles out of smaller ones, for timeframes that an exchange does not offer (10m nearly everywhere)."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import groupby

from domain.candles import Candle
from domain.timeframes import Timeframe, to_ms


def source_timeframe(wanted: Timeframe, offered: Sequence[str]) -> Timeframe | None:
    """Return `wanted` when it is offered, else the largest offered divisor of it, else None."""
    fitting = [
        timeframe
        for timeframe in Timeframe
        if timeframe.value in offered and wanted.milliseconds % timeframe.milliseconds == 0
    ]
    return max(fitting, key=lambda timeframe: timeframe.milliseconds, default=None)


def roll_up(candles: Sequence[Candle], timeframe: Timeframe) -> list[Candle]:
    """Aggregate ascending candles of one symbol; open and close come from those that hold trades.

    A group made of flat candles only gives a flat candle (`trade_count` 0). A trailing group may be
    incomplete: whether it is closed is for the caller to know.
    """
    groups = groupby(candles, key=lambda candle: timeframe.open_ms(to_ms(candle.open_time)))
    return [_merge(list(group), timeframe) for _, group in groups]


def _merge(group: list[Candle], timeframe: Timeframe) -> Candle:
    traded = [candle for candle in group if candle.trade_count != 0] or group[:1]
    counts = [candle.trade_count for candle in group]
    return Candle(
        symbol=group[0].symbol,
        timeframe=timeframe,
        open_time=timeframe.open_time(group[0].open_time),
        open=traded[0].open,
        high=max(candle.high for candle in traded),
        low=min(candle.low for candle in traded),
        close=traded[-1].close,
        volume=sum((candle.volume for candle in traded), Decimal(0)),
        trade_count=None if None in counts else sum(count for count in counts if count is not None),
    )
