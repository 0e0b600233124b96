"""Which combinations and which candles a sweep plays."""

import pytest

from apps.backtest.services.search_space import Space
from apps.backtest.sweep_windows import Part, windows_of
from domain.errors import InvalidInput
from domain.strategies.params import declared_params

SPECS = declared_params(
    """
STRATEGY_PARAMS = {
    "fast": {"default": 10, "min": 2, "max": 50, "step": 1, "type": "int"},
    "stop": {"default": 0.02, "min": 0.0, "max": 0.5, "step": 0.01, "type": "float"},
}
"""
).specs


def test_ranges_and_lists_make_every_combination_in_order() -> None:
    space = Space.read(SPECS, {"fast": {"min": 5, "max": 15, "step": 5}, "stop": [0.01, 0.03]})
    assert space.runs == 6
    assert space.grid()[:3] == [{"fast": 5, "stop": 0.01}, {"fast": 5, "stop": 0.03}, {"fast": 10, "stop": 0.01}]
    assert Space.from_json(space.as_json()).grid() == space.grid()


def test_decimal_steps_are_those_that_were_typed() -> None:
    space = Space.read(SPECS, {"stop": {"min": 0.1, "max": 0.3, "step": 0.1}})
    assert space.values["stop"] == (0.1, 0.2, 0.3)


@pytest.mark.parametrize(
    ("space", "code"),
    [
        ({}, "empty_space"),
        ({"slow": [1]}, "unknown_param"),
        ({"fast": []}, "invalid_space"),
        ({"fast": [60]}, "invalid_param"),
        ({"fast": {"min": 9, "max": 5}}, "invalid_space"),
        ({"fast": {"min": 2, "max": 50}, "stop": {"min": 0, "max": 0.2}}, "too_many_runs"),  # 49 x 21 = 1029
    ],
)
def test_impossible_space_is_refused(space: dict[str, object], code: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Space.read(SPECS, space)
    assert refused.value.error_code == code


def test_walk_forward_windows_follow_each_other_up_to_the_last_candle() -> None:
    # 1000 candles, 2 windows, 0.75: shown = 1000 / (2 + 3) = 200, ranking = 1000 - 400 = 600.
    first, second = windows_of(500, 1500, windows=2, ratio=0.75)
    assert (first.in_sample, first.out_of_sample) == (Part(500, 1100), Part(1100, 1300))
    assert (second.in_sample, second.out_of_sample) == (Part(700, 1300), Part(1300, 1500))
    assert first.in_sample.with_warm_up(500) == ((0, 1100), 500)
    assert second.out_of_sample.with_warm_up(500) == ((800, 1500), 500)


def test_too_few_candles_are_refused() -> None:
    with pytest.raises(InvalidInput, match="au moins 20"):
        windows_of(0, 60, windows=3, ratio=0.7)
