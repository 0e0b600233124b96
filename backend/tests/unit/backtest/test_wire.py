"""What the host takes of a worker that is not trusted."""

import json
from typing import Any

import numpy as np
import pytest

from apps.core.adapters.strategy_host import backtest_wire as wire
from apps.core.adapters.strategy_host import plain_values
from apps.core.adapters.strategy_host.protocol import BadReply
from domain.backtest.contract import CandleSeries, Coverage, Hole
from domain.backtest.thinning import kept_points, thin_candles

TRADE = (
    '{"number":1,"entry_time":0,"exit_time":60000,"quantity":"1","entry_price":"2.5","exit_price":"3",'
    '"fees":"0","profit":"-0.5","profit_ratio":"-0.2","balance":"9","reason":"signal","ambiguous":false}'
)


def test_trades_are_taken_as_they_are_written() -> None:
    assert json.loads("[" + wire.check_trades(f"{TRADE},{TRADE}".encode()) + "]")[1]["profit"] == "-0.5"


@pytest.mark.parametrize(
    "text",
    ["", TRADE + "]", TRADE.replace("2.5", "NaN"), TRADE.replace("signal", "x"), TRADE.replace(":1,", ":1e9,")],
)
def test_anything_else_among_trades_is_refused(text: str) -> None:
    with pytest.raises(BadReply):
        wire.check_trades(text.encode())


@pytest.mark.parametrize("line", [[1.0, float("nan")], [1.0], [1.0, 2.0, 3.0]])
def test_equity_must_be_one_finite_number_for_each_candle(line: list[float]) -> None:
    with pytest.raises(BadReply):
        wire.read_equity(np.asarray(line, dtype="<f8").tobytes(), expected=2)


def test_dataclasses_come_back_as_they_were() -> None:
    coverage = Coverage(0.5, 1, 2, 1, (Hole(0, 60_000, 1),))
    assert plain_values.read(Coverage, json.loads(json.dumps(plain_values.plain(coverage)))) == coverage


@pytest.mark.parametrize("change", [{"ratio": "1"}, {"ratio": float("inf")}, {"present": 1.5}, {"holes": [1]}])
def test_field_of_another_type_is_refused(change: dict[str, object]) -> None:
    body = {**plain_values.plain(Coverage(0.5, 1, 2, 0, ())), **change}
    with pytest.raises(BadReply):
        plain_values.read(Coverage, body)


def test_thinned_curve_keeps_its_ends_its_peak_and_its_trough() -> None:
    curve = np.sin(np.arange(100_000) / 7.0)
    curve[51_234], curve[77_777] = 5.0, -5.0
    kept = kept_points(curve, at_most=200)
    assert len(kept) <= 200
    assert {0, 51_234, 77_777, 99_999} <= set(kept.tolist())


def test_thinned_candles_are_merged_on_multiples_of_their_length() -> None:
    times: Any = np.arange(3, 9) * 60_000
    price: Any = np.asarray([1, 2, 3, 4, 5, 6], dtype=float)
    series = CandleSeries(60_000, times, price, price, price, price, np.ones(6))
    thin = thin_candles(series, at_most=3)
    assert thin["candle_ms"] == 120_000
    assert thin["candles"] == [
        [120_000, 1, 1, 1, 1, 1],
        [240_000, 2, 3, 2, 3, 2],
        [360_000, 4, 5, 4, 5, 2],
        [480_000, 6, 6, 6, 6, 1],
    ]
