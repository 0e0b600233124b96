"""Reads of strategies: a user sees his own."""

from django.db.models import OuterRef, QuerySet, Subquery

from apps.strategies.models import Strategy, StrategyVersion
from domain.errors import NotFound


def strategies_of(user_id: int) -> "QuerySet[Strategy]":
    """Return the user's strategies, each with the number of its present `version`."""
    numbers = StrategyVersion.objects.filter(strategy=OuterRef("pk")).order_by("-number").values("number")
    return Strategy.objects.filter(user_id=user_id).annotate(version=Subquery(numbers[:1]))


def own_strategy(user_id: int, strategy_id: int) -> Strategy:
    """Return the user's strategy. Raises NotFound, also for another user's."""
    strategy: Strategy | None = strategies_of(user_id).filter(id=strategy_id).first()
    if strategy is None:
        raise NotFound(f"Stratégie {strategy_id} introuvable.")
    return strategy
