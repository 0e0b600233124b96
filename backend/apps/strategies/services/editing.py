"""Creates, changes and deletes strategies: the only writer of `strategies` and `strategy_versions`."""

from collections.abc import Mapping
from typing import Any

import structlog
from django.db import IntegrityError, transaction

from apps.strategies.models import Strategy, StrategyVersion
from apps.strategies.selectors import own_strategy, strategies_of
from domain.errors import Conflict, NotFound
from domain.strategies.loader import invalid
from domain.strategies.syntax import check_syntax

log = structlog.get_logger(__name__)

_LIVE_POSITION = ("open", "closing")


def create(user_id: int, fields: Mapping[str, Any]) -> Strategy:
    """Save a new strategy.

    Raises:
        StrategyInvalid: the code is not Python; `details` has the line.
        Conflict: the user has another strategy of that name.
    """
    strategy = Strategy(user_id=user_id, **fields)
    with transaction.atomic():
        _save(strategy)
        _remember(strategy)
    log.info("strategies.created", user_id=user_id, strategy_id=strategy.pk)
    return own_strategy(user_id, strategy.pk)


def update(user_id: int, strategy_id: int, changes: Mapping[str, Any]) -> Strategy:
    """Change a strategy; its bots use the new code from their next signal on. Raises as `create`, NotFound."""
    with transaction.atomic():
        strategy = strategies_of(user_id).select_for_update().filter(id=strategy_id).first()
        if strategy is None:
            raise NotFound(f"Stratégie {strategy_id} introuvable.")
        _remember(strategy)  # rows older than the table of versions have none yet
        for name, value in changes.items():
            setattr(strategy, name, value)
        _save(strategy)
        _remember(strategy)
    log.info("strategies.updated", user_id=user_id, strategy_id=strategy_id, fields=sorted(changes))
    return own_strategy(user_id, strategy_id)


def delete(user_id: int, strategy_id: int) -> None:
    """Delete a strategy and its bots at rest.

    Raises:
        Conflict: a bot that uses it is active, or still holds a position.
    """
    with transaction.atomic():
        strategy = strategies_of(user_id).select_for_update().filter(id=strategy_id).first()
        if strategy is None:
            raise NotFound(f"Stratégie {strategy_id} introuvable.")
        # The bots' rows are locked too: one that is being switched on right now is waited for.
        bots = list(strategy.bots.select_for_update())
        _refuse_while_used(strategy, [bot.pk for bot in bots if bot.is_active])
        strategy.delete()
    log.info("strategies.deleted", user_id=user_id, strategy_id=strategy_id)


def _refuse_while_used(strategy: Strategy, active: list[int]) -> None:
    if active:
        raise Conflict(
            f"Suppression de la stratégie « {strategy.name} » refusée : {len(active)} bot(s) actif(s) l'utilisent "
            f"({', '.join(f'n° {number}' for number in active)}). Les arrêter ou les suspendre d'abord.",
            details={"bots": active},
            code="strategy_in_use",
        )
    holding = list(strategy.bots.filter(positions__status__in=_LIVE_POSITION).values_list("id", flat=True))
    if holding:
        raise Conflict(
            f"Suppression de la stratégie « {strategy.name} » refusée : une position est encore ouverte "
            f"(bot n° {holding[0]}). La vendre d'abord.",
            details={"bots": holding},
            code="strategy_in_use",
        )


def _remember(strategy: Strategy) -> None:
    """Keep the text as a version unless it is the last one; the caller holds the row or has just made it."""
    last = strategy.versions.order_by("-number").first()
    if last is None or last.code != strategy.code:
        number = 1 if last is None else last.number + 1
        StrategyVersion.objects.create(strategy=strategy, number=number, code=strategy.code)


def _save(strategy: Strategy) -> None:
    problems = check_syntax(strategy.code)
    if problems:
        raise invalid(problems)
    try:
        with transaction.atomic():
            strategy.save()
    except IntegrityError as exc:
        if "strategies_name_per_user" not in str(exc):
            raise
        raise Conflict(
            f"Enregistrement refusé : une autre stratégie s'appelle déjà « {strategy.name} ».", code="name_taken"
        ) from exc
