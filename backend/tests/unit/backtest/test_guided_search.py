"""Optuna's choices: repeatable, never twice the same, and taken up where they were interrupted."""

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import ParamSpec, TypeVar

import pytest

from apps.backtest.guided_search import LAG, GuidedTrials
from apps.backtest.services.search_space import Space
from apps.backtest.sweep_windows import Part, Window
from apps.backtest.trials import Known, Place
from domain.errors import Conflict
from domain.strategies.params import Value

P = ParamSpec("P")
R = TypeVar("R")

WINDOWS = [Window(number, Part(0, 70), Part(70, 100)) for number in range(2)]
SPACE = Space({"fast": tuple(range(50)), "stop": tuple(step / 100 for step in range(40)), "mode": ("a", "b")})


class _Here:
    """`Queries` without a thread."""

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return function(*args, **kwargs)


def _score(params: Mapping[str, Value]) -> float | None:
    """Best at fast 30, stop 0.1, mode b; undefined where fast is under 5."""
    fast, stop = float(params["fast"]), float(params.get("stop", 0.1))
    return None if fast < 5 else -abs(fast - 30) / 50 - abs(stop - 0.1) - (params["mode"] == "a")


async def _search(
    space: Space = SPACE,
    *,
    runs: int,
    workers: int,
    known: Mapping[Place, Known] | None = None,
    stop_at: int = 10**6,
) -> dict[Place, Known]:
    """Play a search with some workers, of which the later ones are the slower."""
    trials = GuidedTrials(space, WINDOWS, known or {}, runs=runs, queries=_Here())
    played: dict[Place, Known] = dict(known or {})

    async def work(pause: int) -> None:
        while len(played) < stop_at and (trial := await trials.take()) is not None:
            for _ in range(pause):
                await asyncio.sleep(0)
            played[trial.place] = Known(trial.params, _score(trial.params))
            await trials.ended(trial, _score(trial.params))

    async with asyncio.TaskGroup() as group:
        for number in range(workers):
            group.create_task(work(3 * number))
    return played


def test_search_chooses_the_same_whatever_the_number_of_workers_and_their_pace() -> None:
    alone = asyncio.run(_search(runs=30, workers=1))
    many = asyncio.run(_search(runs=30, workers=LAG))
    assert {place: each.params for place, each in alone.items()} == {
        place: each.params for place, each in many.items()
    }
    assert len(alone) == 60  # two windows
    assert len({tuple(each.params.values()) for (window, _), each in alone.items() if window == 0}) == 30


def test_search_comes_nearer_than_chance() -> None:
    played = asyncio.run(_search(runs=60, workers=2))
    draw = random.Random(0)
    drawn = [{name: draw.choice(tried) for name, tried in SPACE.values.items()} for _ in range(60)]
    by_chance = max(score for params in drawn if (score := _score(params)) is not None)
    best = max(each.score for (window, _), each in played.items() if window == 0 and each.score is not None)
    assert best > by_chance


def test_interrupted_search_goes_on_as_if_it_had_not_been() -> None:
    whole = asyncio.run(_search(runs=24, workers=2))
    part = asyncio.run(_search(runs=24, workers=2, stop_at=13))
    assert asyncio.run(_search(runs=24, workers=2, known=part)) == whole


def test_small_space_is_played_whole_and_once() -> None:
    small = Space({"fast": (1, 7, 30), "mode": ("a", "b")})
    played = asyncio.run(_search(small, runs=small.runs, workers=2))
    chosen = [tuple(each.params.values()) for (window, _), each in played.items() if window == 0]
    assert sorted(chosen) == [(1, "a"), (1, "b"), (7, "a"), (7, "b"), (30, "a"), (30, "b")]


def test_search_that_would_choose_otherwise_says_so() -> None:
    other = {(0, 3): Known({"fast": -1, "stop": 0.0, "mode": "a"}, 1.0)}
    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(_search(runs=10, workers=1, known=other))
    assert isinstance(raised.value.exceptions[0], Conflict)
