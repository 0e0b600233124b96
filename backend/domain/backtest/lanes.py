"""What a walk over a method's syntax tree handles: values of many bars, and what stands for candles."""

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from domain.backtest.snapshot import Key, Snapshot
from domain.backtest.source import CannotFollow, Methods


@dataclass(frozen=True, slots=True)
class Frame:
    """`self.candles`, or another aligned DataFrame."""

    name: str


@dataclass(frozen=True, slots=True)
class Column:
    key: Key


@dataclass(frozen=True, slots=True)
class Row:
    """`frame.iloc[-back]`."""

    name: str
    back: int


@dataclass(slots=True)
class Lanes:
    """One value for each bar of a block. `slack` is by how much it may differ from what a live bot sees."""

    values: Any
    boolean: bool
    slack: Any = 0.0


class NoPosition:
    """`self.position` where the strategy is known to be flat, or known to hold."""

    def __init__(self, *, held: bool) -> None:
        self.held = held


@dataclass
class Context:
    """What an evaluation reads.

    Args:
        slack: by how much each column may differ between the whole series and a window; 0 = not at all.
        held: whether the method is asked while a position is open.
    """

    methods: Methods
    snapshot: Snapshot
    slack: Mapping[Key, float]
    window: int
    held: bool


def boolean(answer: Any) -> Any:
    if isinstance(answer, bool):
        return answer
    if isinstance(answer, Lanes) and answer.boolean:
        return answer.values
    raise CannotFollow("la réponse n'est pas un booléen")


def truth_only(value: Any, node: ast.expr) -> Any:
    if isinstance(value, bool) or (isinstance(value, Lanes) and value.boolean):
        return value
    raise unknown(node)


def slack_of(op: ast.operator, one: Lanes, other: Lanes) -> Any:
    if np.ndim(one.slack) == 0 and np.ndim(other.slack) == 0 and one.slack == 0 and other.slack == 0:
        return 0.0
    if isinstance(op, ast.Add | ast.Sub):
        return one.slack + other.slack
    if isinstance(op, ast.Mult):
        return one.slack * np.abs(other.values) + other.slack * np.abs(one.values)
    divisor = np.maximum(np.abs(other.values) - other.slack, 0)  # a divisor that may be zero: anything is possible
    return (one.slack + other.slack * np.abs(one.values / other.values)) / divisor


def number_like(value: Any) -> bool:
    return isinstance(value, Lanes) or type(value) in (bool, int, float)


def equal(one: Any, other: Any) -> bool:
    return (
        type(one) is type(other) and type(one) in (bool, int, float, str, Frame, Column, Row) and bool(one == other)
    )


def taken(name: str) -> bool:
    import pandas as pd

    return hasattr(pd.DataFrame, name) or hasattr(pd.Series, name)


def unknown(node: ast.AST) -> CannotFollow:
    return CannotFollow(f"ligne {getattr(node, 'lineno', '?')} : construction non suivie ({type(node).__name__})")


COMPARISONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip
