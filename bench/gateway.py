"""`bench gateway`: what a balance costs through terminal 5 rather than by ccxt itself, and what terminals weigh.

Three calls take turns in one process, one at a time: a balance through the gateway (as terminals 1 and 3 ask
for it), the same call by ccxt directly on the same simulated exchange, and the least that two processes can
exchange by Redis streams (`bench.echo`). The overhead of the gateway is the difference of the first two; its
measure is the third.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from apps.core.adapters.clock import SystemClock
from apps.core.adapters.redis_connection import connect
from apps.core.adapters.redis_requests import RedisRequestBus
from apps.core.services.ccxt_client import CcxtClient
from bench import desk, memory
from bench.bare import plain_client
from bench.echo import Echo
from bench.figures import Cell, Outcome, plain, spread, table
from bench.memory import Weight
from tests.system.instance import ROOT, Instance, wait_until
from tests.system.judge import query
from tests.system.trader import Trader

WARM_UP = 30
SPEED = 12  # weights of the simulated exchange are multiplied by it; its market stays quiet enough
GOAL_ROUND_TRIPS = 4.0
GOAL_TOTAL_MB, GOAL_WEB_MB = 600, 150
_PATIENCE_S = 60.0
_BROKER = "SELECT brokers.id, user_id FROM brokers JOIN users ON users.id = user_id WHERE username = 'dev'"


@dataclass(slots=True)
class Times:
    """Durations in ms, call by call."""

    gateway: list[float] = field(default_factory=list)
    direct: list[float] = field(default_factory=list)
    redis: list[float] = field(default_factory=list)


def run(*, calls: int) -> Outcome:
    """Measure.

    Args:
        calls: of each of the three kinds, warm-up not counted.
    """
    with desk.instance(speed=SPEED) as instance:
        for name in ("dev", "dac"):
            _enter(instance, name)
        echo = _start_echo(instance)
        try:
            times = asyncio.run(_take_turns(instance, calls))
        finally:
            echo.kill()
            echo.wait()
        weights = memory.weigh(instance)
    return outcome(times, weights)


def _enter(instance: Instance, name: str) -> None:
    """Sign in and wait for the markets, as a person would before anything else."""
    person = Trader(instance.url)
    person.login(name)
    broker = person.simulateur()["id"]
    symbols = "/api/symbols/"
    wait_until(lambda: any(person.all(symbols, broker=broker)), timeout_s=_PATIENCE_S, what="markets loaded")
    person.close()


def _start_echo(instance: Instance) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "bench.echo", instance.setting("REDIS_URL")]
    return subprocess.Popen(command, cwd=ROOT)


async def _take_turns(instance: Instance, calls: int) -> Times:
    clock = SystemClock()
    redis = connect(instance.setting("REDIS_URL"))
    client = CcxtClient(RedisRequestBus(redis, clock=clock), clock=clock)
    direct = plain_client(instance.setting("SIMEX_URL"), _new_account(instance))
    await direct.load_markets()
    echo = Echo(redis)
    broker = query(instance.setting("DATABASE_URL"), _BROKER)[0]
    times = Times()

    async def ask_gateway() -> None:
        await client.balance(broker["id"], user_id=broker["user_id"])

    turns: list[tuple[Callable[[], Awaitable[Any]], list[float]]] = [
        (ask_gateway, times.gateway),
        (direct.fetch_balance, times.direct),
        (echo.round_trip, times.redis),
    ]
    try:
        for number in range(calls + WARM_UP):
            for call, series in turns:
                began = time.perf_counter()
                await call()
                if number >= WARM_UP:
                    series.append((time.perf_counter() - began) * 1000)
            turns.append(turns.pop(0))  # nobody always comes after the same neighbour
    finally:
        await direct.close()
        await client.close()
        await redis.aclose()
    return times


def _new_account(instance: Instance) -> dict[str, str]:
    made = httpx.post(f"{instance.setting('SIMEX_URL')}/__sim/accounts", json={}, timeout=10.0).json()
    return {"apiKey": made["api_key"], "secret": made["api_secret"]}


def outcome(times: Times, weights: list[Weight]) -> Outcome:
    """Compare the three kinds of calls and sum up the terminals."""
    gateway, direct, redis = spread(times.gateway), spread(times.direct), spread(times.redis)
    overhead = {"p50": gateway.p50 - direct.p50, "p99": gateway.p99 - direct.p99}
    trips = {"p50": overhead["p50"] / redis.p50, "p99": overhead["p99"] / redis.p99}
    terminals = [each for each in weights if each.is_terminal]
    total_mb = sum(each.pss_mb for each in terminals)
    web_mb = sum(each.pss_mb for each in terminals if each.name == "web")
    figures: dict[str, Any] = {
        "gateway_ms": plain(gateway),
        "direct_ms": plain(direct),
        "redis_round_trip_ms": plain(redis),
        "overhead_ms": {name: round(value, 3) for name, value in overhead.items()},
        "overhead_round_trips": {name: round(value, 2) for name, value in trips.items()},
        "memory_mb": {each.name: {"pss": each.pss_mb, "rss": each.rss_mb} for each in weights},
        "terminals_pss_mb": round(total_mb, 1),
        "goals": {
            "overhead": trips["p50"] <= GOAL_ROUND_TRIPS,
            "terminals": total_mb < GOAL_TOTAL_MB,
            "web": web_mb < GOAL_WEB_MB,
        },
    }
    series = (("par le service CCXT", gateway), ("par ccxt directement", direct), ("aller-retour Redis", redis))
    rows: list[tuple[Cell, ...]] = [(name, s.count, s.p50, s.p99, s.highest) for name, s in series]
    rows.append(("surcoût", "", overhead["p50"], overhead["p99"], ""))
    rows.append(("surcoût, en allers-retours Redis", "", trips["p50"], trips["p99"], ""))
    return Outcome("gateway", figures, _text(rows, weights, total_mb, web_mb))


def _text(rows: list[tuple[Cell, ...]], weights: list[Weight], total_mb: float, web_mb: float) -> str:
    shown: list[tuple[Cell, ...]] = [(each.name, each.processes, each.pss_mb, each.rss_mb) for each in weights]
    shown.append(("les quatre terminaux", "", total_mb, ""))
    return "\n\n".join(
        (
            table(("Solde (ms)", "n", "p50", "p99", "max"), rows),
            f"Objectif : surcoût au plus {GOAL_ROUND_TRIPS:g} allers-retours Redis au p50.",
            table(("Mémoire (Mo)", "processus", "PSS", "RSS"), shown),
            f"Objectifs : les quatre terminaux sous {GOAL_TOTAL_MB} Mo ({total_mb:.0f}), "
            f"le serveur web sous {GOAL_WEB_MB} Mo ({web_mb:.0f}).",
        )
    )
