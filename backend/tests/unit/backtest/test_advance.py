"""A phase's progress never goes back, whatever its steps say."""

from apps.backtest.advance import Advance


def _shares(*said: float) -> list[float]:
    advance = Advance()
    return [round(advance.to(each), 4) for each in said]


def test_step_that_begins_again_fills_what_was_left() -> None:
    # The fast way came to 0.4 and failed; the exact one begins again: 0.4 + 0.6 x 0.5 = 0.7.
    assert _shares(0.2, 0.4, 0.0, 0.5, 1.0) == [0.2, 0.4, 0.4, 0.7, 1.0]


def test_measure_that_wavers_stays_where_it_was() -> None:
    assert _shares(0.5, 0.49, 0.5, 0.6) == [0.5, 0.5, 0.5, 0.6]


def test_second_start_goes_on_from_the_first_one() -> None:
    # 0.5, then 0.5 + 0.5 x 0.5 = 0.75, then 0.75 + 0.25 x 0.2 = 0.8.
    assert _shares(0.5, 0.0, 0.5, 0.0, 0.2) == [0.5, 0.5, 0.75, 0.75, 0.8]
