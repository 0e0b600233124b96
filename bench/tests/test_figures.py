"""The statistics of the benches: percentiles by nearest rank, ratios, the table."""

import json
import math

import pytest

from bench.__main__ import main
from bench.figures import Outcome, Spread, percentile, plain, ratio, spread, table
from bench.throughput import measure, walk_sample


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([7.0], 0.5, 7.0),
        ([3.0, 1.0, 2.0], 0.5, 2.0),  # rank ceil(1.5) = 2
        ([4.0, 3.0, 2.0, 1.0], 0.5, 2.0),  # rank 2 of 4, no interpolation
        ([float(n) for n in range(1, 101)], 0.99, 99.0),
        ([float(n) for n in range(1, 1001)], 0.99, 990.0),
        ([1.0, 2.0, 50.0], 0.99, 50.0),  # fewer than a hundred: the p99 is the highest
        ([1.0, 2.0], 1.0, 2.0),
    ],
)
def test_percentile_is_the_nearest_rank(values: list[float], share: float, expected: float) -> None:
    assert percentile(values, share) == expected


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 0.0), ([1.0], 1.5)])
def test_percentile_of_nothing_or_beyond_the_series_is_refused(values: list[float], share: float) -> None:
    with pytest.raises(ValueError, match=r"share|no value"):
        percentile(values, share)


def test_spread_does_not_depend_on_the_order() -> None:
    assert spread([30.0, 10.0, 20.0]) == Spread(count=3, p50=20.0, p99=30.0, highest=30.0)


def test_ratio_compares_each_end_with_its_own() -> None:
    found = ratio(Spread(9, p50=30.0, p99=90.0, highest=99.0), Spread(9, p50=10.0, p99=60.0, highest=70.0))
    assert (found.p50, found.p99) == (3.0, 1.5)


def test_ratio_to_nothing_is_infinite() -> None:
    assert ratio(Spread(1, 1.0, 1.0, 1.0), Spread(1, 0.0, 2.0, 2.0)).p50 == math.inf


def test_table_aligns_names_left_and_figures_right() -> None:
    shown = table(("Série", "p50"), [("1 bot", 3.14159), ("20 bots", 1234.5), ("vide", "")])
    assert shown.splitlines() == ["Série     p50", "1 bot    3.14", "20 bots  1234", "vide         "]


def test_outcome_in_json_is_one_line_a_program_reads(capsys: pytest.CaptureFixture[str]) -> None:
    figures = {"delay": plain(spread([1.23456, 2.0]))}
    Outcome("heartbeat", figures, "texte").write(as_json=True)
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    body = json.loads(line)
    assert (body["name"], body["figures"]["delay"]) == (
        "heartbeat",
        {"count": 2, "p50": 1.235, "p99": 2.0, "highest": 2.0},
    )


def test_throughput_counts_every_trade_and_its_candles() -> None:
    # 600 trades at 60 a minute last about ten minutes: at least 8 candles of 1m, 2 of 3m and 1 of 5m close.
    found = measure(walk_sample(600, per_minute=60), repeats=1)
    assert found.trades == 600
    assert 11 <= found.candles <= 40


@pytest.mark.parametrize("name", ["backtest", "gateway", "stats"])
def test_a_measure_to_come_says_so(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name]) == 2
    assert "n'existe pas encore" in capsys.readouterr().err
