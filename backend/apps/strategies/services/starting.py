"""What a new account finds in its list of strategies."""

from typing import Any

from apps.strategies.examples import FIRST
from apps.strategies.models import Strategy
from apps.strategies.selectors import strategies_of
from apps.strategies.services import editing


def create_examples(user: Any) -> list[Strategy]:
    """Give `user` the first examples he lacks (by name); return them. Calling it again changes nothing."""
    owned = {strategy.name: strategy for strategy in strategies_of(user.pk)}
    found = []
    for example in FIRST:
        fields = {"description": example.description, "timeframe": example.timeframe, "code": example.code}
        found.append(owned.get(example.name) or editing.create(user.pk, {"name": example.name, **fields}))
    return found
