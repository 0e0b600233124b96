"""What the expressions of a method compute: comparisons, logic, arithmetic, a few calls."""

import ast
from typing import Any

import numpy as np

from domain.backtest.lanes import (
    ARITHMETIC,
    COMPARISONS,
    Column,
    Frame,
    Lanes,
    NoPosition,
    number_like,
    slack_of,
    truth_only,
    unknown,
)
from domain.backtest.reads import Reads
from domain.backtest.walk import Call


class Operations(Reads):
    """The expressions that compute."""

    def compare(self, call: Call, node: ast.Compare) -> Any:
        result: Any = True
        left = self.value(call, node.left)
        for op, right_node in zip(node.ops, node.comparators, strict=True):
            right = self.value(call, right_node)
            result = self.both(result, self.compared(op, left, right, node))
            left = right
        return result

    def compared(self, op: ast.cmpop, left: Any, right: Any, node: ast.expr) -> Any:
        if isinstance(op, ast.Is | ast.IsNot):
            if right is not None:
                raise unknown(node)
            missing = not left.held if isinstance(left, NoPosition) else left is None
            return missing if isinstance(op, ast.Is) else not missing
        function = COMPARISONS.get(type(op))
        if function is None or not (number_like(left) and number_like(right)):
            raise unknown(node)
        if not isinstance(left, Lanes) and not isinstance(right, Lanes):
            return bool(function(left, right))
        one, other = self.lanes(left), self.lanes(right)
        if one.boolean or other.boolean:
            raise unknown(node)
        self.doubt(one, other)
        return Lanes(function(one.values, other.values), True)

    def doubt(self, one: Lanes, other: Lanes) -> None:
        slack = one.slack + other.slack
        if self.dry or (np.ndim(slack) == 0 and slack == 0):
            return
        near = np.abs(one.values - other.values) <= slack
        self.unsure |= near & self.active

    def boolop(self, call: Call, node: ast.BoolOp) -> Any:
        """`and`/`or` of booleans; what follows is looked at only for the bars that Python would look at."""
        join = self.both if isinstance(node.op, ast.And) else self.either
        entered = self.active
        result: Any = isinstance(node.op, ast.And)
        for each in node.values:
            value = truth_only(self.value(call, each), node)
            result = join(result, value)
            if isinstance(result, bool):
                if result is not isinstance(node.op, ast.And):
                    break
            elif not self.dry:
                self.active = entered & (result.values if isinstance(node.op, ast.And) else ~result.values)
                if not self.active.any():
                    break
        self.active = entered
        return result

    def unary(self, call: Call, node: ast.UnaryOp) -> Any:
        value = self.value(call, node.operand)
        if isinstance(node.op, ast.Not):
            truth = self.truth(value)
            return not truth if isinstance(truth, bool) else Lanes(~truth, True)
        if isinstance(node.op, ast.USub) and number_like(value):
            if not isinstance(value, Lanes):
                return -value
            if not value.boolean:
                return Lanes(-value.values, False, value.slack)
        raise unknown(node)

    def binary(self, call: Call, node: ast.BinOp) -> Any:
        left, right = self.value(call, node.left), self.value(call, node.right)
        if not (number_like(left) and number_like(right)):
            raise unknown(node)
        both = isinstance(left, Lanes) and isinstance(right, Lanes) and left.boolean and right.boolean
        if both and isinstance(node.op, ast.BitAnd | ast.BitOr):
            return (self.both if isinstance(node.op, ast.BitAnd) else self.either)(left, right)
        function = ARITHMETIC.get(type(node.op))
        if function is None:
            raise unknown(node)
        if not isinstance(left, Lanes) and not isinstance(right, Lanes):
            try:
                return function(left, right)
            except ArithmeticError as exc:
                raise unknown(node) from exc
        one, other = self.lanes(left), self.lanes(right)
        if one.boolean or other.boolean:
            raise unknown(node)
        return Lanes(function(one.values, other.values), False, slack_of(node.op, one, other))

    def choice(self, call: Call, node: ast.IfExp) -> Any:
        test = self.truth(self.value(call, node.test))
        if isinstance(test, bool):
            return self.value(call, node.body if test else node.orelse)
        return self.choose(test, self.value(call, node.body), self.value(call, node.orelse))

    def called(self, call: Call, node: ast.Call) -> Any:
        if node.keywords:
            raise unknown(node)
        function = node.func
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            if function.value.id == call.tree.args.args[0].arg and function.attr in self.context.methods.trees:
                arguments = [self.value(call, each) for each in node.args]
                return self.method(self.context.methods.trees[function.attr], arguments, {})
            return self.library(call, function.value.id, function.attr, node)
        if isinstance(function, ast.Name) and function.id not in call.names:
            if function.id in getattr(self.context.methods.strategy, call.tree.name).__globals__:
                raise unknown(node)
            return self.builtin(call, function.id, node)
        raise unknown(node)

    def library(self, call: Call, module: str, name: str, node: ast.Call) -> Any:
        known = getattr(self.context.methods.strategy, call.tree.name).__globals__.get(module)
        if (
            module in call.names
            or len(node.args) != 1
            or getattr(known, "__name__", "") not in ("numpy", "pandas", "math")
        ):
            raise unknown(node)
        value = self.value(call, node.args[0])
        if not isinstance(value, Lanes) or value.boolean:
            raise unknown(node)
        if name in ("isnan", "isna", "isnull"):
            return Lanes(np.isnan(value.values), True)
        if name in ("notna", "notnull"):
            return Lanes(~np.isnan(value.values), True)
        if name in ("abs", "fabs"):
            return Lanes(np.abs(value.values), False, value.slack)
        raise unknown(node)

    def builtin(self, call: Call, name: str, node: ast.Call) -> Any:
        values = [self.value(call, each) for each in node.args]
        if name == "len" and len(values) == 1 and isinstance(values[0], Frame | Column):
            return Lanes(np.minimum(np.arange(self.first, self.last) + 1, self.context.window), False)
        if name == "bool" and len(values) == 1:
            truth = self.truth(values[0])
            return truth if isinstance(truth, bool) else Lanes(truth, True)
        lanes = [value for value in values if isinstance(value, Lanes)]
        if lanes and not any(each.boolean for each in lanes) and all(map(number_like, values)):
            if name == "abs" and len(values) == 1:
                return Lanes(np.abs(lanes[0].values), False, lanes[0].slack)
            if name == "float" and len(values) == 1:
                return Lanes(lanes[0].values.astype("float64"), False, lanes[0].slack)
            if name in ("min", "max") and len(values) > 1:
                return self.extreme(name, values)
        raise unknown(node)

    def extreme(self, name: str, values: list[Any]) -> Lanes:
        """Python's own rule: a later value wins only when it is smaller (greater), so NaN never wins."""
        found = self.lanes(values[0])
        for each in values[1:]:
            other = self.lanes(each)
            wins = other.values < found.values if name == "min" else other.values > found.values
            found = Lanes(np.where(wins, other.values, found.values), False, np.maximum(found.slack, other.slack))
        return found
