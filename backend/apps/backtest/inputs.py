"""What a run is played with: the market, the account's fees, the stretch of candles, and its assumptions."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.backtest.fees import FeeOrigin, Fees, known_fees
from apps.backtest.models import Job
from apps.brokers.models import Broker
from apps.brokers.selectors import exchange_name
from apps.market_data import selectors
from domain.backtest.contract import BacktestSettings
from domain.errors import InvalidInput, NotFound
from domain.french import moment
from domain.markets import Market
from domain.ports import Gateway
from domain.strategies.contract import DEFAULT_WINDOW
from domain.timeframes import Timeframe

SETTLE = timedelta(seconds=5)  # the exchange's last candle may still change that long after its close
_FEES_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where a run's candles come from.

    Args:
        since: opening of the first candle, the warm-up's; `first` that of the first one that may decide.
        until: end of the last candle, exclusive: the asked end, or the market's present.
    """

    broker_id: int
    exchange_name: str
    market: Market
    source: str
    timeframe: Timeframe
    market_time: datetime
    since: datetime
    first: datetime
    until: datetime


def target_of(job: Job, *, now: datetime) -> Target:
    """Return what is to be loaded.

    Raises:
        NotFound: the broker was deleted, the symbol is gone.
        InvalidInput: no candle may decide. Unavailable: the simulated market is not known yet.
    """
    broker = Broker.objects.filter(pk=job.broker_id, user_id=job.user_id).first()
    if broker is None:
        raise NotFound(
            f"Backtest impossible : le broker « {job.broker_name} » a été supprimé.", code="unknown_broker"
        )
    timeframe = Timeframe.parse(job.timeframe)
    market_time = selectors.market_now(broker.exchange, now=now)
    first = _up(job.start_date, timeframe)
    until = min(timeframe.open_time(job.end_date), timeframe.open_time(market_time - SETTLE))
    if until <= first:
        raise InvalidInput(
            f"Backtest impossible : aucune bougie {timeframe.value} close entre le {moment(first)} et le "
            f"{moment(job.end_date)} (heure du marché : {moment(market_time)}).",
            code="no_candles",
        )
    return Target(
        broker_id=broker.pk,
        exchange_name=exchange_name(broker.exchange),
        market=selectors.market_for(broker.exchange, job.symbol),
        source=selectors.candle_source_of(broker.exchange, is_testnet=broker.is_testnet),
        timeframe=timeframe,
        market_time=market_time,
        since=first - DEFAULT_WINDOW * timeframe.duration,
        first=first,
        until=until,
    )


async def fees_of(job: Job, target: Target, gateway: Gateway) -> Fees:
    """Return the fees the user chose, else the account's own, else the market's usual ones."""
    if job.fee_ratio is not None:
        return Fees(job.fee_ratio, job.fee_ratio, FeeOrigin.CHOSEN, "choisis pour ce backtest")
    return await known_fees(
        gateway,
        target.market,
        broker_id=target.broker_id,
        broker_name=job.broker_name,
        exchange=target.exchange_name,
        user_id=job.user_id,
        timeout_s=_FEES_WITHIN_S,
    )


def settings_of(job: Job, target: Target, fees: Fees, *, first_bar: int) -> BacktestSettings:
    return BacktestSettings(
        market=target.market,
        initial_amount=job.initial_amount.normalize(),
        slippage_ratio=job.slippage_ratio.normalize(),
        taker_fee_ratio=fees.taker_ratio.normalize(),
        maker_fee_ratio=fees.maker_ratio.normalize(),
        window=DEFAULT_WINDOW,
        first_bar=first_bar,
    )


def _up(at: datetime, timeframe: Timeframe) -> datetime:
    opened = timeframe.open_time(at)
    return opened if opened == at else opened + timeframe.duration
