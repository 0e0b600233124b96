"""What a strategy lets its user tune: `STRATEGY_PARAMS`, read from the text without running it.

    STRATEGY_PARAMS = {
        "fast": {"default": 10, "min": 2, "max": 50, "step": 1, "type": "int", "label": "EMA rapide"},
    }

Only literals are read, so that a web page can show the fields of code that nobody has run. The values
reach the strategy as `self.params["fast"]`.
"""

import ast
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from domain.errors import InvalidInput
from domain.french import number
from domain.strategies.contract import CodeError

NAME = "STRATEGY_PARAMS"
MAX_PARAMS = 50
_MAX_TEXT = 200

Value = bool | int | float | str


class ParamType(enum.StrEnum):
    INT = "int"
    FLOAT = "float"
    BOOL = "bool"
    CHOICE = "choice"


@dataclass(frozen=True, slots=True)
class ParamSpec:
    """One tunable value. `minimum`, `maximum` and `step` belong to numbers, `choices` to a choice."""

    name: str
    type: ParamType
    default: Value
    label: str
    minimum: int | float | None = None
    maximum: int | float | None = None
    step: int | float | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Declared:
    """What a text declares: its parameters, or why they cannot be read."""

    specs: tuple[ParamSpec, ...] = ()
    errors: tuple[CodeError, ...] = ()


class _Bad(Exception):
    """A declaration that cannot be used; the text is French."""


@lru_cache(maxsize=32)
def declared_params(code: str) -> Declared:
    """Return the parameters of a strategy's text, in the order they are written; none when it is not Python."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Declared()  # the syntax check says so in its own words
    node = _declaration(tree)
    if node is None:
        return Declared()
    line = node.lineno
    try:
        written = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return Declared(errors=(CodeError(f"{NAME} : écrire des valeurs simples, sans calcul ni variable.", line),))
    try:
        return Declared(specs=_specs(written))
    except _Bad as exc:
        return Declared(errors=(CodeError(f"{NAME} : {exc}", line),))


def defaults(specs: Sequence[ParamSpec]) -> dict[str, Value]:
    """Return the value of every parameter that nobody has chosen."""
    return {spec.name: spec.default for spec in specs}


def check_params(specs: Sequence[ParamSpec], given: Mapping[str, Any]) -> dict[str, Value]:
    """Return the chosen values, each of its parameter's type and inside its bounds (defaults not added).

    Raises:
        InvalidInput: an unknown name, another type, outside the bounds or off the step; French, with the values.
    """
    known = {spec.name: spec for spec in specs}
    unknown = sorted(set(given) - set(known))
    if unknown:
        offered = ", ".join(known) or "aucun"
        raise InvalidInput(
            f"Paramètre « {unknown[0][:_MAX_TEXT]} » inconnu de cette stratégie (paramètres : {offered}).",
            details={"field": unknown[0][:_MAX_TEXT]},
            code="unknown_param",
        )
    checked = {}
    for name, value in given.items():
        try:
            checked[name] = _value(known[name], value)
        except _Bad as exc:
            raise InvalidInput(
                f"Paramètre « {name} » : {exc}", details={"field": name}, code="invalid_param"
            ) from exc
    return checked


def _declaration(tree: ast.Module) -> ast.expr | None:
    """Return the value assigned to the name, in the strategy's class or at the top of the text."""
    bodies = [tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))]
    for statement in (each for body in reversed(bodies) for each in body):
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        if any(isinstance(target, ast.Name) and target.id == NAME for target in targets):
            value: ast.expr | None = statement.value  # type: ignore[attr-defined]
            return value
    return None


def _specs(written: Any) -> tuple[ParamSpec, ...]:
    if not isinstance(written, dict):
        raise _Bad("un dictionnaire est attendu, un paramètre par clé.")
    if len(written) > MAX_PARAMS:
        raise _Bad(f"{len(written)} paramètres, {MAX_PARAMS} au plus.")
    return tuple(_spec(name, facts) for name, facts in written.items())


def _spec(name: Any, facts: Any) -> ParamSpec:
    if not isinstance(name, str) or not name.isidentifier() or len(name) > _MAX_TEXT:
        raise _Bad(f"le nom {name!r} n'est pas un identifiant.")
    if not isinstance(facts, dict) or "default" not in facts:
        raise _Bad(f"« {name} » : un dictionnaire avec au moins « default » est attendu.")
    odd = sorted(str(key) for key in facts if key not in _KEYS)
    if odd:
        raise _Bad(f"« {name} » : clé « {odd[0]} » inconnue (clés : {', '.join(_KEYS)}).")
    try:
        return _typed(name, facts)
    except _Bad as exc:
        raise _Bad(f"« {name} » : {exc}") from exc


_KEYS = ("default", "min", "max", "step", "type", "label", "choices")


def _typed(name: str, facts: Mapping[str, Any]) -> ParamSpec:
    kind = _type(facts)
    label = str(facts.get("label") or name)[:_MAX_TEXT]
    if kind is ParamType.CHOICE:
        choices = facts.get("choices")
        if not isinstance(choices, list | tuple) or not choices or not all(isinstance(one, str) for one in choices):
            raise _Bad("« choices » doit lister des textes.")
        spec = ParamSpec(name, kind, "", label, choices=tuple(choices))
    elif kind is ParamType.BOOL:
        spec = ParamSpec(name, kind, False, label)
    else:
        low, high, step = (_bound(kind, facts, key) for key in ("min", "max", "step"))
        if low is not None and high is not None and low > high:
            raise _Bad(f"« min » ({number_text(low)}) dépasse « max » ({number_text(high)}).")
        if step is not None and step <= 0:
            raise _Bad("« step » doit être positif.")
        spec = ParamSpec(name, kind, 0, label, minimum=low, maximum=high, step=step)
    default = _value(spec, facts["default"])
    return ParamSpec(name, kind, default, label, spec.minimum, spec.maximum, spec.step, spec.choices)


def _type(facts: Mapping[str, Any]) -> ParamType:
    written = facts.get("type")
    if written is None:
        return _guess(facts)
    names = {"int": ParamType.INT, "float": ParamType.FLOAT, "bool": ParamType.BOOL, "choice": ParamType.CHOICE}
    if not isinstance(written, str) or written not in names:
        raise _Bad(f"type {written!r} inconnu (types : {', '.join(names)}).")
    return names[written]


def _guess(facts: Mapping[str, Any]) -> ParamType:
    if "choices" in facts:
        return ParamType.CHOICE
    guesses: dict[type, ParamType] = {bool: ParamType.BOOL, int: ParamType.INT, float: ParamType.FLOAT}
    found = guesses.get(type(facts["default"]))
    if found is None:
        raise _Bad("« type » manque, et « default » n'est ni un nombre ni un booléen.")
    return found


def _bound(kind: ParamType, facts: Mapping[str, Any], key: str) -> int | float | None:
    value = facts.get(key)
    return None if value is None else _number(kind, value, f"« {key} »")


def _number(kind: ParamType, value: Any, what: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e15:
        raise _Bad(f"{what} : nombre attendu, {_quoted(value)} reçu.")
    if kind is ParamType.FLOAT:
        return float(value)
    if value != int(value):
        raise _Bad(f"{what} : nombre entier attendu, {_quoted(value)} reçu.")
    return int(value)


def _value(spec: ParamSpec, value: Any) -> Value:
    if spec.type is ParamType.BOOL:
        if not isinstance(value, bool):
            raise _Bad(f"vrai ou faux attendu, {_quoted(value)} reçu.")
        return value
    if spec.type is ParamType.CHOICE:
        if not isinstance(value, str) or value not in spec.choices:
            raise _Bad(f"{_quoted(value)} n'est pas un choix offert ({', '.join(spec.choices)}).")
        return value
    chosen = _number(spec.type, value, "valeur")
    if (spec.minimum is not None and chosen < spec.minimum) or (spec.maximum is not None and chosen > spec.maximum):
        low, high = (number_text(bound) if bound is not None else "…" for bound in (spec.minimum, spec.maximum))
        raise _Bad(f"{number_text(chosen)} hors de l'intervalle {low} à {high}.")
    if spec.step is not None and not _on_step(chosen, spec):
        raise _Bad(f"{number_text(chosen)} n'est pas un multiple du pas {number_text(spec.step)}.")
    return chosen


def _on_step(chosen: int | float, spec: ParamSpec) -> bool:
    """Tell whether a value is a whole number of steps from the minimum, in the decimals a person typed."""
    start = Decimal(str(spec.minimum)) if spec.minimum is not None else Decimal(0)
    return (Decimal(str(chosen)) - start) % Decimal(str(spec.step)) == 0


def number_text(value: int | float) -> str:
    """Return a number as a French reader writes it."""
    return number(Decimal(str(value)))


def _quoted(value: Any) -> str:
    return f"« {str(value)[:_MAX_TEXT]} »"
