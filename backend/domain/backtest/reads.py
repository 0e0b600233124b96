"""What the expressions of a method read: names, columns of candles at the bar or some bars before it."""

import ast
from typing import Any

import numpy as np

from domain.backtest.lanes import Column, Frame, Lanes, NoPosition, Row, taken, unknown
from domain.backtest.snapshot import Key
from domain.backtest.source import CannotFollow
from domain.backtest.walk import Call, Walk


class Reads(Walk):
    """The expressions that read."""

    def constant(self, call: Call, node: ast.Constant) -> Any:
        return node.value

    def name(self, call: Call, node: ast.Name) -> Any:
        if node.id in call.names:
            return call.names[node.id]
        function = getattr(self.context.methods.strategy, call.tree.name)
        if node.id in function.__globals__ and node.id not in function.__code__.co_varnames:
            value = function.__globals__[node.id]
            if type(value) in (bool, int, float):
                return value
        raise CannotFollow(f"ligne {node.lineno} : « {node.id} » n'est pas suivi")

    def attribute(self, call: Call, node: ast.Attribute) -> Any:
        if isinstance(node.value, ast.Name) and node.value.id == call.tree.args.args[0].arg:
            return self.own(node)
        base = self.value(call, node.value)
        if (
            isinstance(base, Frame | Row)
            and (base.name, node.attr) in self.context.snapshot.columns
            and not taken(node.attr)
        ):
            return self.item(base, node.attr, node)
        raise unknown(node)

    def own(self, node: ast.Attribute) -> Any:
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

    def subscript(self, call: Call, node: ast.Subscript) -> Any:
        if isinstance(node.value, ast.Attribute) and node.value.attr in ("iloc", "iat", "values"):
            base = self.value(call, node.value.value)
            if isinstance(base, Column | Frame):
                return self.read_at(call, base, node)
        base = self.value(call, node.value)
        if isinstance(base, Column) and isinstance(self.context.snapshot.holders.get(base.key[0]), np.ndarray):
            return self.read_at(call, base, node)
        index = self.value(call, node.slice)
        if isinstance(base, Frame | Row) and isinstance(index, str):
            return self.item(base, index, node)
        if isinstance(base, dict | list | tuple) and isinstance(index, str | int):
            try:
                held: Any = base
                return held[index]
            except (KeyError, IndexError) as exc:
                raise unknown(node) from exc
        raise unknown(node)

    def item(self, base: Frame | Row, name: str, node: ast.expr) -> Any:
        key = (base.name, name)
        if key not in self.context.snapshot.columns:
            raise unknown(node)
        return Column(key) if isinstance(base, Frame) else self.read(key, base.back, node)

    def read_at(self, call: Call, base: Column | Frame, node: ast.Subscript) -> Any:
        index = self.value(call, node.slice)
        if type(index) is not int or index >= 0:
            raise unknown(node)
        if isinstance(base, Frame):
            if not (isinstance(node.value, ast.Attribute) and node.value.attr == "iloc"):
                raise unknown(node)
            return Row(base.name, -index)
        return self.read(base.key, -index, node)

    def read(self, key: Key, back: int, node: ast.expr) -> Lanes:
        column = self.context.snapshot.columns[key]
        if column.dtype.kind not in "fiub" or back > self.context.window:
            raise unknown(node)
        self.deepest = max(self.deepest, back)
        average = self.context.snapshot.windowed.get(key)
        if self.dry:
            part = column[:0]
        elif average is not None:
            part = average.seen(back, self.first, self.last)
            doubt = average.doubt(back, self.first, self.last)
            if doubt is not None:
                self.unsure |= doubt & self.active
        else:
            part = column[self.first + 1 - back : self.last + 1 - back]
        return Lanes(part, column.dtype.kind == "b", self.context.slack.get(key, 0.0))
