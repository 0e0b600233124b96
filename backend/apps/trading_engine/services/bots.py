"""The life of a bot as its user runs it: create, change, stop, suspend, resume, sell, delete."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, transaction

from apps.brokers.models import Broker
from apps.core.selectors import restorations
from apps.market_data.selectors import market_for, market_now
from apps.orders.models import Position
from apps.orders.selectors import live_orders
from apps.strategies.models import Strategy
from apps.trading_engine import exits
from apps.trading_engine.bodies import STOPPED_AT
from apps.trading_engine.models import ActiveStrategy
from apps.trading_engine.selectors import active_count
from domain.errors import Conflict, InvalidInput, LimitReached, NotFound
from domain.french import number
from domain.strategies.params import check_params, declared_params
from domain.timeframes import Timeframe

log = structlog.get_logger(__name__)

_LIMIT_LOCK = "trading_engine:active"
# What an open position hangs on: it may not change under it.
_HELD_FIELDS = ("strategy_id", "broker_id", "symbol")
_IDENTITY = (*_HELD_FIELDS, "timeframe")


def own_bot(user_id: int, bot_id: int) -> ActiveStrategy:
    """Return the user's bot. Raises NotFound, also for another user's."""
    bot: ActiveStrategy | None = (
        ActiveStrategy.objects.select_related("strategy", "broker").filter(id=bot_id, user_id=user_id).first()
    )
    if bot is None:
        raise NotFound(f"Bot {bot_id} introuvable.")
    return bot


def create(user_id: int, wanted: Mapping[str, Any], *, now: datetime) -> ActiveStrategy:
    """Make a bot from checked settings (`strategy_id`, `broker_id`, `symbol`, dates …).

    Raises:
        InvalidInput: a setting refused, in French. LimitReached: too many bots on. NotFound: not his strategy.
        Conflict: code `duplicate_bot`, he runs the same already and did not confirm (`confirm_duplicate`).
    """
    strategy = _own_strategy(user_id, wanted["strategy_id"])
    chosen = dict(wanted)
    may_duplicate = chosen.pop("confirm_duplicate", False)
    chosen["timeframe"] = chosen.get("timeframe") or strategy.timeframe
    chosen["params"] = check_params(declared_params(strategy.code).specs, chosen.get("params") or {})
    bot = ActiveStrategy(user_id=user_id, **chosen)
    _check(bot)
    with transaction.atomic():
        if not may_duplicate:
            _refuse_duplicate(bot)
        if bot.is_active:
            _switch_on(bot, now=now)
        bot.save()
    log.info("bots.created", user_id=user_id, bot_id=bot.id, symbol=bot.symbol, timeframe=bot.timeframe)
    return own_bot(user_id, bot.id)


def update(user_id: int, bot_id: int, changes: Mapping[str, Any], *, now: datetime) -> ActiveStrategy:
    """Change a bot's settings.

    Raises:
        Conflict: strategy, broker or symbol while a position is open or an order is alive; `duplicate_bot`.
        InvalidInput, LimitReached, NotFound: as `create`.
    """
    changes = dict(changes)
    may_duplicate = changes.pop("confirm_duplicate", False)
    with transaction.atomic():
        bot = _locked(user_id, bot_id)
        was_on = bot.is_active
        held = [name for name in _HELD_FIELDS if name in changes and changes[name] != getattr(bot, name)]
        if held and _is_engaged(bot):
            raise Conflict(
                f"Bot {bot_id} : stratégie, broker et symbole ne changent pas tant qu'une position est ouverte "
                f"ou qu'un ordre est en cours sur {bot.symbol}.",
                code="open_position",
            )
        becomes_another = any(changes.get(name, getattr(bot, name)) != getattr(bot, name) for name in _IDENTITY)
        for name, value in changes.items():
            setattr(bot, name, value)
        if becomes_another and not may_duplicate:
            _refuse_duplicate(bot)
        strategy = _own_strategy(user_id, bot.strategy_id)
        if "params" in changes or "strategy_id" in changes:
            bot.params = check_params(declared_params(strategy.code).specs, bot.params)
        _check(bot)
        if bot.is_active and not was_on:
            _switch_on(bot, now=now)
        bot.save()
    return own_bot(user_id, bot_id)


def stop(user_id: int, bot_id: int, *, confirm: bool, now: datetime, sell: bool = False) -> ActiveStrategy:
    """End a bot for good: end date 2001-01-01 and off. An open position stays open and protected, or is sold.

    Args:
        sell: leave the open position, if there is one; if the sale is refused the bot is not stopped.

    Raises:
        Conflict: code `open_position` when a position is open and `confirm` is not true.
        InvalidInput: the sale is refused by the exchange's filters.
    """
    with transaction.atomic():
        bot = _locked(user_id, bot_id)
        position = _live_position(bot)
        if position is not None and not confirm:
            raise Conflict(
                f"Arrêt du bot {bot_id} : une position de {position.quantity.normalize():f} est ouverte sur "
                f"{bot.symbol} ; confirmer l'arrêt, la position reste ouverte et protégée.",
                details={"position": position.id},
                code="open_position",
            )
        if sell and position is not None and position.status == Position.Status.OPEN:
            exits.sell_now(bot, now=now)
        bot.end_date, bot.is_active = STOPPED_AT, False
        bot.save(update_fields=["end_date", "is_active", "updated_at"])
    log.info("bots.stopped", user_id=user_id, bot_id=bot_id, sold=sell)
    return own_bot(user_id, bot_id)


def suspend(user_id: int, bot_id: int) -> ActiveStrategy:
    """Switch a bot off; its dates stay."""
    with transaction.atomic():
        bot = _locked(user_id, bot_id)
        bot.is_active = False
        bot.save(update_fields=["is_active", "updated_at"])
    log.info("bots.suspended", user_id=user_id, bot_id=bot_id)
    return own_bot(user_id, bot_id)


def resume(user_id: int, bot_id: int, *, now: datetime) -> ActiveStrategy:
    """Switch a bot on again and forget the error that paused it.

    Raises:
        Conflict: the bot was stopped for good. LimitReached: too many bots on.
    """
    with transaction.atomic():
        bot = _locked(user_id, bot_id)
        if bot.end_date <= STOPPED_AT:
            raise Conflict(
                f"Reprise impossible : le bot {bot_id} a été arrêté ; choisir une nouvelle date de fin.",
                code="bot_stopped",
            )
        _switch_on(bot, now=now)
        bot.pause_reason, bot.pause_details, bot.paused_at = "", {}, None
        bot.save()
    log.info("bots.resumed", user_id=user_id, bot_id=bot_id)
    return own_bot(user_id, bot_id)


def sell(user_id: int, bot_id: int, *, now: datetime) -> ActiveStrategy:
    """Sell the open position at market; the strategy goes on.

    Raises:
        Conflict: no open position, or an order already alive. InvalidInput: refused by the exchange's filters.
    """
    bot = own_bot(user_id, bot_id)
    exits.sell_now(bot, now=now)
    log.info("bots.sold", user_id=user_id, bot_id=bot_id)
    return bot


def delete(user_id: int, bot_id: int) -> None:
    """Delete a bot; its trades stay in the history. Raises Conflict while it is engaged."""
    with transaction.atomic():
        bot = _locked(user_id, bot_id)
        if _is_engaged(bot):
            raise Conflict(
                f"Suppression du bot {bot_id} refusée : une position est ouverte ou un ordre est en cours "
                f"sur {bot.symbol}.",
                code="open_position",
            )
        bot.delete()
    log.info("bots.deleted", user_id=user_id, bot_id=bot_id)


def _locked(user_id: int, bot_id: int) -> ActiveStrategy:
    rows = ActiveStrategy.objects.select_for_update(no_key=True).filter(id=bot_id, user_id=user_id)
    bot: ActiveStrategy | None = rows.first()
    if bot is None:
        raise NotFound(f"Bot {bot_id} introuvable.")
    return bot


def _own_strategy(user_id: int, strategy_id: int) -> Strategy:
    strategy: Strategy | None = Strategy.objects.filter(id=strategy_id, user_id=user_id).first()
    if strategy is None:
        raise NotFound(f"Bot refusé : la stratégie {strategy_id} n'existe pas.", code="unknown_strategy")
    return strategy


def _check(bot: ActiveStrategy) -> None:
    """Check what a serializer cannot: rows of other rooms, and settings that depend on each other."""
    broker = Broker.objects.filter(id=bot.broker_id, user_id=bot.user_id).first()
    if broker is None:
        raise NotFound(f"Bot refusé : le broker {bot.broker_id} n'existe pas.", code="unknown_broker")
    Timeframe.parse(bot.timeframe)
    try:
        market = market_for(broker.exchange, bot.symbol)
    except NotFound as exc:
        raise InvalidInput(
            f"Bot refusé : symbole « {bot.symbol} » inconnu chez {broker.exchange} (broker « {broker.name} »).",
            details={"symbol": bot.symbol, "exchange": broker.exchange},
            code="unknown_symbol",
        ) from exc
    if not market.active:
        raise InvalidInput(f"Bot refusé : le marché {bot.symbol} est fermé chez {broker.exchange}.")
    if bot.end_date > STOPPED_AT and bot.end_date <= bot.start_date:
        raise InvalidInput(
            f"Bot refusé : la date de fin {bot.end_date:%Y-%m-%d %H:%M} n'est pas après la date de début "
            f"{bot.start_date:%Y-%m-%d %H:%M}.",
            code="invalid_dates",
        )
    if bot.amount is not None and not Decimal(0) < bot.amount:
        reason = f"{number(bot.amount)} {market.quote}, un montant positif est attendu."
        raise InvalidInput(f"Bot refusé, montant maximal : {reason}", details={"fields": {"amount": reason}})


def _refuse_duplicate(bot: ActiveStrategy) -> None:
    """Refuse a second bot that does the same as one that is not stopped, side by side with another request."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [_LIMIT_LOCK])
    same = ActiveStrategy.objects.filter(
        user_id=bot.user_id,
        strategy_id=bot.strategy_id,
        broker_id=bot.broker_id,
        symbol=bot.symbol,
        timeframe=bot.timeframe,
        end_date__gt=STOPPED_AT,
    ).exclude(id=bot.id)
    other = same.select_related("strategy", "broker").order_by("id").first()
    if other is None:
        return
    raise Conflict(
        f"Activation refusée : le bot {other.id} fait déjà tourner « {other.strategy.name} » sur "
        f"{other.broker.name} ({other.symbol}, {other.timeframe}) ; un second doublerait ses ordres. Confirmer "
        "pour l'activer quand même.",
        details={"bot": other.id},
        code="duplicate_bot",
    )


def _switch_on(bot: ActiveStrategy, *, now: datetime) -> None:
    """Count this bot among those that are on, or refuse. One transaction at a time counts."""
    if bot.end_date <= STOPPED_AT:
        raise Conflict("Activation refusée : bot arrêté ; choisir une nouvelle date de fin.", code="bot_stopped")
    if restorations.waiting_of(bot.user_id) is not None:
        raise Conflict(
            "Activation refusée : cette instance vient d'une sauvegarde ; vérifier d'abord ce qui a été retrouvé "
            "chez vos exchanges, puis reprendre les bots par le bandeau « Instance restaurée ».",
            code="restored",
        )
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [_LIMIT_LOCK])
    others = active_count(except_bot=bot.id)
    limit = settings.MAX_ACTIVE_STRATEGIES
    if others >= limit:
        raise LimitReached(
            f"Activation refusée : {others} stratégies sont déjà actives, le maximum est de {limit} "
            "pour l'ensemble des utilisateurs.",
            details={"active": others, "limit": limit},
        )
    exchange = Broker.objects.values_list("exchange", flat=True).get(id=bot.broker_id)
    bot.active_since = market_now(exchange, now=now)
    bot.is_active = True


def _live_position(bot: ActiveStrategy) -> Position | None:
    position: Position | None = Position.objects.filter(bot=bot).exclude(status=Position.Status.CLOSED).first()
    return position


def _is_engaged(bot: ActiveStrategy) -> bool:
    return bool(live_orders(bot_id=bot.id).exists()) or _live_position(bot) is not None
