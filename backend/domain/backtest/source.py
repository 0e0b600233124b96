"""A strategy's text: runs it anew, and finds the syntax tree of each of its methods."""

import ast
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from domain.backtest.snapshot import is_plain
from domain.strategies.base import METHODS, Strategy
from domain.strategies.failures import FILENAME
from domain.strategies.loader import load

Function = ast.FunctionDef


class CannotFollow(Exception):
    """A fast path does not know how to follow this code; the text is French and says what."""


@dataclass(frozen=True, slots=True)
class Source:
    """A text and the names it finds. `fresh` runs it: nothing is shared between two of its classes."""

    code: str
    scope: Mapping[str, Any]
    params: Mapping[str, Any]

    def fresh(self) -> type[Strategy]:
        strategy = load(self.code, self.scope)
        strategy.params = {**strategy.params, **self.params}
        return strategy


class Methods:
    """The functions that decide: the five methods, and what they call of the user's own.

    Raises:
        CannotFollow: they keep something from one bar to the next, or reach for what a tree does not show.
    """

    def __init__(self, source: Source, strategy: type[Strategy]) -> None:
        self.strategy = strategy
        tree = ast.parse(source.code)
        self._written = {(n.name, n.lineno): n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
        special = ("__getattr__", "__getattribute__", "__setattr__", "__new__")
        if any(getattr(strategy, name, None) is not getattr(Strategy, name, None) for name in special):
            raise CannotFollow("la classe redéfinit l'accès à ses attributs")
        if any(isinstance(node, ast.Global | ast.Nonlocal) for node in ast.walk(tree)):
            raise CannotFollow("le code modifie une variable globale")
        self.trees: dict[str, Function] = {}
        self.mentioned: set[str] = set()  # attributes of self that are read
        self.stored: set[str] = set()  # attributes of self that are written
        self._helpers: set[FunctionType] = set()
        for name in METHODS:
            self._follow_method(name)

    def _follow_method(self, name: str) -> None:
        if name in self.trees:
            return
        function = getattr(self.strategy, name)
        tree = self._tree(function)
        if not tree.args.args or tree.args.vararg or tree.args.kwarg or tree.args.kwonlyargs:
            raise CannotFollow(f"signature inhabituelle ({name})")
        self.trees[name] = tree
        scan = _Scan(tree.args.args[0].arg)
        for statement in tree.body:
            scan.visit(statement)
        self.mentioned |= scan.mentioned
        self.stored |= scan.stored
        for attribute in sorted(scan.mentioned):
            found = inspect.getattr_static(self.strategy, attribute, None)
            if isinstance(found, FunctionType):
                self._follow_method(attribute)
            elif not is_plain(found):
                raise CannotFollow(f"« {attribute} » appartient à la classe et n'est pas une valeur simple")
        for called in sorted(scan.names):
            helper = function.__globals__.get(called)
            if isinstance(helper, FunctionType) and helper.__code__.co_filename == FILENAME:
                self._follow_helper(helper)

    def _follow_helper(self, helper: FunctionType) -> None:
        if helper in self._helpers:
            return
        self._helpers.add(helper)
        scan = _Scan("")
        for statement in self._tree(helper).body:
            scan.visit(statement)
        for called in sorted(scan.names):
            other = helper.__globals__.get(called)
            if isinstance(other, FunctionType) and other.__code__.co_filename == FILENAME:
                self._follow_helper(other)

    def _tree(self, function: Any) -> Function:
        if not isinstance(function, FunctionType) or function.__code__.co_filename != FILENAME:
            raise CannotFollow("une méthode n'est pas écrite dans le code de la stratégie")
        tree = self._written.get((function.__name__, function.__code__.co_firstlineno))
        if tree is None or tree.decorator_list or function.__code__.co_freevars:
            raise CannotFollow(f"{function.__name__} est décorée ou appelle super()")
        return tree


_REACHING = {
    "getattr", "setattr", "delattr", "hasattr", "vars", "globals", "locals", "exec", "eval", "compile", "super",
    "open", "__import__", "dir", "id", "input", "type",
}  # fmt: skip
_MUTATING = {
    "append", "extend", "add", "update", "pop", "popitem", "insert", "remove", "clear", "setdefault", "discard",
    "sort", "reverse", "write", "put", "fill", "setflags", "send", "seed",
}  # fmt: skip


class _Scan(ast.NodeVisitor):
    """Collects what a function touches; refuses what may outlive one bar."""

    def __init__(self, self_name: str) -> None:
        self._self = self_name
        self.mentioned: set[str] = set()
        self.stored: set[str] = set()
        self.names: set[str] = set()

    def visit_Attribute(self, node: ast.Attribute) -> None:
        own = isinstance(node.value, ast.Name) and node.value.id == self._self
        if node.attr.startswith("__") or node.attr in _MUTATING:
            raise CannotFollow(f"ligne {node.lineno} : « .{node.attr} » peut garder un état d'une bougie à l'autre")
        if not isinstance(node.ctx, ast.Load) and not own:
            raise CannotFollow(f"ligne {node.lineno} : un objet est modifié")
        if not own:
            self.visit(node.value)
            return
        (self.mentioned if isinstance(node.ctx, ast.Load) else self.stored).add(node.attr)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Attribute):
            self.mentioned.add(node.target.attr)
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if self._self and node.id == self._self:
            raise CannotFollow(f"ligne {node.lineno} : « {self._self} » est passé à une autre fonction")
        if node.id in _REACHING:
            raise CannotFollow(f"ligne {node.lineno} : appel de {node.id}()")
        self.names.add(node.id)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if not isinstance(node.ctx, ast.Load):
            raise CannotFollow(f"ligne {node.lineno} : un tableau est modifié")
        self.generic_visit(node)

    def generic_visit(self, node: ast.AST) -> None:
        refused = (ast.Delete, ast.Yield, ast.YieldFrom, ast.Await, ast.ClassDef, ast.FunctionDef, ast.Lambda)
        if isinstance(node, refused):
            raise CannotFollow(
                f"ligne {getattr(node, 'lineno', '?')} : construction non suivie ({type(node).__name__})"
            )
        super().generic_visit(node)
