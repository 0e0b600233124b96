"""Turns a user's text into his strategy class: `exec` in a dictionary, then `issubclass`.

This isolates nothing: it runs in the sandboxed child only.
"""

import inspect
from collections.abc import Mapping
from functools import lru_cache
from types import CodeType
from typing import Any

from domain.errors import StrategyError, StrategyInvalid
from domain.strategies.base import METHODS, Strategy
from domain.strategies.contract import CodeError
from domain.strategies.failures import FILENAME, Failure, describe
from domain.strategies.params import declared_params, defaults
from domain.strategies.syntax import check_syntax

_MODULE = "strategie"


def load(code: str, scope: Mapping[str, Any]) -> type[Strategy]:
    """Run `code` and return the one strategy class that it defines, its `params` at their defaults.

    Args:
        scope: names the code finds besides `Strategy`: pd, np, ta.

    Raises:
        StrategyInvalid: syntax error, no class or several.
        StrategyError: the code raised while it was read.
        MemoryError: it ate its memory.
    """
    names: dict[str, Any] = {"__name__": _MODULE, "Strategy": Strategy, **scope}
    try:
        exec(_compiled(code), names)  # noqa: S102 — the specification's way, in the jailed child
    except (MemoryError, StrategyInvalid):
        raise
    except BaseException as exc:
        raise failed(describe(exc, code)) from exc
    strategy = _only_class(names)
    strategy.params = defaults(declared_params(code).specs)
    return strategy


def check_class(strategy: type[Strategy]) -> list[CodeError]:
    """Return what the class lacks: methods of the contract that are missing or take other arguments."""
    problems = []
    if strategy.__init__ is not Strategy.__init__:
        problems += _check_call(strategy, "__init__", ("candles", "balance", "position"))
    for name in METHODS:
        if getattr(strategy, name) is getattr(Strategy, name):
            problems.append(CodeError(f"La méthode {name}(self) manque dans la classe {strategy.__name__}."))
        else:
            problems += _check_call(strategy, name, ())
    return problems


def invalid(problems: list[CodeError]) -> StrategyInvalid:
    """Return the error that carries these problems; its message is the first one, with its line."""
    first = problems[0]
    where = f"Ligne {first.line} : " if first.line else ""
    details = {"errors": [{"line": p.line, "column": p.column, "message": p.message} for p in problems]}
    return StrategyInvalid(where + first.message, details={**details, "line": first.line})


def failed(failure: Failure) -> StrategyError:
    """Return the error of user code that raised."""
    return StrategyError(
        failure.message,
        details={"line": failure.line, "exception": failure.exception, "traceback": failure.traceback},
    )


@lru_cache(maxsize=4)  # a backtest runs the same text for each of its bars
def _compiled(code: str) -> CodeType:
    try:
        return compile(code, FILENAME, "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
        # The French diagnosis parses again: only failures pay for it.
        raise invalid(check_syntax(code) or [CodeError(f"Code illisible : {exc}.")]) from exc


def _only_class(names: Mapping[str, Any]) -> type[Strategy]:
    found = {
        value
        for value in names.values()
        if isinstance(value, type) and issubclass(value, Strategy) and value.__module__ == _MODULE
    }
    leaves = [one for one in found if not any(other is not one and issubclass(other, one) for other in found)]
    if not leaves:
        raise invalid([CodeError("Aucune classe n'hérite de Strategy : écrire « class MaStrategie(Strategy): ».")])
    if len(leaves) > 1:
        listed = ", ".join(sorted(one.__name__ for one in leaves))
        raise invalid([CodeError(f"Une seule classe doit hériter de Strategy, {len(leaves)} trouvées : {listed}.")])
    return leaves[0]


def _check_call(strategy: type[Strategy], name: str, arguments: tuple[str, ...]) -> list[CodeError]:
    function = inspect.getattr_static(strategy, name)
    expected = ", ".join(("self", *arguments))
    line = getattr(getattr(function, "__code__", None), "co_firstlineno", None)
    if not inspect.isfunction(function):
        return [CodeError(f"{name} doit être une méthode : « def {name}({expected}): ».", line=line)]
    if inspect.iscoroutinefunction(function):
        return [CodeError(f"{name} ne peut pas être « async » : « def {name}({expected}): ».", line=line)]
    try:
        inspect.signature(function).bind(*("self", *arguments))
    except TypeError:
        return [
            CodeError(f"{name} a d'autres arguments que ceux attendus : « def {name}({expected}): ».", line=line)
        ]
    return []
