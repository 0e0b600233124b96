"""Evaluates a `should_*` method for many bars at once, by walking its syntax tree over arrays.

It knows the few constructions that mean the same for one number and for an array of them; anything else
raises CannotFollow. Where two numbers are so close that their order could change with the first candle of
the window, the bar is marked unsure and is asked the exact way.
"""

import ast
from collections.abc import Callable
from typing import Any

import numpy as np

from domain.backtest.lanes import Context, boolean, unknown
from domain.backtest.operations import Operations
from domain.backtest.source import CannotFollow, Function
from domain.backtest.walk import Call

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


class _Block(Operations):
    """The statements: each takes the bars that reach it and returns those that go on."""

    def value(self, call: Call, node: ast.expr) -> Any:
        found = _EVALUATORS.get(type(node))
        if found is None:
            raise unknown(node)
        return found(self, call, node)

    def method(self, tree: Function, arguments: list[Any], keywords: dict[str, Any]) -> Any:
        if self.depth >= _MAX_CALLS or keywords or tree.args.defaults:
            raise CannotFollow(f"appel de {tree.name} non suivi")
        names = [each.arg for each in tree.args.args]
        if len(names) != len(arguments) + 1:
            raise CannotFollow(f"appel de {tree.name} non suivi")
        self.depth += 1
        call = Call(tree, dict(zip(names[1:], arguments, strict=True)))
        entered = self.active
        remaining = self._body(call, tree.body, entered)
        self.depth -= 1
        self.active = entered
        if self.dry:
            return call.returned[-1][1] if call.returned else None
        if remaining.any() or not call.returned:
            raise CannotFollow(f"{tree.name} ne renvoie pas toujours de valeur")
        value = call.returned[-1][1]
        for mask, other in reversed(call.returned[:-1]):
            value = self.choose(mask, other, value)
        return value

    def _body(self, call: Call, statements: list[ast.stmt], active: Any) -> Any:
        for statement in statements:
            if not self.dry and not active.any():
                return active
            self.active = active
            active = self._statement(call, statement, active)
        return active

    def _statement(self, call: Call, node: ast.stmt, active: Any) -> Any:
        if isinstance(node, ast.Return) and node.value is not None:
            call.returned.append((active, self.value(call, node.value)))
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

    def _assign(self, call: Call, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            call.names[target.id] = self.value(call, value)
            return
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            if not all(isinstance(each, ast.Name) for each in target.elts):
                raise unknown(target)
            found = [self.value(call, each) for each in value.elts]
            call.names.update({each.id: v for each, v in zip(target.elts, found, strict=True)})  # type: ignore[attr-defined]
            return
        raise unknown(target)

    def _if(self, call: Call, node: ast.If, active: Any) -> Any:
        test = self.truth(self.value(call, node.test))
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
            name: value if value is other[name] else self.choose(mask, value, other[name])
            for name, value in shared.items()
        }


_EVALUATORS: dict[type, Callable[[_Block, Call, Any], Any]] = {
    ast.Constant: _Block.constant, ast.Name: _Block.name, ast.Attribute: _Block.attribute,
    ast.Subscript: _Block.subscript, ast.Compare: _Block.compare, ast.BoolOp: _Block.boolop,
    ast.UnaryOp: _Block.unary, ast.BinOp: _Block.binary, ast.IfExp: _Block.choice, ast.Call: _Block.called,
}  # fmt: skip
