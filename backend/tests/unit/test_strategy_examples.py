"""The library of worked examples: each is valid, decides both ways, and obeys its parameters."""

import sys
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pandas_ta_classic as ta
import pytest

from apps.strategies.examples import EXAMPLES, Example
from domain.strategies.contract import CandleWindow
from domain.strategies.evaluate import evaluate
from domain.strategies.loader import load
from domain.strategies.params import declared_params
from domain.strategies.validate import validate
from domain.timeframes import Timeframe

SCOPE = {"pd": pd, "np": np, "ta": ta}
WINDOW = 300
TUNABLE = [example for example in EXAMPLES if declared_params(example.code).specs]


@pytest.fixture(autouse=True)
def _pandas_ta_by_its_usual_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas_ta", ta)


def named(example: Example) -> str:
    return example.name


def market(timeframe: str, count: int = 560) -> CandleWindow:
    """A seeded market with waves, so that trends, ranges and breakouts all occur."""
    random = np.random.default_rng(11)
    steps = np.arange(count)
    waves = 0.03 * np.sin(steps / 9) + 0.4 * np.sin(steps / 90)
    closes = 100 * np.exp(np.cumsum(random.normal(0, 0.004, count)) + waves)
    opens = np.concatenate(([100.0], closes[:-1]))
    spread = np.abs(random.normal(0, 0.002, count)) * closes
    highs, lows = np.maximum(opens, closes) + spread, np.minimum(opens, closes) - spread
    step_ms = int(Timeframe(timeframe).duration.total_seconds() * 1000)
    times = [1_577_836_800_000 + int(i) * step_ms for i in steps]
    columns = (opens, highs, lows, closes, np.full(count, 3.0))
    return CandleWindow(times, *(column.tolist() for column in columns))


def up_to(candles: CandleWindow, end: int) -> CandleWindow:
    names = ("open_time_ms", "open", "high", "low", "close", "volume")
    return CandleWindow(*(getattr(candles, name)[max(0, end - WINDOW) : end] for name in names))


@cache
def decisions(example: Example, **params: Any) -> list[tuple[bool, bool]]:
    candles = market(example.timeframe)
    strategy = load(example.code, SCOPE)
    answers = [evaluate(strategy, up_to(candles, end), 1000.0, None, params) for end in range(WINDOW, 520)]
    return [(answer.should_long, answer.should_short) for answer in answers]


@pytest.mark.parametrize("example", EXAMPLES, ids=named)
def test_example_passes_the_check_that_a_users_code_must_pass(example: Example) -> None:
    verdict = validate(example.code, SCOPE)
    assert verdict.errors == ()
    assert verdict.valid


@pytest.mark.parametrize("example", EXAMPLES, ids=named)
def test_example_buys_and_sells_but_not_always(example: Example) -> None:
    answers = decisions(example)
    buys, sells = (sum(answer[side] for answer in answers) for side in (0, 1))
    assert 0 < buys < len(answers) / 2
    assert 0 < sells < len(answers)


@pytest.mark.parametrize("example", TUNABLE, ids=named)
def test_first_parameter_changes_the_decisions(example: Example) -> None:
    first = declared_params(example.code).specs[0]
    assert first.maximum is not None
    assert decisions(example) != decisions(example, **{first.name: first.maximum})


def test_every_example_but_the_specifications_is_tunable() -> None:
    assert len(TUNABLE) == len(EXAMPLES) - 1
    assert {"part", "stop", "objectif"} <= {spec.name for spec in declared_params(TUNABLE[0].code).specs}


def test_chosen_size_and_stops_reach_the_decision() -> None:
    strategy = load(EXAMPLES[4].code, SCOPE)
    candles = up_to(market("1h"), 500)
    found = evaluate(strategy, candles, 1000.0, None, {"part": 0.5, "stop": 0.03}, ask_all=True)
    assert (found.position_size, found.stop_loss, found.take_profit) == (500.0, 0.03, 0.04)
