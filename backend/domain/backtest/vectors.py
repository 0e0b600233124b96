"""Evaluates a `should_*` method for many bars at once, by walking its syntax tree over arrays.

It knows the few constructions that mean the same for one number and for an array of them; anything else
raises CannotFollow. Where two numbers are so close that their order could change with the first candle of
the window, the bar is marked unsure and is asked the exact way.
"""

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from domain.backtest.lanes import (
    ARITHMETIC,
    COMPARISONS,
    Column,
    Context,
    Frame,
    Lanes,
    NoPosition,
    Row,
    boolean,
    equal,
    number_like,
    slack_of,
    taken,
    truth_only,
    unknown,
)
from domain.backtest.snapshot import Key
from domain.backtest.source import CannotFollow, Function

NO, YES, UNSURE = 0, 1, 2
_MAX_CALLS = 8


def deepest_read(context: Context, name: str) -> int:
    """Return how many candles back a method looks, its own included.

    Raises:
        CannotFollow: as `signals`.
    """
    block = _Block(context, 0, 0, dry=True)
    block.method(context.methods.trees[name], [], {})
    return block.deepest


def signals(context: Context, name: str, first: int, last: int) -> Any:
    """Return NO, YES or UNSURE for the bars first..last-1, as uint8.

    Raises:
        CannotFollow: a construction that is not known.
    """
    with np.errstate(all="ignore"):
        block = _Block(context, first, last)
        answer = block.method(context.methods.trees[name], [], {})
    found = boolean(answer)
    result = np.broadcast_to(np.asarray(found), (last - first,)).astype("uint8")
    result[block.unsure] = UNSURE
    return result


@dataclass
class _Call:
    """One function being walked: its names and what it has returned so far."""

    tree: Function
    names: dict[str, Any]
    returned: list[tuple[Any, Any]] = field(default_factory=list)


class _Block:
    """A walk over the bars first..last-1."""

    def __init__(self, context: Context, first: int, last: int, *, dry: bool = False) -> None:
        self.context, self.first, self.last, self.dry = context, first, last, dry
        self.deepest = 1
        self.unsure: Any = np.zeros(last - first, dtype=bool)
        self._active: Any = np.ones(last - first, dtype=bool)
        self._depth = 0

    def method(self, tree: Function, arguments: list[Any], keywords: dict[str, Any]) -> Any:
        if self._depth >= _MAX_CALLS or keywords or tree.args.defaults:
            raise CannotFollow(f"appel de {tree.name} non suivi")
        names = [each.arg for each in tree.args.args]
        if len(names) != len(arguments) + 1:
            raise CannotFollow(f"appel de {tree.name} non suivi")
        self._depth += 1
        call = _Call(tree, dict(zip(names[1:], arguments, strict=True)))
        entered = self._active
        remaining = self._body(call, tree.body, entered)
        self._depth -= 1
        self._active = entered
        if self.dry:
            return call.returned[-1][1] if call.returned else None
        if remaining.any() or not call.returned:
            raise CannotFollow(f"{tree.name} ne renvoie pas toujours de valeur")
        value = call.returned[-1][1]
        for mask, other in reversed(call.returned[:-1]):
            value = self._choose(mask, other, value)
        return value

    # Statements: each takes the bars that reach it and returns those that go on.

    def _body(self, call: _Call, statements: list[ast.stmt], active: Any) -> Any:
        for statement in statements:
            if not self.dry and not active.any():
                return active
            self._active = active
            active = self._statement(call, statement, active)
        return active

    def _statement(self, call: _Call, node: ast.stmt, active: Any) -> Any:
        if isinstance(node, ast.Return) and node.value is not None:
            call.returned.append((active, self._value(call, node.value)))
            return np.zeros_like(active)
        if isinstance(node, ast.If):
            return self._if(call, node, active)
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            self._assign(call, node.targets[0], node.value)
            return active
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            self._assign(call, node.target, node.value)
            return active
        if isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            return active
        raise unknown(node)

    def _assign(self, call: _Call, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            call.names[target.id] = self._value(call, value)
            return
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            if not all(isinstance(each, ast.Name) for each in target.elts):
                raise unknown(target)
            found = [self._value(call, each) for each in value.elts]
            call.names.update({each.id: v for each, v in zip(target.elts, found, strict=True)})  # type: ignore[attr-defined]
            return
        raise unknown(target)

    def _if(self, call: _Call, node: ast.If, active: Any) -> Any:
        test = self._truth(self._value(call, node.test))
        if isinstance(test, bool):
            return self._body(call, node.body if test else node.orelse, active)
        before = call.names
        call.names = dict(before)
        left = self._body(call, node.body, active & test)
        names_then, call.names = call.names, dict(before)
        right = self._body(call, node.orelse, active & ~test)
        call.names = self._merge(names_then, call.names, left, right, test)
        return left | right

    def _merge(
        self, then: dict[str, Any], other: dict[str, Any], left: Any, right: Any, mask: Any
    ) -> dict[str, Any]:
        """Join the names of two branches; a branch that nobody leaves has no say."""
        if not self.dry and not left.any():
            return other
        if not self.dry and not right.any():
            return then
        shared = {name: then[name] for name in then.keys() & other.keys()}
        return {
            name: value if value is other[name] else self._choose(mask, value, other[name])
            for name, value in shared.items()
        }

    def _choose(self, mask: Any, one: Any, other: Any) -> Any:
        if one is other or (not isinstance(one, Lanes) and not isinstance(other, Lanes) and equal(one, other)):
            return one
        left, right = self._lanes(one), self._lanes(other)
        if left.boolean != right.boolean:
            raise CannotFollow("deux branches donnent des valeurs de nature différente")
        if self.dry:
            return left
        return Lanes(np.where(mask, left.values, right.values), left.boolean, np.maximum(left.slack, right.slack))

    # Expressions

    def _value(self, call: _Call, node: ast.expr) -> Any:
        found = _EVALUATORS.get(type(node))
        if found is None:
            raise unknown(node)
        return found(self, call, node)

    def _constant(self, call: _Call, node: ast.Constant) -> Any:
        return node.value

    def _name(self, call: _Call, node: ast.Name) -> Any:
        if node.id in call.names:
            return call.names[node.id]
        function = getattr(self.context.methods.strategy, call.tree.name)
        if node.id in function.__globals__ and node.id not in function.__code__.co_varnames:
            value = function.__globals__[node.id]
            if type(value) in (bool, int, float):
                return value
        raise CannotFollow(f"ligne {node.lineno} : « {node.id} » n'est pas suivi")

    def _attribute(self, call: _Call, node: ast.Attribute) -> Any:
        if isinstance(node.value, ast.Name) and node.value.id == call.tree.args.args[0].arg:
            return self._own(node)
        base = self._value(call, node.value)
        if (
            isinstance(base, Frame | Row)
            and (base.name, node.attr) in self.context.snapshot.columns
            and not taken(node.attr)
        ):
            return self._item(base, node.attr, node)
        raise unknown(node)

    def _own(self, node: ast.Attribute) -> Any:
        snapshot, name = self.context.snapshot, node.attr
        if name == "position":
            return NoPosition(held=self.context.held)
        if (name,) in snapshot.columns:
            return Column((name,))
        if name in snapshot.holders:
            return Frame(name)
        if name in snapshot.plain and name != "balance":
            return snapshot.plain[name]
        if name not in snapshot.kinds() and name in dir(self.context.methods.strategy) and name != "balance":
            value = getattr(self.context.methods.strategy, name)
            if not callable(value):
                return value
        raise unknown(node)

    def _subscript(self, call: _Call, node: ast.Subscript) -> Any:
        if isinstance(node.value, ast.Attribute) and node.value.attr in ("iloc", "iat", "values"):
            base = self._value(call, node.value.value)
            if isinstance(base, Column | Frame):
                return self._at(call, base, node)
        base = self._value(call, node.value)
        if isinstance(base, Column) and isinstance(self.context.snapshot.holders.get(base.key[0]), np.ndarray):
            return self._at(call, base, node)
        index = self._value(call, node.slice)
        if isinstance(base, Frame | Row) and isinstance(index, str):
            return self._item(base, index, node)
        if isinstance(base, dict | list | tuple) and isinstance(index, str | int):
            try:
                held: Any = base
                return held[index]
            except (KeyError, IndexError) as exc:
                raise unknown(node) from exc
        raise unknown(node)

    def _item(self, base: Frame | Row, name: str, node: ast.expr) -> Any:
        key = (base.name, name)
        if key not in self.context.snapshot.columns:
            raise unknown(node)
        return Column(key) if isinstance(base, Frame) else self._read(key, base.back, node)

    def _at(self, call: _Call, base: Column | Frame, node: ast.Subscript) -> Any:
        index = self._value(call, node.slice)
        if type(index) is not int or index >= 0:
            raise unknown(node)
        if isinstance(base, Frame):
            if not (isinstance(node.value, ast.Attribute) and node.value.attr == "iloc"):
                raise unknown(node)
            return Row(base.name, -index)
        return self._read(base.key, -index, node)

    def _read(self, key: Key, back: int, node: ast.expr) -> Lanes:
        column = self.context.snapshot.columns[key]
        if column.dtype.kind not in "fiub" or back > self.context.window:
            raise unknown(node)
        self.deepest = max(self.deepest, back)
        part = column[:0] if self.dry else column[self.first + 1 - back : self.last + 1 - back]
        return Lanes(part, column.dtype.kind == "b", self.context.slack.get(key, 0.0))

    def _compare(self, call: _Call, node: ast.Compare) -> Any:
        result: Any = True
        left = self._value(call, node.left)
        for op, right_node in zip(node.ops, node.comparators, strict=True):
            right = self._value(call, right_node)
            result = self._and(result, self._compared(op, left, right, node))
            left = right
        return result

    def _compared(self, op: ast.cmpop, left: Any, right: Any, node: ast.expr) -> Any:
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
        one, other = self._lanes(left), self._lanes(right)
        if one.boolean or other.boolean:
            raise unknown(node)
        self._doubt(one, other)
        return Lanes(function(one.values, other.values), True)

    def _doubt(self, one: Lanes, other: Lanes) -> None:
        slack = one.slack + other.slack
        if self.dry or (np.ndim(slack) == 0 and slack == 0):
            return
        near = np.abs(one.values - other.values) <= slack
        self.unsure |= near & self._active

    def _boolop(self, call: _Call, node: ast.BoolOp) -> Any:
        """`and`/`or` of booleans; what follows is looked at only for the bars that Python would look at."""
        join = self._and if isinstance(node.op, ast.And) else self._or
        entered = self._active
        result: Any = isinstance(node.op, ast.And)
        for each in node.values:
            value = truth_only(self._value(call, each), node)
            result = join(result, value)
            if isinstance(result, bool):
                if result is not isinstance(node.op, ast.And):
                    break
            elif not self.dry:
                self._active = entered & (result.values if isinstance(node.op, ast.And) else ~result.values)
                if not self._active.any():
                    break
        self._active = entered
        return result

    def _and(self, left: Any, right: Any) -> Any:
        if isinstance(left, bool):
            return right if left else False
        if isinstance(right, bool):
            return left if right else False
        return Lanes(left.values & right.values, True)

    def _or(self, left: Any, right: Any) -> Any:
        if isinstance(left, bool):
            return True if left else right
        if isinstance(right, bool):
            return True if right else left
        return Lanes(left.values | right.values, True)

    def _unary(self, call: _Call, node: ast.UnaryOp) -> Any:
        value = self._value(call, node.operand)
        if isinstance(node.op, ast.Not):
            truth = self._truth(value)
            return not truth if isinstance(truth, bool) else Lanes(~truth, True)
        if isinstance(node.op, ast.USub) and number_like(value):
            if not isinstance(value, Lanes):
                return -value
            if not value.boolean:
                return Lanes(-value.values, False, value.slack)
        raise unknown(node)

    def _binary(self, call: _Call, node: ast.BinOp) -> Any:
        left, right = self._value(call, node.left), self._value(call, node.right)
        if not (number_like(left) and number_like(right)):
            raise unknown(node)
        both = isinstance(left, Lanes) and isinstance(right, Lanes) and left.boolean and right.boolean
        if both and isinstance(node.op, ast.BitAnd | ast.BitOr):
            return (self._and if isinstance(node.op, ast.BitAnd) else self._or)(left, right)
        function = ARITHMETIC.get(type(node.op))
        if function is None:
            raise unknown(node)
        if not isinstance(left, Lanes) and not isinstance(right, Lanes):
            try:
                return function(left, right)
            except ArithmeticError as exc:
                raise unknown(node) from exc
        one, other = self._lanes(left), self._lanes(right)
        if one.boolean or other.boolean:
            raise unknown(node)
        return Lanes(function(one.values, other.values), False, slack_of(node.op, one, other))

    def _choice(self, call: _Call, node: ast.IfExp) -> Any:
        test = self._truth(self._value(call, node.test))
        if isinstance(test, bool):
            return self._value(call, node.body if test else node.orelse)
        return self._choose(test, self._value(call, node.body), self._value(call, node.orelse))

    def _called(self, call: _Call, node: ast.Call) -> Any:
        if node.keywords:
            raise unknown(node)
        function = node.func
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            if function.value.id == call.tree.args.args[0].arg and function.attr in self.context.methods.trees:
                arguments = [self._value(call, each) for each in node.args]
                return self.method(self.context.methods.trees[function.attr], arguments, {})
            return self._library(call, function.value.id, function.attr, node)
        if isinstance(function, ast.Name) and function.id not in call.names:
            if function.id in getattr(self.context.methods.strategy, call.tree.name).__globals__:
                raise unknown(node)
            return self._builtin(call, function.id, node)
        raise unknown(node)

    def _library(self, call: _Call, module: str, name: str, node: ast.Call) -> Any:
        known = getattr(self.context.methods.strategy, call.tree.name).__globals__.get(module)
        if (
            module in call.names
            or len(node.args) != 1
            or getattr(known, "__name__", "") not in ("numpy", "pandas", "math")
        ):
            raise unknown(node)
        value = self._value(call, node.args[0])
        if not isinstance(value, Lanes) or value.boolean:
            raise unknown(node)
        if name in ("isnan", "isna", "isnull"):
            return Lanes(np.isnan(value.values), True)
        if name in ("notna", "notnull"):
            return Lanes(~np.isnan(value.values), True)
        if name in ("abs", "fabs"):
            return Lanes(np.abs(value.values), False, value.slack)
        raise unknown(node)

    def _builtin(self, call: _Call, name: str, node: ast.Call) -> Any:
        values = [self._value(call, each) for each in node.args]
        if name == "len" and len(values) == 1 and isinstance(values[0], Frame | Column):
            return Lanes(np.minimum(np.arange(self.first, self.last) + 1, self.context.window), False)
        if name == "bool" and len(values) == 1:
            truth = self._truth(values[0])
            return truth if isinstance(truth, bool) else Lanes(truth, True)
        lanes = [value for value in values if isinstance(value, Lanes)]
        if lanes and not any(each.boolean for each in lanes) and all(map(number_like, values)):
            if name == "abs" and len(values) == 1:
                return Lanes(np.abs(lanes[0].values), False, lanes[0].slack)
            if name == "float" and len(values) == 1:
                return Lanes(lanes[0].values.astype("float64"), False, lanes[0].slack)
            if name in ("min", "max") and len(values) > 1:
                return self._extreme(name, values)
        raise unknown(node)

    def _extreme(self, name: str, values: list[Any]) -> Lanes:
        """Python's own rule: a later value wins only when it is smaller (greater), so NaN never wins."""
        found = self._lanes(values[0])
        for each in values[1:]:
            other = self._lanes(each)
            wins = other.values < found.values if name == "min" else other.values > found.values
            found = Lanes(np.where(wins, other.values, found.values), False, np.maximum(found.slack, other.slack))
        return found

    def _truth(self, value: Any) -> Any:
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

    def _lanes(self, value: Any) -> Lanes:
        if isinstance(value, Lanes):
            return value
        if type(value) not in (bool, int, float):
            raise CannotFollow(f"valeur non suivie ({type(value).__name__})")
        return Lanes(value, isinstance(value, bool))


_EVALUATORS: dict[type, Callable[[_Block, _Call, Any], Any]] = {
    ast.Constant: _Block._constant, ast.Name: _Block._name, ast.Attribute: _Block._attribute,
    ast.Subscript: _Block._subscript, ast.Compare: _Block._compare, ast.BoolOp: _Block._boolop,
    ast.UnaryOp: _Block._unary, ast.BinOp: _Block._binary, ast.IfExp: _Block._choice, ast.Call: _Block._called,
}  # fmt: skip
