"""What a user asks for: a run or a sweep made from checked settings, its end, its removal.

Rows only: terminal 3 takes them up (`apps.backtest.queue`), whatever becomes of the browser.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

import structlog
from django.db import transaction

from apps.backtest.models import BacktestResult, BacktestSweep, Job
from apps.backtest.services.search_space import Space
from apps.brokers.models import Broker
from apps.market_data.selectors import market_for, market_now
from apps.strategies.models import Strategy
from apps.strategies.selectors import strategies_of
from domain.errors import InvalidInput, LimitReached, NotFound
from domain.french import moment, number
from domain.markets import Market
from domain.strategies.loader import invalid
from domain.strategies.params import check_params, declared_params
from domain.timeframes import Timeframe

log = structlog.get_logger(__name__)

J = TypeVar("J", bound=Job)

DEFAULT_SLIPPAGE = Decimal("0.0005")
MAX_CANDLES = 6_000_000
MAX_LIVE = 20  # of one user, waiting ones included
_MAX_RATIO = Decimal("0.1")
_MAX_AMOUNT = Decimal(10) ** 15


def create_run(user_id: int, wanted: Mapping[str, Any], *, now: datetime) -> BacktestResult:
    """Queue a run.

    Args:
        wanted: `strategy_id`, `broker_id`, `symbol`, `start_date`, `end_date`, `initial_amount`, and perhaps
            `timeframe` (the strategy's by default), `fee_ratio`, `slippage_ratio`, `params`.

    Raises:
        NotFound: not his strategy or broker. InvalidInput: a setting refused, in French.
        LimitReached: too many runs waiting.
    """
    strategy = _own_strategy(user_id, wanted["strategy_id"])
    params = check_params(_specs(strategy), wanted.get("params") or {})
    run = BacktestResult(params=params, **_common(user_id, strategy, wanted, now=now))
    return _queued(run)


def create_sweep(user_id: int, wanted: Mapping[str, Any], *, now: datetime) -> BacktestSweep:
    """Queue a search over the strategy's parameters.

    Args:
        wanted: as `create_run`, and `space`, `sampler`, `runs` (of a guided search), `objective`, `split_ratio`,
            `windows`.

    Raises as `create_run`.
    """
    strategy = _own_strategy(user_id, wanted["strategy_id"])
    specs = _specs(strategy)
    fixed = check_params(specs, wanted.get("params") or {})
    guided = wanted["sampler"] == BacktestSweep.Sampler.OPTUNA
    space = Space.read(specs, wanted["space"], whole=not guided)
    runs = min(wanted["runs"], space.runs) if guided else space.runs
    sweep = BacktestSweep(
        params=fixed,
        sampler=wanted["sampler"],
        space=space.as_json(),
        objective=wanted["objective"],
        split_ratio=wanted["split_ratio"],
        windows=wanted["windows"],
        total_runs=runs * wanted["windows"],
        **_common(user_id, strategy, wanted, now=now),
    )
    return _queued(sweep)


def cancel(job: J) -> J:
    """Ask for the end of a run or a sweep; one that waits ends at once, one that is over stays as it is."""
    rows = type(job).objects.filter(pk=job.pk)
    with transaction.atomic():
        locked = rows.select_for_update().defer(None).get()
        if locked.status == Job.Status.QUEUED:
            locked.status, locked.cancel_requested = Job.Status.CANCELLED, True
        elif not locked.is_over:
            locked.cancel_requested = True
        locked.save(update_fields=["status", "cancel_requested"])
    log.info("backtests.cancel", kind=type(job).__name__, id=job.pk, status=locked.status)
    return locked


def delete(job: Job) -> None:
    """Remove a run or a sweep; one that is being played is stopped by its absence."""
    job.delete()
    log.info("backtests.deleted", kind=type(job).__name__, user_id=job.user_id)


def _own_strategy(user_id: int, strategy_id: int) -> Strategy:
    strategy: Strategy | None = strategies_of(user_id).filter(id=strategy_id).first()
    if strategy is None:
        raise NotFound(f"Backtest refusé : la stratégie {strategy_id} n'existe pas.", code="unknown_strategy")
    return strategy


def _specs(strategy: Strategy) -> Any:
    declared = declared_params(strategy.code)
    if declared.errors:
        raise invalid(list(declared.errors))
    return declared.specs


def _common(user_id: int, strategy: Strategy, wanted: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    broker = Broker.objects.filter(id=wanted["broker_id"], user_id=user_id).first()
    if broker is None:
        raise NotFound(f"Backtest refusé : le broker {wanted['broker_id']} n'existe pas.", code="unknown_broker")
    market = _market(broker, wanted["symbol"])
    timeframe = Timeframe.parse(wanted.get("timeframe") or strategy.timeframe)
    slippage = wanted.get("slippage_ratio")
    _check_dates(wanted, timeframe, market_now(broker.exchange, now=now))
    _check_amounts(wanted, market.quote)
    return {
        "user_id": user_id,
        "strategy": strategy,
        "strategy_name": strategy.name,
        "strategy_version": strategy.version,
        "code": strategy.code,
        "broker": broker,
        "broker_name": broker.name,
        "exchange": broker.exchange,
        "symbol": market.symbol,
        "quote_currency": market.quote,
        "timeframe": timeframe.value,
        "start_date": wanted["start_date"],
        "end_date": wanted["end_date"],
        "initial_amount": wanted["initial_amount"],
        "fee_ratio": wanted.get("fee_ratio"),
        "slippage_ratio": DEFAULT_SLIPPAGE if slippage is None else slippage,
    }


def _market(broker: Broker, symbol: str) -> Market:
    try:
        return market_for(broker.exchange, symbol)
    except NotFound as exc:
        raise InvalidInput(
            f"Backtest refusé : symbole « {symbol} » inconnu chez {broker.exchange} (broker « {broker.name} »).",
            details={"symbol": symbol, "exchange": broker.exchange},
            code="unknown_symbol",
        ) from exc


def _check_dates(wanted: Mapping[str, Any], timeframe: Timeframe, market_time: datetime) -> None:
    start, end = wanted["start_date"], wanted["end_date"]
    if start >= end:
        raise InvalidInput(
            f"Backtest refusé : la date de fin {moment(end)} n'est pas après la date de début {moment(start)}.",
            code="invalid_dates",
        )
    if start >= market_time - 2 * timeframe.duration:
        raise InvalidInput(
            f"Backtest refusé : la date de début {moment(start)} n'est pas dans le passé "
            f"(heure du marché : {moment(market_time)}).",
            code="invalid_dates",
        )
    count = (end - start) / timeframe.duration
    if count > MAX_CANDLES:
        raise InvalidInput(
            f"Backtest refusé : {count:,.0f} bougies {timeframe.value}, {MAX_CANDLES:,} au plus ; choisir une "
            "période plus courte ou une unité de temps plus longue.".replace(",", " "),
            code="too_many_candles",
        )


def _check_amounts(wanted: Mapping[str, Any], quote: str) -> None:
    amount = wanted["initial_amount"]
    if not 0 < amount < _MAX_AMOUNT:
        raise InvalidInput(
            f"Backtest refusé : montant de départ {number(amount)} {quote}, il doit être positif et inférieur à "
            f"{number(_MAX_AMOUNT)} {quote}.",
            code="invalid_amount",
        )
    for name, label in (("fee_ratio", "frais"), ("slippage_ratio", "glissement")):
        ratio = wanted.get(name)
        if ratio is not None and not 0 <= ratio < _MAX_RATIO:
            raise InvalidInput(
                f"Backtest refusé : {label} de {ratio * 100:f} %, attendu de 0 à 10 %.",
                details={"field": name},
                code="invalid_ratio",
            )


def _queued(job: J) -> J:
    kind = type(job)
    live = [Job.Status.QUEUED, Job.Status.LOADING, Job.Status.RUNNING]
    waiting = kind.objects.filter(user_id=job.user_id, status__in=live).count()
    if waiting >= MAX_LIVE:
        raise LimitReached(
            f"Backtest refusé : {waiting} sont déjà en attente ou en cours, {MAX_LIVE} au plus.",
            details={"live": waiting, "limit": MAX_LIVE},
        )
    job.save()
    log.info("backtests.queued", kind=kind.__name__, user_id=job.user_id, id=job.pk, symbol=job.symbol)
    return job
