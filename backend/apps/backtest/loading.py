"""The first phase of a run: its candles, fetched where they are missing and read into columns."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from apps.backtest.inputs import Target
from apps.market_data import history_selectors
from apps.market_data.history_selectors import Span
from apps.market_data.services.candle_history import CandleHistory, HistoryRequest, Loaded, Queries, remaining
from domain.backtest.contract import CandleSeries
from domain.errors import NotFound
from domain.french import moment
from domain.timeframes import Timeframe, to_ms

_FINER = (Timeframe.M1, Timeframe.M3, Timeframe.M5, Timeframe.M15)
_MAX_FINER = 3_000_000  # candles: more would take longer than they tell


@dataclass(frozen=True, slots=True)
class Candles:
    """The columns of a run. `finer` are smaller candles of the same stretch, if they are on disk already.

    Args:
        first_bar: index of the first candle that may decide.
        verified: whether nothing is missing but what the exchange itself lacks.
    """

    series: CandleSeries
    finer: CandleSeries | None
    first_bar: int
    verified: bool


# (fraction of the phase, French detail)
Progress = Callable[[float, str], None]
# Lets what is live go first, in the thread that asks.
Wait = Callable[[], None]


async def load(
    target: Target, user_id: int, *, history: CandleHistory, queries: Queries, wait: Wait, tell: Progress
) -> Candles:
    """Return the candles of a run. `wait` is called between two chunks of them.

    Raises:
        NotFound: the exchange has none in that stretch.
        Unavailable, ExchangeError: they could not be fetched.
    """
    request = HistoryRequest(
        broker_id=target.broker_id,
        user_id=user_id,
        source=target.source,
        symbol=target.market.symbol,
        timeframe=target.timeframe,
        since=target.since,
        until=target.until,
        market_time=target.market_time,
    )
    await history.ensure(request, lambda loaded: tell(loaded.ratio, _detail(loaded)))
    tell(1.0, "Lecture des bougies")
    return await queries.run(read, target, wait)


def read(target: Target, wait: Wait) -> Candles:
    """Return the stored candles of a run. Raises NotFound when none may decide."""
    market = target.source, target.market.symbol
    series = history_selectors.series(
        *market, target.timeframe, since=target.since, until=target.until, before_each=wait
    )
    first_bar = int(np.searchsorted(series.open_time_ms, to_ms(target.first)))
    if first_bar >= len(series):
        raise NotFound(
            f"Backtest impossible : l'exchange n'a aucune bougie {target.timeframe.value} de "
            f"{target.market.symbol} entre le {moment(target.first)} et le {moment(target.until)}.",
            code="no_candles",
        )
    return Candles(
        series=series,
        finer=_finer(target, market, wait),
        first_bar=first_bar,
        verified=not _missing(market, target.timeframe, Span(target.since, target.until)),
    )


def _finer(target: Target, market: tuple[str, str], wait: Wait) -> CandleSeries | None:
    """Return the smallest candles that cover the whole stretch that decides, None when there are none."""
    stretch = Span(target.first, target.until)
    for timeframe in _FINER:
        smaller = timeframe.milliseconds < target.timeframe.milliseconds
        fits = target.timeframe.milliseconds % timeframe.milliseconds == 0
        few = history_selectors.count_places([stretch], timeframe) <= _MAX_FINER
        if smaller and fits and few and not _missing(market, timeframe, stretch):
            return history_selectors.series(
                *market, timeframe, since=stretch.start, until=stretch.end, before_each=wait
            )
    return None


def _missing(market: tuple[str, str], timeframe: Timeframe, stretch: Span) -> list[Span]:
    since, until = stretch.start, stretch.end
    verified = history_selectors.verified_spans(*market, timeframe, since=since, until=until)
    return history_selectors.missing_spans(verified, since=since, until=until)


def _detail(loaded: Loaded) -> str:
    """Return "12 000 / 525 600 bougies, reste 1 min 20 s"."""
    if loaded.total == 0:
        return "Bougies déjà en base"
    counts = f"{loaded.done:,} / {loaded.total:,} bougies".replace(",", "\u202f")
    left = remaining(loaded.seconds_left)
    return f"{counts}, reste {left}" if left else counts
