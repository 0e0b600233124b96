"""Who shares a child, and what happens to those whose shared child fails."""

import asyncio
from typing import Any

import pytest

from apps.trading_engine.alike import AlikeQuestions
from domain.errors import StrategyError, StrategyTimeout
from domain.strategies.contract import CandleWindow, Evaluation, EvaluationJob
from domain.strategies.replay import ReplayAnswer, ReplayJob
from tests.fakes.strategy_host import NOTHING, FakeStrategyHost, buy

WINDOW = CandleWindow([0], [1.0], [1.0], [1.0], [1.0], [1.0])


def question(code: str = "code", balance: float = 1.0, **params: Any) -> EvaluationJob:
    return EvaluationJob(code=code, candles=WINDOW, balance=balance, params=params)


async def ask(host: FakeStrategyHost, *asked: tuple[int, EvaluationJob]) -> list[Evaluation | BaseException]:
    questions = AlikeQuestions(host, timeout_s=5.0)
    coroutines = (questions.ask(job, user_id=user, window="w") for user, job in asked)
    return await asyncio.gather(*coroutines, return_exceptions=True)


async def test_bots_of_one_user_with_one_text_share_a_child() -> None:
    host = FakeStrategyHost()
    host.answers["code"] = buy(50.0)

    answers = await ask(host, *((1, question(balance=n)) for n in range(7)))

    assert answers == [buy(50.0)] * 7
    assert [[each.balance for each in job.questions] for job in host.shared] == [[0, 1, 2, 3, 4], [5, 6]]
    assert host.jobs == []


async def test_users_texts_and_parameters_are_never_mixed() -> None:
    host = FakeStrategyHost()

    answers = await ask(
        host, (1, question()), (2, question()), (1, question(code="other")), (1, question(length=3))
    )

    assert answers == [NOTHING] * 4
    assert (len(host.jobs), host.shared) == (4, [])


async def test_a_failure_in_a_shared_child_is_each_ones_own() -> None:
    host = FakeStrategyHost()
    host.answers["code"] = StrategyError("ligne 3", details={"line": 3})

    answers = await ask(host, (1, question()), (1, question()))

    assert [each.details for each in answers if isinstance(each, StrategyError)] == [{"line": 3}] * 2


async def test_only_the_one_that_fails_is_asked_alone() -> None:
    class Host(FakeStrategyHost):
        async def evaluate_alike(self, job: ReplayJob, *, timeout_s: float) -> list[ReplayAnswer]:
            return [ReplayAnswer(buy(10.0)), ReplayAnswer(None, "division par zéro")]

    host = Host()
    host.answers["code"] = StrategyError("division par zéro")

    first, second = await ask(host, (1, question(balance=1)), (1, question(balance=0)))

    assert (first, [job.balance for job in host.jobs]) == (buy(10.0), [0])
    assert isinstance(second, StrategyError)


async def test_a_text_too_slow_to_share_is_asked_alone_from_then_on() -> None:
    class Host(FakeStrategyHost):
        tried = 0

        async def evaluate_alike(self, job: ReplayJob, *, timeout_s: float) -> list[ReplayAnswer]:
            self.tried += 1
            raise StrategyTimeout("trop long")

    host = Host()
    questions = AlikeQuestions(host, timeout_s=5.0)
    for _ in range(2):
        pair = (questions.ask(question(), user_id=1, window="w") for _ in range(2))
        assert await asyncio.gather(*pair) == [NOTHING] * 2

    assert (host.tried, len(host.jobs)) == (1, 4)


async def test_one_caller_that_leaves_does_not_take_the_others_along() -> None:
    host = FakeStrategyHost()
    questions = AlikeQuestions(host, timeout_s=5.0)
    staying, leaving = (asyncio.create_task(questions.ask(question(), user_id=1, window="w")) for _ in range(2))
    await asyncio.sleep(0)

    leaving.cancel()

    assert await staying == NOTHING
    with pytest.raises(asyncio.CancelledError):
        await leaving
