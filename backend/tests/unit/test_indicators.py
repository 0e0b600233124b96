"""The list of indicators the editor proposes is that of the installed library."""

import pandas_ta_classic as ta

from apps.strategies.indicators import describe, indicators


def test_stored_list_is_that_of_the_installed_library() -> None:
    assert indicators() == describe(ta), "run manage.py describe_indicators"


def test_known_indicators_are_described() -> None:
    by_name = {row["name"]: row for row in indicators()}
    assert len(by_name) == len(indicators()) > 150
    assert by_name["ema"]["arguments"][:2] == ["close", "length"]
    assert by_name["macd"]["columns"]
    assert not by_name["rsi"]["columns"]
