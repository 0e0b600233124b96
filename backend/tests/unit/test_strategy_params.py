"""What a strategy declares tunable, read from its text, and the values a user may choose."""

from typing import Any

import pytest

from domain.errors import InvalidInput
from domain.strategies.params import ParamSpec, ParamType, check_params, declared_params, defaults

CODE = """
class Mine(Strategy):
    STRATEGY_PARAMS = {
        "fast": {"default": 10, "min": 2, "max": 50, "step": 1, "type": "int", "label": "EMA rapide"},
        "stop": {"default": 0.02, "min": 0.0, "max": 0.1, "step": 0.005},
        "trail": {"default": True},
        "mode": {"default": "lent", "choices": ["lent", "vif"], "label": "Allure"},
    }
"""


def declare(body: str) -> str:
    return f"class Mine(Strategy):\n    STRATEGY_PARAMS = {body}\n"


def test_parameters_are_read_in_their_order_without_running_the_code() -> None:
    found = declared_params(CODE + "\nraise SystemExit\n")
    assert found.errors == ()
    assert [spec.name for spec in found.specs] == ["fast", "stop", "trail", "mode"]
    assert found.specs[0] == ParamSpec("fast", ParamType.INT, 10, "EMA rapide", 2, 50, 1)
    assert [spec.type.value for spec in found.specs] == ["int", "float", "bool", "choice"]
    assert found.specs[3].choices == ("lent", "vif")
    assert defaults(found.specs) == {"fast": 10, "stop": 0.02, "trail": True, "mode": "lent"}


def test_code_without_parameters_or_that_is_not_python_declares_none() -> None:
    assert declared_params("x = 1").specs == ()
    assert declared_params("class (").errors == ()


def test_annotated_or_module_level_declaration_counts_too() -> None:
    annotated = "class Mine(Strategy):\n    STRATEGY_PARAMS: dict = {'n': {'default': 3}}\n"
    assert declared_params(annotated).specs[0].default == 3
    assert declared_params("STRATEGY_PARAMS = {'n': {'default': 3}}\n").specs[0].type is ParamType.INT


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("dict(fast=1)", "valeurs simples"),
        ("[1, 2]", "dictionnaire"),
        ("{'a b': {'default': 1}}", "identifiant"),
        ("{'a': 3}", "default"),
        ("{'a': {'default': 1, 'maxi': 3}}", "« maxi » inconnue"),
        ("{'a': {'default': 1, 'type': 'entier'}}", "'entier' inconnu"),
        ("{'a': {'default': 'x'}}", "« type » manque"),
        ("{'a': {'default': 1.5, 'type': 'int'}}", "entier attendu, « 1.5 »"),
        ("{'a': {'default': 9, 'min': 10, 'max': 20}}", "9 hors de l'intervalle 10 à 20"),
        ("{'a': {'default': 9, 'min': 30, 'max': 20}}", "dépasse"),
        ("{'a': {'default': 0.03, 'step': 0.02}}", "pas 0,02"),
        ("{'a': {'default': 1, 'step': 0}}", "positif"),
        ("{'a': {'default': 'x', 'choices': []}}", "choices"),
        ("{'a': {'default': 'x', 'choices': ['y']}}", "« x » n'est pas un choix offert (y)"),
        ("{'a': {'default': 1e400}}", "nombre attendu"),
    ],
)
def test_unusable_declaration_is_said_with_its_line(body: str, words: str) -> None:
    found = declared_params(declare(body))
    assert found.specs == ()
    (error,) = found.errors
    assert words in error.message
    assert error.line == 2


def test_chosen_values_take_the_type_of_their_parameter() -> None:
    specs = declared_params(CODE).specs
    assert check_params(specs, {"fast": 12.0, "stop": 0.015}) == {"fast": 12, "stop": 0.015}
    assert isinstance(check_params(specs, {"fast": 12.0})["fast"], int)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"slow": 3}, "« slow » inconnu de cette stratégie (paramètres : fast, stop, trail, mode)"),
        ({"fast": 51}, "51 hors de l'intervalle 2 à 50"),
        ({"fast": 10.5}, "entier"),
        ({"fast": "10"}, "nombre attendu"),
        ({"fast": True}, "nombre attendu"),
        ({"fast": float("nan")}, "nombre attendu"),
        ({"stop": 0.0123}, "0,0123 n'est pas un multiple du pas 0,005"),
        ({"trail": 1}, "vrai ou faux"),
        ({"mode": "autre"}, "choix offert (lent, vif)"),
    ],
)
def test_value_that_does_not_fit_is_refused_with_its_name(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_params(declared_params(CODE).specs, given)
    assert words in refused.value.message
    assert refused.value.details["field"] == next(iter(given))
