"""Compares some decisions of a bot with what the strategy answers now, asked the same questions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from apps.trading_engine.database import Database
from apps.trading_engine.models import ActiveStrategy
from apps.trading_engine.parity import book
from apps.trading_engine.parity.book import Found, Past
from domain.ports import StrategyHost
from domain.strategies.contract import CandleWindow
from domain.strategies.parity import Cause, Difference, Seen, explain, part, same_wish, wish
from domain.strategies.replay import ReplayAnswer, ReplayJob, ReplayQuestion, cut
from domain.strategies.window import candle_window
from domain.timeframes import Timeframe, to_ms


@dataclass(slots=True)
class Tally:
    """What a day has given so far. `known`: candles as they were seen at their close, by market."""

    checked: int = 0
    unverifiable: int = 0
    found: list[Found] = field(default_factory=list)
    known: dict[tuple[str, str, str], dict[int, tuple[float, ...]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Replayed:
    past: Past
    seen: Seen
    span: tuple[int, int]
    answer: ReplayAnswer | None  # None: its last candle is not stored


class Replayer:
    """Asks the sandbox, at the lowest priority."""

    def __init__(self, *, host: StrategyHost, database: Database) -> None:
        self._host = host
        self._database = database

    async def compare(self, bot: ActiveStrategy, pasts: Sequence[Past], tally: Tally) -> None:
        """Add some consecutive decisions of a bot to the tally. Raises as `StrategyHost.replay`."""
        known = [(past, past.seen) for past in pasts if past.seen is not None]
        tally.unverifiable += len(pasts) - len(known)
        for _, same in groupby(known, key=lambda each: _text_and_market(each[1])):
            await self._compare_alike(bot, list(same), tally)

    async def _compare_alike(self, bot: ActiveStrategy, alike: Sequence[tuple[Past, Seen]], tally: Tally) -> None:
        """Compare decisions of one market, made by the same text with the same parameters."""
        first = alike[0][1]
        seen_candles = tally.known.setdefault((first.source, first.symbol, first.timeframe), {})
        step_ms = Timeframe(first.timeframe).milliseconds
        for past, seen in alike:
            seen_candles[to_ms(past.close_time) - step_ms] = seen.last
        stored = candle_window(
            await self._database.run(
                book.stored_candles, [seen for _, seen in alike], until=alike[-1][0].close_time
            )
        )
        code, same_code = await self._database.run(book.text_of, bot, first.code)
        for replayed in await self._replay(code, alike, stored):
            tally.checked += 1
            if replayed.answer is None or not _agrees(replayed.past, replayed.answer):
                window = cut(stored, *replayed.span)
                difference = explain(
                    replayed.seen,
                    window,
                    known=seen_candles,
                    same_code=same_code,
                    missing=max(0, replayed.seen.count - len(window)),
                )
                tally.found.append(_found(replayed, difference))

    async def _replay(self, code: str, alike: Sequence[tuple[Past, Seen]], stored: CandleWindow) -> list[_Replayed]:
        spans = [part(stored, first_ms=seen.first_ms, until_ms=to_ms(past.close_time)) for past, seen in alike]
        asked = [_is_whole(stored, span, past, seen) for span, (past, seen) in zip(spans, alike, strict=True)]
        questions = [
            ReplayQuestion(*span, balance=seen.balance, position=seen.position)
            for span, (_, seen), is_asked in zip(spans, alike, asked, strict=True)
            if is_asked
        ]
        job = ReplayJob(code=code, params=alike[0][1].params, candles=stored, questions=questions)
        answers = iter(await self._host.replay(job) if questions else [])
        return [
            _Replayed(past, seen, span, next(answers) if is_asked else None)
            for span, (past, seen), is_asked in zip(spans, alike, asked, strict=True)
        ]


def _text_and_market(seen: Seen) -> tuple[Any, ...]:
    return seen.source, seen.symbol, seen.timeframe, seen.code, sorted(seen.params.items())


def _is_whole(stored: CandleWindow, span: tuple[int, int], past: Past, seen: Seen) -> bool:
    """Tell whether the candle whose close was decided upon is stored: without it there is no question."""
    start, stop = span
    opened = to_ms(past.close_time) - Timeframe(seen.timeframe).milliseconds
    return stop > start and stored.open_time_ms[stop - 1] == opened


def _agrees(past: Past, answer: ReplayAnswer) -> bool:
    return answer.evaluation is not None and same_wish(past.live, answer.evaluation)


def _found(replayed: _Replayed, difference: Difference) -> Found:
    answer = replayed.answer
    if answer is None:
        shown, cause = None, Cause.CANDLE_MISSING
    else:
        shown = {"error": answer.error} if answer.evaluation is None else wish(answer.evaluation)
        cause = difference.cause
    return Found(
        decision_id=replayed.past.decision_id,
        close_time=replayed.past.close_time,
        live=wish(replayed.past.live),
        replayed=shown,
        cause=cause.value,
        explanation=difference.explanation,
    )
