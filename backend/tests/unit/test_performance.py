"""Figures of results, worked by hand."""

from datetime import date
from decimal import Decimal

from domain.performance import Drawdown, Tally, deepest_drawdown


def day(number: int) -> date:
    return date(2026, 1, number)


def test_tally_of_five_trades_by_hand() -> None:
    # +30, +20, −10, −15, 0: won 50 over two, lost 25 over two, one even.
    tally = Tally(5, 2, 2, Decimal(50), Decimal(-25))
    assert tally.net == 25
    assert tally.win_ratio == Decimal("0.4")
    assert tally.profit_factor == 2
    assert (tally.average_win, tally.average_loss) == (Decimal(25), Decimal("-12.5"))
    assert tally.expectancy == 5


def test_nothing_traded_leaves_every_quotient_undefined() -> None:
    tally = Tally()
    assert tally.net == 0
    assert [tally.win_ratio, tally.profit_factor, tally.average_win, tally.average_loss, tally.expectancy] == [
        None
    ] * 5


def test_without_a_loss_the_profit_factor_is_undefined_not_infinite() -> None:
    assert Tally(1, 1, 0, Decimal(9), Decimal(0)).profit_factor is None


def test_deepest_drawdown_is_from_the_peak_before_it() -> None:
    # Line: 10, 4, 12, 5, 7. Falls: 10→4 = 6, 12→5 = 7 from the 3rd to the 4th.
    results = [(day(1), 10), (day(2), -6), (day(3), 8), (day(4), -7), (day(5), 2)]
    found = deepest_drawdown([(when, Decimal(amount)) for when, amount in results])
    assert found == Drawdown(Decimal(7), day(3), day(4))
    assert found.day_count == 1


def test_a_first_loss_is_a_drawdown_from_zero() -> None:
    found = deepest_drawdown([(day(3), Decimal(-4)), (day(9), Decimal(-1))])
    assert found == Drawdown(Decimal(5), day(3), day(9))
    assert found.day_count == 6


def test_a_line_that_never_falls_has_no_drawdown() -> None:
    assert deepest_drawdown([(day(1), Decimal(1)), (day(2), Decimal(0))]).depth == 0
    assert deepest_drawdown([]) == Drawdown(Decimal(0))
