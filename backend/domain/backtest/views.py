"""Runs the user's methods bar by bar on indicators computed once, each bar seeing what is before it only.

The reads `….iloc[-k]` of the methods' syntax trees become reads of arrays at the current bar, their bounds
checked where a bar is near the start; whatever else touches the candles gets a real pandas window that ends
at that bar. What does neither raises CannotFollow, at once or at the bar where it is met.
"""

import ast
import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from domain.backtest.contract import CandleSeries, HeldPosition
from domain.backtest.lanes import Column, Frame, Row
from domain.backtest.literal import position_view
from domain.backtest.shown import Shown
from domain.backtest.snapshot import Key, Snapshot
from domain.backtest.source import CannotFollow, Function, Methods
from domain.strategies.evaluate import strategy_position
from domain.strategies.failures import FILENAME

_BAR, _LENGTH, _READ, _WINDOW = "_bt_bar", "_bt_length", "_bt_read", "_bt_window"
_NAMES = "_bt_names"


class View:
    """An instance of the strategy that stands at one bar at a time.

    Args:
        shortest: how many candles every bar asked has at least.
    """

    def __init__(
        self, methods: Methods, snapshot: Snapshot, candles: CandleSeries, *, window: int, shortest: int
    ) -> None:
        self._candles, self._window_size, self._snapshot = candles, window, snapshot
        blocked = methods.mentioned & ({key[0] for key in snapshot.foreign} | snapshot.opaque)
        if blocked:
            raise CannotFollow(f"« {sorted(blocked)[0]} » n'a pas une valeur par bougie")
        if methods.stored & snapshot.holders.keys():
            raise CannotFollow("une méthode remplace les bougies")
        self.stateful = bool(methods.stored)
        self._base = {name: value for name, value in snapshot.plain.items() if name not in ("balance", "position")}
        self._globals = dict(methods.strategy.should_long.__globals__)
        self._globals |= {_READ: self._read, _WINDOW: self._window, _BAR: 0, _LENGTH: 0}
        self._cuts: dict[str, tuple[int, Any]] = {}
        self._wants_position = "position" in methods.mentioned
        bodies = {name: self._rewritten(tree, min(window, shortest)) for name, tree in methods.trees.items()}
        self._instance: Any = object.__new__(type(methods.strategy.__name__, (methods.strategy,), bodies))
        self.own: dict[str, Any] = self._instance.__dict__  # what the methods find on self
        self.own.update(self._base)
        self.should_long: Callable[[], Any] = self._instance.should_long
        self.should_short: Callable[[], Any] = self._instance.should_short

    def method(self, name: str) -> Callable[[], Any]:
        found: Callable[[], Any] = getattr(self._instance, name)
        return found

    def stand(self, bar: int, balance: float, position: HeldPosition | None) -> None:
        """Go to a bar; what the methods kept on themselves at another bar is forgotten."""
        names, state = self._globals, self.own
        names[_BAR] = bar
        names[_LENGTH] = bar + 1 if bar < self._window_size else self._window_size
        if self.stateful:
            state.clear()
            state.update(self._base)
        state["balance"] = balance
        if position is None or not self._wants_position:
            state["position"] = None
        else:
            state["position"] = strategy_position(position_view(self._candles, position, bar))

    def forget(self) -> None:
        """Let go of the candles: the methods hold this view, which holds them, until a collection finds it."""
        self._globals.clear()
        self._cuts.clear()
        self.own.clear()

    def _read(self, column: Any, index: Any) -> Any:
        """Read `.iloc[index]` of the window that ends at the bar."""
        length = self._globals[_LENGTH]
        if isinstance(index, bool) or not isinstance(index, int | np.integer):
            raise CannotFollow("lecture par autre chose qu'un entier")
        if not -length <= index < length:
            raise IndexError("single positional indexer is out-of-bounds")
        if isinstance(column, Shown):
            return column.window_at(self._globals[_BAR])[index]
        end = self._globals[_BAR] + 1
        return column[end + index if index < 0 else end - length + index]

    def _window(self, name: str) -> Any:
        """Return the last candles of an attribute as pandas holds them."""
        bar = self._globals[_BAR]
        at, cut = self._cuts.get(name, (-1, None))
        if at != bar:
            whole, part = self._snapshot.holders[name], slice(bar + 1 - self._globals[_LENGTH], bar + 1)
            cut = whole[part].copy() if isinstance(whole, np.ndarray) else whole.iloc[part]
            cut = self._as_windowed(name, cut, bar)
            self._cuts[name] = (bar, cut)
        return cut

    def _as_windowed(self, name: str, cut: Any, bar: int) -> Any:
        for key, average in self._snapshot.windowed.items():
            if key == (name,):
                cut = cut.copy()
                cut[:] = average.window_at(bar)
            elif key[0] == name:
                cut = cut.assign(**{key[1]: average.window_at(bar)})
        return cut

    def _rewritten(self, tree: Function, shortest: int) -> Callable[..., Any]:
        rewriter = _Rewriter(tree, self._snapshot, self._globals, shortest)
        body = rewriter.rewrite()
        # Inside a class, so that names with two underscores are mangled as the user's were.
        module = ast.Module(
            [ast.ClassDef(name=type(self).__name__, bases=[], keywords=[], body=[body], decorator_list=[])], []
        )
        names: dict[str, Any] = {}
        exec(compile(ast.fix_missing_locations(module), FILENAME, "exec"), self._globals, names)  # noqa: S102 — the user's own code, in the jailed child
        found: Callable[..., Any] = names[type(self).__name__].__dict__[tree.name]
        return found


class _Rewriter(ast.NodeTransformer):
    """Replaces what a method reads of the candles."""

    def __init__(self, tree: Function, snapshot: Snapshot, names: dict[str, Any], shortest: int) -> None:
        self._tree = copy.deepcopy(tree)
        self._self = tree.args.args[0].arg
        self._snapshot, self._names, self._shortest = snapshot, names, shortest
        self._alias: dict[str, Frame | Column | Row] = {}

    def rewrite(self) -> Function:
        self._find_aliases()
        self._tree.decorator_list, self._tree.returns = [], None
        for argument in self._tree.args.args:
            argument.annotation = None
        if self._tree.args.defaults and not all(
            isinstance(each, ast.Constant) for each in self._tree.args.defaults
        ):
            raise CannotFollow(f"valeurs par défaut de {self._tree.name}")
        self._tree.body = [self.visit(statement) for statement in self._tree.body]
        return self._tree

    def _find_aliases(self) -> None:
        """Find the local names that stand for candles: bound once, at the top of the method."""
        bound: dict[str, int] = {}
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                bound[node.id] = bound.get(node.id, 0) + 1
        taken = {argument.arg for argument in self._tree.args.args}
        kept: list[ast.stmt] = []
        for statement in self._tree.body:
            name = _single_target(statement)
            if name is not None and bound.get(name) == 1 and name not in taken:
                found = self._resolve(statement.value)  # type: ignore[attr-defined]
                if isinstance(found, Frame | Column | Row):
                    self._alias[name] = found
                    statement = ast.copy_location(ast.Pass(), statement)
            kept.append(statement)
        self._tree.body = kept

    def _resolve(self, node: ast.expr) -> Frame | Column | Row | tuple[Key, ast.expr] | None:
        """Return what an expression stands for; a read is (column, index)."""
        if isinstance(node, ast.Name):
            return self._alias.get(node.id)
        if isinstance(node, ast.Attribute):
            return self._resolve_attribute(node)
        if not isinstance(node, ast.Subscript):
            return None
        if isinstance(node.value, ast.Attribute) and node.value.attr in ("iloc", "iat", "values"):
            base, by_position = self._resolve(node.value.value), node.value.attr == "iloc"
            if isinstance(base, Column) and not isinstance(node.slice, ast.Slice | ast.Tuple):
                return base.key, node.slice
            back = _constant_back(node.slice)
            return Row(base.name, back) if isinstance(base, Frame) and by_position and back else None
        base = self._resolve(node.value)
        if isinstance(base, Frame | Row) and isinstance(node.slice, ast.Constant):
            return self._item(base, node.slice.value)
        if isinstance(base, Column) and isinstance(self._snapshot.holders.get(base.key[0]), np.ndarray):
            return None if isinstance(node.slice, ast.Slice | ast.Tuple) else (base.key, node.slice)
        return None

    def _resolve_attribute(self, node: ast.Attribute) -> Frame | Column | Row | tuple[Key, ast.expr] | None:
        if isinstance(node.value, ast.Name) and node.value.id == self._self:
            if (node.attr,) in self._snapshot.columns:
                return Column((node.attr,))
            return Frame(node.attr) if node.attr in self._snapshot.holders else None
        return None

    def _item(self, base: Frame | Row, name: Any) -> Column | tuple[Key, ast.expr] | None:
        key = (base.name, name)
        if key not in self._snapshot.columns:
            return None
        return Column(key) if isinstance(base, Frame) else (key, ast.Constant(-base.back))

    def visit(self, node: ast.AST) -> Any:
        if self._is_length(node):
            return ast.copy_location(_load(_LENGTH), node)
        if isinstance(node, ast.Subscript | ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
            found = self._resolve(node)
            if found is not None:
                replaced = self._replacement(found)
                if replaced is not None:
                    return ast.fix_missing_locations(ast.copy_location(replaced, node))
        return super().visit(node)

    def _is_length(self, node: ast.AST) -> bool:
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or "len" in self._names:
            return False
        return (
            node.func.id == "len"
            and len(node.args) == 1
            and isinstance(self._resolve(node.args[0]), Frame | Column)
        )

    def _replacement(self, found: Frame | Column | Row | tuple[Key, ast.expr]) -> ast.expr | None:
        if isinstance(found, Frame):
            return _call(_WINDOW, ast.Constant(found.name))
        if isinstance(found, Column):
            window = _call(_WINDOW, ast.Constant(found.key[0]))
            return window if len(found.key) == 1 else ast.Subscript(window, ast.Constant(found.key[1]), ast.Load())
        if isinstance(found, Row):
            by_place = ast.Attribute(_call(_WINDOW, ast.Constant(found.name)), "iloc", ast.Load())
            return ast.Subscript(by_place, ast.Constant(-found.back), ast.Load())
        key, index = found
        column = self._snapshot.columns[key]
        if column.dtype.kind not in "fiub":
            return None
        back = _constant_back(index)
        near = back if back and back <= self._shortest else 0
        average = self._snapshot.windowed.get(key)
        known = self._names.setdefault(_NAMES, {})
        name = known.setdefault((key, near if average else 0), f"_bt_column_{len(known)}")
        if average is None:
            self._names[name] = column
        elif name not in self._names:
            self._names[name] = average.seen(near, 0, len(column)) if near else average
        if not near:
            return _call(_READ, _load(name), self.visit(index))
        place: ast.expr = _load(_BAR)
        if near > 1 and average is None:  # every bar asked has that many candles: the index cannot fall under zero
            place = ast.BinOp(place, ast.Sub(), ast.Constant(near - 1))
        return ast.Subscript(_load(name), place, ast.Load())


def _single_target(statement: ast.stmt) -> str | None:
    if (
        isinstance(statement, ast.Assign)
        and len(statement.targets) == 1
        and isinstance(statement.targets[0], ast.Name)
    ):
        return statement.targets[0].id
    return None


def _constant_back(node: ast.expr) -> int | None:
    """Return k of a literal index -k, None for anything else."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        value = node.operand.value
        return value if type(value) is int and value > 0 else None
    if isinstance(node, ast.Constant) and type(node.value) is int and node.value < 0:
        return -node.value
    return None


def _load(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def _call(name: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(_load(name), list(arguments), [])
