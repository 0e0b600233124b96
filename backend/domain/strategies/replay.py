"""Asks a strategy again what it decided before, over stored candles (sandboxed child only)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.errors import StrategyError
from domain.strategies.contract import CandleWindow, Evaluation, PositionView
from domain.strategies.evaluate import evaluate
from domain.strategies.loader import load

MAX_QUESTIONS = 200  # in one job: its answers stay well under the bound of a reply


@dataclass(frozen=True, slots=True)
class ReplayQuestion:
    """One close: the candles [start, stop) of the job's window, with the money and the position of then."""

    start: int
    stop: int
    balance: float
    position: PositionView | None


@dataclass(frozen=True, slots=True)
class ReplayJob:
    """Closes of one bot with the same text and the same parameters; at most `MAX_QUESTIONS`."""

    code: str
    params: Mapping[str, Any]
    candles: CandleWindow
    questions: Sequence[ReplayQuestion]


@dataclass(frozen=True, slots=True)
class ReplayAnswer:
    """What the strategy wants, or the French message of its failure."""

    evaluation: Evaluation | None
    error: str = ""


def replay(job: ReplayJob, scope: Mapping[str, Any]) -> list[ReplayAnswer]:
    """Return one answer per question. The text is read anew for each, as live: nothing it keeps may help it.

    Raises:
        MemoryError: the code ate its memory.
    """
    return [_answer(job, question, scope) for question in job.questions]


def _answer(job: ReplayJob, question: ReplayQuestion, scope: Mapping[str, Any]) -> ReplayAnswer:
    try:
        strategy = load(job.code, scope)
        window = cut(job.candles, question.start, question.stop)
        return ReplayAnswer(
            evaluate(strategy, window, question.balance, question.position, job.params, code=job.code)
        )
    except StrategyError as exc:
        return ReplayAnswer(None, exc.message)


def cut(window: CandleWindow, start: int, stop: int) -> CandleWindow:
    """Return the candles [start, stop) of a window."""
    times = window.open_time_ms[start:stop]
    prices = (column[start:stop] for column in (window.open, window.high, window.low, window.close, window.volume))
    return CandleWindow(times, *prices)
