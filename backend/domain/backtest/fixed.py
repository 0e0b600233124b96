"""Which of a strategy's answers are the same at every bar: a stop of 2 % need not be asked for each trade."""

import ast

from domain.backtest.snapshot import Snapshot, is_plain
from domain.backtest.source import Methods

_COMPUTES = (ast.Return, ast.Constant, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop, ast.expr_context)


def is_fixed(methods: Methods, snapshot: Snapshot, name: str, *, but_for: str = "") -> bool:
    """Tell whether a method computes from plain values only, that no method changes.

    Args:
        methods: none of them writes to `self`.
        but_for: an attribute of `self` that it may read all the same.
    """
    tree = methods.trees[name]
    body = tree.body[1:] if len(tree.body) > 1 and ast.get_docstring(tree) is not None else tree.body
    if len(body) != 1 or not isinstance(body[0], ast.Return):
        return False
    own = tree.args.args[0].arg
    names = getattr(methods.strategy, name).__globals__

    def fixed(node: ast.AST) -> bool:
        if isinstance(node, ast.Name):
            return node.id == own or type(names.get(node.id)) in (bool, int, float)
        if isinstance(node, ast.Subscript):
            return isinstance(node.slice, ast.Constant)
        if not isinstance(node, ast.Attribute):
            return isinstance(node, _COMPUTES)
        if not isinstance(node.value, ast.Name) or node.value.id != own:
            return False
        return node.attr == but_for or _is_plain(methods, snapshot, node.attr)

    return all(map(fixed, ast.walk(body[0])))


def _is_plain(methods: Methods, snapshot: Snapshot, attribute: str) -> bool:
    if attribute in ("balance", "position"):
        return False
    if attribute in snapshot.plain:
        return True
    return attribute not in snapshot.kinds() and is_plain(getattr(methods.strategy, attribute, object()))
