"""`bench backtest --beside-live`: do two users' backtests slow the bots down?

The bots of `bench signal` trade on one instance, alone and then beside two users who launch one backtest after the
other, in turns, so that a change of the machine's load weighs on both. Goal: p99 grows by less than a fifth.
"""

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from bench import backtest_service, desk, signal
from bench.backtest_child import CODE
from bench.backtest_service import Bench
from bench.figures import Outcome, Spread, plain, ratio, spread, table
from bench.series import Series

GOAL = 1.2
PLAYERS = ("dev", "dac")
_PAUSE_S = 0.2


def run(*, bars: int, closes: int, rounds: int, speed: int, bots: int) -> Outcome:
    """Measure.

    Args:
        bars: candles of each backtest.
        closes: one-minute closes of each series and round; `rounds` of both series.
        speed: market seconds per second.
        bots: how many trade.
    """
    alone, beside = Series(), Series()
    played: list[float] = []
    with desk.instance(speed=speed) as instance:
        floor = signal.open_floor(instance)
        benches = [backtest_service.open_bench(instance, name) for name in PLAYERS]
        backtest_service.fill(benches[0], bars)
        strategies = [bench.strategy("Backtest à côté", CODE) for bench in benches]
        idle: defaultdict[str, float] = defaultdict(float)
        players = list(zip(benches, strategies, strict=True))
        turns = []
        for number in range(2 * rounds):
            is_beside = number % 4 in (1, 2)  # alone, beside, beside, alone: a drift of the machine weighs on both
            seen, latest = (beside, len(beside.latencies)) if is_beside else (alone, len(alone.latencies))
            with _playing(players if is_beside else [], bars, played):
                signal.run_bots(floor, bots, closes, seen, idle=idle)
            turns.append((is_beside, spread(seen.latencies[latest:])))
    return _outcome(alone, beside, turns, played, bars=bars, bots=bots)


@contextmanager
def _playing(players: list[tuple[Bench, int]], bars: int, played: list[float]) -> Iterator[None]:
    """Let each player launch backtests one after the other meanwhile."""
    stop = threading.Event()
    threads = [
        threading.Thread(target=_play, args=(bench, strategy, bars, played, stop)) for bench, strategy in players
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _play(bench: Bench, strategy: int, bars: int, played: list[float], stop: threading.Event) -> None:
    while not stop.is_set():
        made = bench.person.post("/api/backtests/", **bench.body(strategy, bars))
        while not stop.wait(_PAUSE_S):
            row = bench.person.get(f"/api/backtests/{made['id']}/")
            if row["status"] in ("done", "failed"):
                played.append(row["engine"]["total_s"] if row["status"] == "done" else float("nan"))
                break
        else:
            bench.person.post(f"/api/backtests/{made['id']}/cancel/")


def _outcome(
    alone: Series, beside: Series, turns: list[tuple[bool, Spread]], played: list[float], *, bars: int, bots: int
) -> Outcome:
    first, second = spread(alone.latencies), spread(beside.latencies)
    growth = ratio(second, first)
    rows = [("seuls", first.count, first.p50, first.p99), ("à côté de deux", second.count, second.p50, second.p99)]
    rows += [("  à côté" if is_beside else "  seuls", one.count, one.p50, one.p99) for is_beside, one in turns]
    text = (
        f"{bots} bots, du signal à l'ordre (ms) ; deux utilisateurs lancent des backtests de {bars} bougies, "
        f"{len(played)} terminés.\n\n{table(('', 'ordres', 'p50', 'p99'), rows)}\n\n"
        f"Rapport : p50 {growth.p50:.2f}, p99 {growth.p99:.2f} (but {GOAL:g})."
    )
    figures = {
        "alone_ms": plain(first),
        "beside_ms": plain(second),
        "ratio": plain(growth),
        "turns": [{"beside": is_beside, **plain(one)} for is_beside, one in turns],
        "backtests": len(played),
        "missed": {"alone": alone.missed, "beside": beside.missed},
        "goal": growth.p99 < GOAL,
    }
    return Outcome("backtest --beside-live", figures, text)
