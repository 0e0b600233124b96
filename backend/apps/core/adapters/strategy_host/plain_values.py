"""Dataclasses as JSON and back, by their annotations. What is read is checked field by field.

It knows what the backtest's contract is made of: Decimals (as text), floats (finite), ints, texts, enums,
sequences, mappings of texts, optional values and other dataclasses.
"""

import enum
import math
import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from apps.core.adapters.strategy_host.protocol import BadReply, clean_text

T = TypeVar("T")

_AMOUNT = re.compile(r"-?\d{1,40}(\.\d{1,60})?")
_MAX_TEXT = 20_000
_MAX_ITEMS = 20_000
_MAX_INT = 2**63


def plain(value: Any) -> Any:
    """Return a value of the contract as JSON knows it."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def read(kind: type[T], value: Any) -> T:
    """Return the dataclass that `plain` wrote.

    Raises:
        BadReply: a field is missing, of another type, or larger than anything honest.
    """
    if not isinstance(value, dict):
        raise BadReply(f"{kind.__name__} : objet attendu")
    given, hints = {}, _hints(cast(Any, kind))
    for field in fields(kind):  # type: ignore[arg-type]
        if field.name in value:
            given[field.name] = _read(hints[field.name], value[field.name], field.name)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise BadReply(f"champ « {field.name} » absent")
    return kind(**given)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _read(kind: Any, value: Any, name: str) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        return _read(next(each for each in get_args(kind) if each is not type(None)), value, name)
    if origin is not None:
        return _read_many(origin, get_args(kind), value, name)
    if is_dataclass(kind):
        return read(cast("type[Any]", kind), value)
    return _read_one(kind, value, name)


def _read_many(origin: Any, of: tuple[Any, ...], value: Any, name: str) -> Any:
    if not isinstance(value, dict if issubclass(origin, Mapping) else list) or len(value) > _MAX_ITEMS:
        raise BadReply(f"champ « {name} » : liste attendue")
    if isinstance(value, dict):
        return {_text(key, name): _read(of[1], each, name) for key, each in value.items()}
    if not issubclass(origin, Sequence):
        raise BadReply(f"champ « {name} » : type inattendu")
    return tuple(_read(of[0], each, name) for each in value)


def _read_one(kind: Any, value: Any, name: str) -> Any:
    if kind is Decimal:
        if isinstance(value, str) and _AMOUNT.fullmatch(value):
            return Decimal(value)
    elif kind is float:
        if type(value) in (int, float) and math.isfinite(value):
            return float(value)
    elif kind is bool:
        if type(value) is bool:
            return value
    elif kind is int:
        if type(value) is int and abs(value) < _MAX_INT:
            return value
    elif kind is str:
        return _text(value, name)
    elif issubclass(kind, enum.Enum):
        return _member(kind, value, name)
    raise BadReply(f"champ « {name} » : {getattr(kind, '__name__', kind)} attendu")


def _member(kind: type[enum.Enum], value: Any, name: str) -> enum.Enum:
    try:
        return kind(value)
    except ValueError as exc:
        raise BadReply(f"champ « {name} » : valeur inconnue") from exc


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise BadReply(f"champ « {name} » : texte attendu")
    return clean_text(value)
