"""A strategy host without a sandbox: each code has the answer the test gave it."""

import asyncio
from collections import defaultdict
from collections.abc import Callable

from domain.backtest.quick_contract import QuickTestJob, QuickTestResult
from domain.errors import StrategyTimeout
from domain.strategies.contract import Evaluation, EvaluationJob, Validation
from domain.strategies.replay import ReplayAnswer, ReplayJob

NOTHING = Evaluation(
    should_long=False, should_short=False, position_size=0.0, stop_loss=0.0, take_profit=0.0, duration_ms=1.0
)
SELL = Evaluation(
    should_long=False, should_short=True, position_size=0.0, stop_loss=0.0, take_profit=0.0, duration_ms=1.0
)


def buy(amount: float, *, stop_loss: float = 0.0, take_profit: float = 0.0) -> Evaluation:
    """Return the answer « buy for `amount` quote »."""
    return Evaluation(
        should_long=True,
        should_short=False,
        position_size=amount,
        stop_loss=stop_loss,
        take_profit=take_profit,
        duration_ms=1.0,
    )


class FakeStrategyHost:
    """The `StrategyHost` port. A code in `loops` answers only once its event is set."""

    def __init__(self) -> None:
        self.answers: dict[str, Evaluation | Exception] = defaultdict(lambda: NOTHING)
        self.loops: dict[str, asyncio.Event] = {}
        self.jobs: list[EvaluationJob] = []
        self.shared: list[ReplayJob] = []

    @property
    def asked(self) -> int:
        """How many questions came, alone or together."""
        return len(self.jobs) + sum(len(job.questions) for job in self.shared)

    async def evaluate(self, job: EvaluationJob, *, timeout_s: float = 5.0) -> Evaluation:
        self.jobs.append(job)
        if job.code in self.loops:
            await self.loops[job.code].wait()
        answer = self.answers[job.code]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def validate(self, code: str) -> Validation:
        return Validation(valid=True, class_name="Fake", errors=())

    async def quick_test(
        self, job: QuickTestJob, *, progress: Callable[[float], None] = lambda ratio: None
    ) -> QuickTestResult:
        raise NotImplementedError

    async def evaluate_alike(self, job: ReplayJob, *, timeout_s: float) -> list[ReplayAnswer]:
        """Answer as `evaluate` does, in one child; a loop takes too long for it."""
        self.shared.append(job)
        if job.code in self.loops:
            raise StrategyTimeout("trop long ensemble")
        answer = self.answers[job.code]
        if isinstance(answer, Exception):
            return [ReplayAnswer(None, str(answer))] * len(job.questions)
        return [ReplayAnswer(answer)] * len(job.questions)

    async def replay(self, job: ReplayJob, *, timeout_s: float = 60.0) -> list[ReplayAnswer]:
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing runs outside the test's process."""
