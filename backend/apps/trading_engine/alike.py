"""Lets one child answer for the bots of one user that run the same text on the same candles.

Never for two users: what shares a process may read its neighbour. Nothing is decided by a shared child but
clean answers: whoever fails in it, or with it, is asked again alone, with his own limits and his own error.
"""

import asyncio
import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import structlog

from domain.errors import StrategyError
from domain.ports import StrategyHost
from domain.strategies.contract import Evaluation, EvaluationJob
from domain.strategies.replay import ReplayJob, ReplayQuestion

log = structlog.get_logger(__name__)

MOST = 5  # questions of one child: they are answered one after the other
_TOGETHER_S = 1.0  # for all of them; a text that needs longer is asked alone from then on


@dataclass(frozen=True, slots=True)
class _Waiting:
    question: EvaluationJob
    answer: "asyncio.Future[Evaluation]"


class AlikeQuestions:
    """Gathers the questions that arrive in the same turn of the loop.

    Args:
        timeout_s: wall-clock limit of one question asked alone.
    """

    def __init__(self, host: StrategyHost, *, timeout_s: float) -> None:
        self._host = host
        self._timeout_s = timeout_s
        self._gathering: dict[Hashable, list[_Waiting]] = {}
        self._slow: set[tuple[int, int]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, question: EvaluationJob, *, user_id: int, window: Hashable) -> Evaluation:
        """Return the strategy's answer; raises as `StrategyHost.evaluate`.

        Args:
            window: names the candles of the question: same name, same candles.
        """
        if (user_id, hash(question.code)) in self._slow:
            return await self._host.evaluate(question, timeout_s=self._timeout_s)
        loop = asyncio.get_running_loop()
        key = (user_id, question.code, json.dumps(dict(question.params), sort_keys=True), window)
        if key not in self._gathering:
            self._gathering[key] = []
            loop.call_soon(self._leave, key, user_id)
        waiting = _Waiting(question, loop.create_future())
        self._gathering[key].append(waiting)
        return await waiting.answer

    def _leave(self, key: Hashable, user_id: int) -> None:
        waiting = self._gathering.pop(key)
        for start in range(0, len(waiting), MOST):
            task = asyncio.get_running_loop().create_task(self._answer(waiting[start : start + MOST], user_id))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, waiting: Sequence[_Waiting], user_id: int) -> None:
        found = await self._together(waiting, user_id) if len(waiting) > 1 else [None] * len(waiting)
        for each, evaluation in zip(waiting, found, strict=True):
            if evaluation is not None and not each.answer.done():
                each.answer.set_result(evaluation)
        alone = (self._alone(each) for each, evaluation in zip(waiting, found, strict=True) if evaluation is None)
        await asyncio.gather(*alone)

    async def _together(self, waiting: Sequence[_Waiting], user_id: int) -> Sequence[Evaluation | None]:
        """Return the answers of one child; None for each that has to be asked alone."""
        first = waiting[0].question
        count = len(first.candles)
        questions = [ReplayQuestion(0, count, each.question.balance, each.question.position) for each in waiting]
        job = ReplayJob(code=first.code, params=first.params, candles=first.candles, questions=questions)
        try:
            answers = await self._host.evaluate_alike(job, timeout_s=_TOGETHER_S)
        except StrategyError as exc:
            self._slow.add((user_id, hash(first.code)))
            log.warning("engine.asked_alone", user_id=user_id, bots=len(waiting), reason=exc.message)
        except Exception as exc:  # noqa: BLE001 — the sandbox's own trouble: each meets it by itself
            log.warning("engine.asked_alone", user_id=user_id, bots=len(waiting), reason=repr(exc))
        else:
            return [answer.evaluation for answer in answers]
        return [None] * len(waiting)

    async def _alone(self, waiting: _Waiting) -> None:
        if waiting.answer.done():  # nobody waits for it any more
            return
        try:
            evaluation = await self._host.evaluate(waiting.question, timeout_s=self._timeout_s)
        except Exception as exc:  # noqa: BLE001 — handed to the one who asked
            if not waiting.answer.done():
                waiting.answer.set_exception(exc)
        else:
            if not waiting.answer.done():
                waiting.answer.set_result(evaluation)
