"""The statistics of the benches: percentiles by nearest rank, ratios, the table."""

import json
import math

import pytest

from bench.figures import Outcome, Spread, percentile, plain, ratio, spread, table
from bench.series import Series, outcome
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


def _row(**changes: object) -> dict[str, object]:
    moments = {
        "sent_ms": 1000.0,
        "leased_ms": 1004.0,
        "decided_ms": 1030.0,
        "written_ms": 1035.0,
        "claimed_ms": 1050.0,
    }
    return {"status": "decided", "client_order_id": "a", "evaluation_ms": "2.5", **moments, **changes}


def test_a_decision_adds_its_latency_and_each_step() -> None:
    series = Series()
    series.add(_row(), {"a": 1060.0})
    assert series.latencies == [60.0]
    assert series.steps == [[4.0], [26.0], [5.0], [15.0], [10.0]]
    assert series.evaluations == [2.5]


@pytest.mark.parametrize(
    ("changes", "without_order", "missed"),
    [({"client_order_id": None}, 1, 0), ({"client_order_id": "never sent"}, 1, 0), ({"status": "missed"}, 0, 1)],
)
def test_a_decision_without_order_is_counted_apart(
    changes: dict[str, object], without_order: int, missed: int
) -> None:
    series = Series()
    series.add(_row(**changes), {"a": 1060.0})
    assert (series.latencies, series.without_order, series.missed) == ([], without_order, missed)


def test_outcome_compares_bots_with_bare_scripts() -> None:
    series = {
        name: Series(latencies=[ms], cpu_ms={"x": ms}, decisions=2)
        for name, ms in (("bots_1", 60.0), ("bots_20", 300.0), ("bots_20_loop", 330.0), ("bots_20_rest", 300.0))
    }
    for each in series.values():
        each.add(_row(), {"a": 1000.0 + each.latencies[0]})
    for name, ms in (("bare_1", 20.0), ("bare_20", 100.0)):
        series[name] = Series(latencies=[ms], cpu_ms={"script": ms}, decisions=4)
    figures = outcome(series, speed=12).figures
    assert figures["ratios"]["1_bot_to_1_bare"] == {"p50": 3.0, "p99": 3.0}
    assert figures["ratios"]["20_bots_to_1_bot"]["p50"] == 5.0
    assert figures["ratios"]["20_bots_beside_a_loop"] == {"p50": 1.1, "p99": 1.1}
    assert figures["cpu_ratios"] == {1: 6.0, 20: 6.0}  # 30 ms a decision against 5, 150 against 25
    assert figures["seconds_between_closes"] == 5.0
