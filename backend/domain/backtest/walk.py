"""What a walk over a method's syntax tree carries along, whatever it meets.

The walk is in three layers: what is read (reads.py), what is computed from it (operations.py), and which bars
reach which statement (vectors.py).
"""

import ast
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from domain.backtest.lanes import Context, Lanes, NoPosition, equal
from domain.backtest.source import CannotFollow, Function


@dataclass
class Call:
    """One function being walked: its names and what it has returned so far."""

    tree: Function
    names: dict[str, Any]
    returned: list[tuple[Any, Any]] = field(default_factory=list)


class Walk(ABC):
    """A walk over the bars first..last-1.

    Args:
        dry: only to see what is read and whether it can be followed; there are no bars then.
    """

    def __init__(self, context: Context, first: int, last: int, *, dry: bool = False) -> None:
        self.context, self.first, self.last, self.dry = context, first, last, dry
        self.deepest = 1
        self.unsure: Any = np.zeros(last - first, dtype=bool)
        self.active: Any = np.ones(last - first, dtype=bool)
        self.depth = 0

    @abstractmethod
    def value(self, call: Call, node: ast.expr) -> Any:
        """Return what an expression is worth at all bars. Raises CannotFollow."""

    @abstractmethod
    def method(self, tree: Function, arguments: list[Any], keywords: dict[str, Any]) -> Any:
        """Return what a function of the user's returns. Raises CannotFollow."""

    def choose(self, mask: Any, one: Any, other: Any) -> Any:
        if one is other or (not isinstance(one, Lanes) and not isinstance(other, Lanes) and equal(one, other)):
            return one
        left, right = self.lanes(one), self.lanes(other)
        if left.boolean != right.boolean:
            raise CannotFollow("deux branches donnent des valeurs de nature différente")
        if self.dry:
            return left
        return Lanes(np.where(mask, left.values, right.values), left.boolean, np.maximum(left.slack, right.slack))

    def both(self, left: Any, right: Any) -> Any:
        if isinstance(left, bool):
            return right if left else False
        if isinstance(right, bool):
            return left if right else False
        return Lanes(left.values & right.values, True)

    def either(self, left: Any, right: Any) -> Any:
        if isinstance(left, bool):
            return True if left else right
        if isinstance(right, bool):
            return True if right else left
        return Lanes(left.values | right.values, True)

    def truth(self, value: Any) -> Any:
        """Return a Python boolean, or an array of them."""
        if isinstance(value, Lanes):
            if not value.boolean:
                raise CannotFollow("un nombre sert de condition")
            return value.values
        if value is None or type(value) in (bool, int, float, str):
            return bool(value)
        if isinstance(value, NoPosition):
            return value.held
        raise CannotFollow("une condition n'est pas suivie")

    def lanes(self, value: Any) -> Lanes:
        if isinstance(value, Lanes):
            return value
        if type(value) not in (bool, int, float):
            raise CannotFollow(f"valeur non suivie ({type(value).__name__})")
        return Lanes(value, isinstance(value, bool))
