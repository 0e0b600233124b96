"""Which values of a strategy's parameters a sweep tries.

`{"fast": [5, 10, 20]}` or `{"fast": {"min": 5, "max": 50, "step": 5}}`; a parameter that is not named keeps
the value chosen for the whole sweep.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import prod
from typing import Any

from domain.errors import InvalidInput
from domain.strategies.params import ParamSpec, ParamType, Value, check_params

MAX_RUNS = 500


@dataclass(frozen=True, slots=True)
class Space:
    """The values tried, by parameter."""

    values: Mapping[str, tuple[Value, ...]]

    @property
    def runs(self) -> int:
        """How many combinations there are."""
        return prod(len(tried) for tried in self.values.values())

    @classmethod
    def read(cls, specs: Sequence[ParamSpec], given: Mapping[str, Any], *, whole: bool = True) -> "Space":
        """Return the checked space.

        Args:
            whole: whether every combination is to be played.

        Raises:
            InvalidInput: no parameter, one that the strategy has not, a value outside its bounds, or a whole
                space of more combinations than `MAX_RUNS`.
        """
        if not given:
            raise InvalidInput(
                "Balayage refusé : choisir au moins un paramètre à faire varier.", code="empty_space"
            )
        known = {spec.name: spec for spec in specs}
        check_params(specs, {name: spec.default for name, spec in known.items() if name in given})
        check_params(specs, dict.fromkeys(set(given) - set(known), 0))  # raises for an unknown name
        values = {name: _values(known[name], wanted) for name, wanted in given.items()}
        every = prod(len(tried) for tried in values.values())
        if whole and every > MAX_RUNS:
            sizes = " × ".join(str(len(tried)) for tried in values.values())
            raise InvalidInput(
                f"Balayage refusé : {sizes} = {every} combinaisons, {MAX_RUNS} au plus.",
                details={"runs": every, "limit": MAX_RUNS},
                code="too_many_runs",
            )
        return cls(values)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Space":
        return cls({name: tuple(tried) for name, tried in stored.items()})

    def as_json(self) -> dict[str, list[Value]]:
        return {name: list(tried) for name, tried in self.values.items()}

    def grid(self) -> list[dict[str, Value]]:
        """Return every combination, the last parameter varying fastest."""
        names = list(self.values)
        return [dict(zip(names, one, strict=True)) for one in itertools.product(*self.values.values())]


def _values(spec: ParamSpec, wanted: Any) -> tuple[Value, ...]:
    tried = _range(spec, wanted) if isinstance(wanted, Mapping) else wanted
    if not isinstance(tried, list | tuple) or not tried:
        raise InvalidInput(
            f"Balayage refusé : « {spec.name} » attend une liste de valeurs, ou « min », « max » et « step ».",
            details={"field": spec.name},
            code="invalid_space",
        )
    if len(tried) > MAX_RUNS:
        raise InvalidInput(
            f"Balayage refusé : {len(tried)} valeurs de « {spec.name} », {MAX_RUNS} au plus.",
            details={"field": spec.name},
            code="too_many_runs",
        )
    return tuple(dict.fromkeys(check_params([spec], {spec.name: value})[spec.name] for value in tried))


def _range(spec: ParamSpec, wanted: Mapping[str, Any]) -> list[Value]:
    """Return min, min + step … max, in the decimals that a person typed."""
    bounds = {"min": spec.minimum, "max": spec.maximum, "step": spec.step or 1, **wanted}
    try:
        low, high, step = (Decimal(str(bounds[name])) for name in ("min", "max", "step"))
    except ArithmeticError as exc:
        raise InvalidInput(
            f"Balayage refusé : bornes de « {spec.name} » illisibles.",
            details={"field": spec.name},
            code="invalid_space",
        ) from exc
    if spec.type not in (ParamType.INT, ParamType.FLOAT) or step <= 0 or high < low:
        raise InvalidInput(
            f"Balayage refusé : « {spec.name} » de {low} à {high} par pas de {step} est impossible.",
            details={"field": spec.name},
            code="invalid_space",
        )
    count = min(int((high - low) / step), MAX_RUNS) + 1
    whole = spec.type is ParamType.INT
    return [int(low + i * step) if whole else float(low + i * step) for i in range(count)]
