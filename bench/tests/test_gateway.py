"""What `bench gateway` makes of its measures."""

from bench.gateway import Times, outcome
from bench.memory import Weight, parse_rollup


def test_overhead_is_the_difference_counted_in_round_trips() -> None:
    times = Times(gateway=[9.0, 10.0, 30.0], direct=[3.0, 4.0, 12.0], redis=[1.0, 2.0, 3.0])
    weights = [
        Weight("web", 1, 120.0, 150.0, True),
        Weight("ccxt_service", 1, 200.0, 240.0, True),
        Weight("trading_engine, ses enfants", 3, 90.0, 400.0),
    ]
    figures = outcome(times, weights).figures
    assert figures["overhead_ms"] == {"p50": 6.0, "p99": 18.0}  # 10 - 4, 30 - 12
    assert figures["overhead_round_trips"] == {"p50": 3.0, "p99": 6.0}  # of 2 and of 3 ms
    assert figures["terminals_pss_mb"] == 320.0  # the children are none of it
    assert figures["goals"] == {"overhead": True, "terminals": True, "web": True}


def test_missed_goals_are_told() -> None:
    times = Times(gateway=[20.0], direct=[4.0], redis=[2.0])
    figures = outcome(
        times, [Weight("web", 1, 151.0, 160.0, True), Weight("heartbeat", 1, 450.0, 460.0, True)]
    ).figures
    assert figures["goals"] == {"overhead": False, "terminals": False, "web": False}


def test_rollup_counts_megabytes() -> None:
    lines = [
        "55d-7ff ---p 00000000 00:00 0    [rollup]",
        "Rss:              153600 kB",
        "Pss:    2048 kB",
        "Locked: 0 kB",
    ]
    assert parse_rollup(lines) == {"Rss": 150.0, "Pss": 2.0, "Locked": 0.0}
