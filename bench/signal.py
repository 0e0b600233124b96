"""`bench signal`: from a signal to the order's arrival at the exchange, for 1 and 20 bots, beside a bare script.

The series (1 bare trader, 1 bot, 20 bare traders, 20 bots, 19 bots beside one that loops at two closes of four)
follow each other in rounds on one instance, never two at once, so that a change of the machine's load weighs on all
of them. Arrival
is the wall time that the exchange's own log gives the accepted order; departure is the signal's `sent_at`.
"""

import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import httpx

from bench import cpu, desk
from bench.bare import Task
from bench.figures import Outcome
from bench.series import LOOPED, MANY, RESTING, Series, outcome
from bench.strategy import CODE, LOOP, loops_at
from tests.system.instance import ROOT, Instance, wait_until
from tests.system.judge import query
from tests.system.trader import Trader

SYMBOL = "BTC/USDT"
USERS = ("dev", "dac", "lea", "max", "zoe")
WARM_UP = 3  # closes left out at the beginning of each series, on both sides
_TIMEOUT_S = 120.0
_LONGEST_CLOSE_S = 15.0  # wall time that one close may take before the bench gives up
_IN_FLIGHT = (
    "SELECT count(*) AS n FROM trades WHERE status IN ('pending', 'sending', 'unknown', 'open', 'partially_filled')"
)


@dataclass(slots=True)
class Floor:
    """The instance, its people, their bots and the bare script's accounts."""

    instance: Instance
    simex_url: str
    database_url: str
    bots: list[tuple[Trader, int]]
    accounts: list[dict[str, str]]
    looping: tuple[Trader, int]


def run(*, closes: int, rounds: int, speed: int) -> Outcome:
    """Measure.

    Args:
        closes: one-minute closes of each series and round, warm-up not counted; beside the loop as many at which
            it works, and as many at which it rests, up to a multiple of four in all.
        rounds: how many times the series follow each other.
        speed: market seconds per second; a close comes every 60 / speed seconds. Where twenty decisions take the
            machine longer than that, closes pile up and the figures are those of a queue.
    """
    series: dict[str, Series] = defaultdict(Series)
    with desk.instance(speed=speed) as instance:
        floor = open_floor(instance)
        for _ in range(rounds):
            for count in (1, MANY):
                idle = _run_bare(floor, count, closes, series[f"bare_{count}"])
                run_bots(floor, count, closes, series[f"bots_{count}"], idle=idle)
            with _loop(floor):  # the loop is the 20th: no more are allowed
                both = _fours(2 * closes)
                run_bots(floor, MANY - 1, both, series[RESTING], idle=idle, looped=series[LOOPED])
    return outcome(series, speed=speed)


def _fours(closes: int) -> int:
    """Return the next multiple of four: the loop works at two closes of four."""
    return -(-closes // 4) * 4


def open_floor(instance: Instance) -> Floor:
    """Make the people, their bots (suspended) and the bare script's accounts."""
    simex_url = instance.setting("SIMEX_URL")
    people = [_person(instance.url, name) for name in USERS]
    bots = [(person, _bot(person, number, CODE)) for number in range(MANY // len(people)) for person in people]
    looping = (people[-1], _bot(people[-1], MANY, LOOP))
    accounts = [httpx.post(f"{simex_url}/__sim/accounts", json={}, timeout=10.0).json() for _ in people]
    keys = [{"apiKey": each["api_key"], "secret": each["api_secret"]} for each in accounts]
    return Floor(instance, simex_url, instance.setting("DATABASE_URL"), bots, keys, looping)


def _person(url: str, name: str) -> Trader:
    person = Trader(url)
    if name in ("dev", "dac"):
        person.login(name)
    else:
        person.register(name)
    broker = person.simulateur()["id"]
    wait_until(
        lambda: any(row["symbol"] == SYMBOL for row in person.all("/api/symbols/", broker=broker)),
        timeout_s=_TIMEOUT_S,
        what="the markets are loaded",
    )
    return person


def _bot(person: Trader, number: int, code: str) -> int:
    strategy = person.post("/api/strategies/", name=f"Mesure {number}", description="", code=code, timeframe="1m")
    bot = person.start_bot(
        strategy=strategy["id"],
        broker=person.simulateur()["id"],
        symbol=SYMBOL,
        timeframe="1m",
        is_active=False,
    )
    return int(bot["id"])


@contextmanager
def _loop(floor: Floor) -> Iterator[None]:
    """Let the looping bot work at each close meanwhile."""
    person, bot = floor.looping
    person.post(f"/api/bots/{bot}/resume/")
    try:
        yield
    finally:
        person.post(f"/api/bots/{bot}/suspend/")


# bots


def run_bots(
    floor: Floor,
    count: int,
    closes: int,
    series: Series,
    *,
    idle: Mapping[str, float],
    looped: Series | None = None,
) -> None:
    """Let the first bots trade for a while, then add what they did to the series.

    Args:
        idle: CPU ms per second of each service while no bot trades.
        looped: where the closes at which the loop works go, if it is on.
    """
    newest = _newest_decision(floor)
    began, spent = time.monotonic(), cpu.spent_ms(floor.instance)
    chosen = floor.bots[:count]
    ids = [bot for _, bot in chosen]
    for person, bot in chosen:
        person.post(f"/api/bots/{bot}/resume/")
    wanted = (closes + WARM_UP) * count
    wait_until(
        lambda: len(_decisions(floor, newest, ids)) >= wanted,
        timeout_s=_TIMEOUT_S + _LONGEST_CLOSE_S * closes,
        what=lambda: f"{wanted} decisions of {count} bots\n{floor.instance.tail()}",
        period_s=2.0,  # each look costs PostgreSQL a connection
    )
    for person, bot in chosen:
        person.post(f"/api/bots/{bot}/suspend/")
    _wait_settled(floor)
    lasted_s = time.monotonic() - began
    for service, used in cpu.since(spent, cpu.spent_ms(floor.instance)).items():
        series.cpu_ms[service] += max(0.0, used - idle[service] * lasted_s)
    rows = _decisions(floor, newest, ids)
    series.decisions += sum(1 for row in rows if row["status"] != "missed")
    arrivals = _arrivals(floor)
    for bot in ids:
        mine = [row for row in rows if row["bot_id"] == bot]
        for row in mine[WARM_UP : WARM_UP + closes]:
            beside = looped is not None and loops_at(row["close_time"] - timedelta(minutes=1))
            (looped if looped is not None and beside else series).add(row, arrivals)


def _decisions(floor: Floor, after: int, bots: list[int]) -> list[dict[str, Any]]:
    return query(
        floor.database_url,
        "SELECT d.bot_id, d.status, d.close_time, t.client_order_id, d.details ->> 'duration_ms' AS evaluation_ms,"
        " (extract(epoch FROM d.sent_at) * 1000)::float AS sent_ms,"
        " (extract(epoch FROM d.created_at) * 1000)::float AS leased_ms,"
        " (extract(epoch FROM d.decided_at) * 1000)::float AS decided_ms,"
        " (extract(epoch FROM t.created_at) * 1000)::float AS written_ms,"
        " (extract(epoch FROM t.sending_at) * 1000)::float AS claimed_ms"
        " FROM bot_decisions d LEFT JOIN trades t ON t.id = d.trade_id"
        " WHERE d.id > %(after)s AND d.bot_id = ANY(%(bots)s) AND d.status <> 'leased' ORDER BY d.id",
        after=after,
        bots=bots,
    )


def _newest_decision(floor: Floor) -> int:
    found = query(floor.database_url, "SELECT coalesce(max(id), 0) AS id FROM bot_decisions")
    return int(found[0]["id"])


def _wait_settled(floor: Floor) -> None:
    wait_until(
        lambda: query(floor.database_url, _IN_FLIGHT)[0]["n"] == 0,
        timeout_s=_TIMEOUT_S,
        what=lambda: f"no order in flight\n{floor.instance.tail()}",
    )


def _arrivals(floor: Floor) -> dict[str, float]:
    """Return the wall time (ms) at which the exchange accepted each order, by client id."""
    wanted = {"method": "POST", "path": "/api/v3/order", "verdict": "accepted"}
    entries = httpx.get(f"{floor.simex_url}/__sim/log", params=wanted, timeout=30.0).json()
    return {each["client_order_id"]: float(each["wall_ms"]) for each in entries if each["path"] == "/api/v3/order"}


# the bare script


def _run_bare(floor: Floor, count: int, closes: int, series: Series) -> dict[str, float]:
    """Let the bare script trade for a while, then add what it did to the series.

    Returns:
        CPU ms per second of each service of the instance meanwhile: nobody trades there.
    """
    task = Task(
        simex_url=floor.simex_url,
        redis_url=floor.instance.setting("REDIS_URL"),
        symbol=SYMBOL,
        accounts=floor.accounts,
        traders=count,
        closes=closes + WARM_UP,
    )
    began, spent = time.monotonic(), cpu.spent_ms(floor.instance)
    answer = _ask_bare(task, timeout_s=_TIMEOUT_S + _LONGEST_CLOSE_S * closes)
    used = cpu.since(spent, cpu.spent_ms(floor.instance))
    lasted_s = time.monotonic() - began
    series.without_order += answer["skipped"]
    series.decisions += len(answer["sent"])
    series.cpu_ms["script"] += answer["cpu_ms"]
    arrivals = _arrivals(floor)
    for sent in answer["sent"]:
        if sent["close_number"] >= WARM_UP:
            series.latencies.append(arrivals[sent["client_order_id"]] - sent["sent_at_ms"])
    return {service: each / lasted_s for service, each in used.items()}


def _ask_bare(task: Task, *, timeout_s: float) -> dict[str, Any]:
    path = os.pathsep.join([str(ROOT / "backend"), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "bench.bare"],
        input=json.dumps(asdict(task)),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        timeout=timeout_s,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer
