"""Why a replayed decision differs, on candles of round numbers."""

from dataclasses import replace

import pytest

from domain.strategies.contract import CandleWindow, Evaluation, EvaluationJob, PositionView
from domain.strategies.parity import Seen, explain, part, read_seen, same_wish, seen_of

MINUTE_MS = 60_000
WINDOW = CandleWindow(
    open_time_ms=[0, MINUTE_MS, 2 * MINUTE_MS],
    open=[1.0, 2.0, 3.0],
    high=[2.0, 3.0, 4.0],
    low=[1.0, 2.0, 3.0],
    close=[2.0, 3.0, 3.5],
    volume=[10.0, 10.0, 10.0],
)
POSITION = PositionView("long", 0.5, 100.0, 0, 98.0, None, 1.5)
NOTHING = Evaluation(False, False, 0.0, 0.0, 0.0, 1.0)


@pytest.fixture
def seen() -> Seen:
    job = EvaluationJob(code="text", candles=WINDOW, balance=0.1, position=POSITION, params={"n": 3})
    return seen_of(job, source="simex:1", symbol="BTC/USDT", timeframe="1m")


def test_what_was_seen_comes_back_as_it_was_stored(seen: Seen) -> None:
    assert read_seen(seen.body()) == seen
    assert (seen.first_ms, seen.count, seen.last) == (0, 3, (3.0, 4.0, 3.0, 3.5, 10.0))
    assert read_seen(None) is read_seen({"v": 0}) is None


def test_the_time_it_took_is_no_difference() -> None:
    assert same_wish(NOTHING, replace(NOTHING, duration_ms=9.0))
    assert not same_wish(NOTHING, replace(NOTHING, stop_loss=0.02))


def test_windows_are_cut_by_their_opening_times() -> None:
    assert part(WINDOW, first_ms=MINUTE_MS, until_ms=3 * MINUTE_MS) == (1, 3)


@pytest.mark.parametrize(
    ("stored", "same_code", "missing", "cause", "words"),
    [
        (WINDOW, True, 0, "not_reproducible", "hasard"),
        (WINDOW, False, 0, "code_changed", "code actuel"),
        (WINDOW, True, 2, "candle_missing", "2 bougie(s)"),
        (
            replace(WINDOW, close=[2.0, 3.25, 3.5]),
            False,
            0,
            "candle_revised",
            "00:01 UTC révisée depuis : clôture 3 → 3,25",
        ),
        (replace(WINDOW, open=[0.5, 2.0, 3.0]), True, 0, "candle_revised", "plus ancienne"),
    ],
)
def test_the_likely_cause_is_the_most_telling(
    seen: Seen, stored: CandleWindow, same_code: bool, missing: int, cause: str, words: str
) -> None:
    known = {MINUTE_MS: (2.0, 3.0, 2.0, 3.0, 10.0), 2 * MINUTE_MS: seen.last}

    difference = explain(seen, stored, known=known, same_code=same_code, missing=missing)

    assert difference.cause == cause
    assert words in difference.explanation
