"""Optuna chooses the combinations of a guided sweep, in this process: it sees values and scores, never user code.

The same sweep chooses the same combinations on every machine, whatever its pace: number N is chosen when exactly
those up to N - `LAG` have been told, in their order. So an interrupted search is taken up by choosing again from
the start with the scores that were kept, and the study itself needs no storage.
"""

import asyncio
import random
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from apps.backtest.services.search_space import Space
from apps.backtest.sweep_windows import Window
from apps.backtest.trials import Known, Place, Trial
from apps.market_data.services.candle_history import Queries
from domain.errors import Conflict
from domain.strategies.params import Value

if TYPE_CHECKING:
    import optuna

LAG = 8  # combinations under way at once, at most: more processors than that would wait
_CHANCE = 16  # combinations drawn by chance before the sampler has something to learn from
_ASKS = 10  # how often the sampler may propose what it has proposed already
_WORST = -1e12  # told for a combination without a score: the worst of all


class Study:
    """The search of one window. Blocking: Optuna takes some milliseconds a combination.

    Args:
        seed: draws the same combinations for the same scores.
    """

    def __init__(self, space: Space, *, seed: int) -> None:
        import optuna  # 0.4 s and 31 MB, which a terminal 3 without a guided sweep does not pay

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(
            seed=seed,
            n_startup_trials=_CHANCE,
            multivariate=True,
            constant_liar=True,
        )
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        self._failed = optuna.trial.TrialState.FAIL
        self._space = space
        self._chance = random.Random(seed)  # noqa: S311 — draws combinations, not secrets
        self._distributions = {name: _distribution(tried) for name, tried in space.values.items()}
        self._asked: list[optuna.trial.Trial] = []
        self._seen: set[tuple[int, ...]] = set()

    def ask(self) -> dict[str, Value]:
        """Return a combination that was not chosen before; the space has one left."""
        for _ in range(_ASKS):
            trial = self._study.ask(self._distributions)
            if self._place(trial) not in self._seen:
                return self._keep(trial)
            self._study.tell(trial, state=self._failed)  # known already: the sampler learns nothing from it
        self._study.enqueue_trial(self._untried())
        return self._keep(self._study.ask(self._distributions))

    def tell(self, number: int, score: float | None) -> None:
        """Say how good the combination of that number was."""
        self._study.tell(self._asked[number], _WORST if score is None else score)

    def _keep(self, trial: "optuna.trial.Trial") -> dict[str, Value]:
        self._asked.append(trial)
        self._seen.add(self._place(trial))
        return {name: tried[trial.params[name]] for name, tried in self._space.values.items()}

    def _untried(self) -> dict[str, int]:
        while True:
            drawn = {name: self._chance.randrange(len(tried)) for name, tried in self._space.values.items()}
            if tuple(drawn.values()) not in self._seen:
                return drawn

    def _place(self, trial: "optuna.trial.Trial") -> tuple[int, ...]:
        return tuple(trial.params[name] for name in self._space.values)


def _distribution(tried: tuple[Value, ...]) -> Any:
    """Return the places of a parameter's values: numbers in order, texts and yes/no without one."""
    import optuna

    if len(tried) > 1 and all(isinstance(value, int | float) and not isinstance(value, bool) for value in tried):
        return optuna.distributions.IntDistribution(0, len(tried) - 1)
    return optuna.distributions.CategoricalDistribution(tuple(range(len(tried))))


class GuidedTrials:
    """The combinations that a study of each window chooses.

    Args:
        runs: combinations of a window; no more than the space holds.
        known: those that were played before an interruption.
    """

    def __init__(
        self, space: Space, windows: Iterable[Window], known: Mapping[Place, Known], *, runs: int, queries: Queries
    ) -> None:
        self._space = space
        self._windows = list(windows)
        self._known = known
        self._runs = runs
        self._queries = queries
        self._turn = asyncio.Lock()
        self._news = asyncio.Event()
        self._scores: dict[Place, float | None] = {place: each.score for place, each in known.items()}
        self._study: Study | None = None
        self._asked = self._told = 0

    async def take(self) -> Trial | None:
        """Return the next combination, once those that it depends on have ended."""
        async with self._turn:
            while self._windows:
                while self._asked < self._runs:
                    trial = await self._choose(self._windows[0])
                    if trial.place not in self._known:
                        return trial
                    if dict(self._known[trial.place].params) != trial.params:
                        raise _chosen_otherwise(trial)
                self._windows.pop(0)
                self._study, self._asked, self._told = None, 0, 0
            return None

    async def ended(self, trial: Trial, score: float | None) -> None:
        self._scores[trial.place] = score
        self._news.set()

    async def _choose(self, window: Window) -> Trial:
        number = self._asked
        if self._study is None:
            self._study = await self._queries.run(Study, self._space, seed=window.number)
        while self._told <= number - LAG:
            await self._until_ended((window.number, self._told))
            await self._queries.run(self._study.tell, self._told, self._scores[window.number, self._told])
            self._told += 1
        params = await self._queries.run(self._study.ask)
        self._asked += 1
        return Trial(number, window, params)

    async def _until_ended(self, place: Place) -> None:
        while place not in self._scores:
            self._news.clear()
            await self._news.wait()


def _chosen_otherwise(trial: Trial) -> Conflict:
    return Conflict(
        f"Recherche guidée impossible à reprendre : l'essai {trial.number + 1} ne serait plus le même (Optuna a "
        "changé depuis). Ses essais restent visibles ; relancer une recherche.",
        code="search_changed",
    )
