"""`bench webhooks`: how fast calls are answered, 200 a second, terminal 3 stopped; and what becomes of them.

Calls leave at fixed instants whatever the answers do (a slow server does not slow its callers), each on a
connection of its own as TradingView's are; delays count from that instant. In the same seconds a bare client
commits one row of the same size on the same PostgreSQL: the least that "committed, then answered" can cost.
Terminal 3 then goes on, and every accepted call must be settled once.
"""

import asyncio
import json
import os
import signal
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import psycopg

from bench import desk
from bench.figures import Cell, Outcome, plain, ratio, spread, table
from tests.system.instance import Instance, wait_until
from tests.system.judge import query
from tests.system.trader import Trader

PER_SECOND = 200
GOAL_P99_MS = 20.0
WARM_UP = 50
ORDER_EACH = 100  # every so many calls one buys, the others cancel: what is measured is the calls, not the exchange
_FLOOR_EACH_S = 0.05
_PATIENCE_S = 240.0
_SETTLED = "SELECT count(*) AS n FROM webhooks WHERE processed AND reference::text = ANY(%(ids)s)"
_ORDERS = """
    SELECT count(*) AS orders, count(DISTINCT webhook_id) AS calls FROM trades
    WHERE webhook_id IS NOT NULL AND intent = 'entry'
"""


@dataclass(slots=True)
class Times:
    """Delays in ms, and the references of the calls that were accepted."""

    answers: list[float] = field(default_factory=list)
    commits: list[float] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    refused: int = 0


def run(*, calls: int) -> Outcome:
    """Measure.

    Args:
        calls: at 200 a second, warm-up not counted.
    """
    with desk.instance(speed=1) as instance:
        address = _source(instance)
        engine = instance.pids("trading_engine")[0]
        os.kill(engine, signal.SIGSTOP)
        try:
            times = asyncio.run(_measure(instance, address, calls))
        finally:
            os.kill(engine, signal.SIGCONT)
        began = time.monotonic()
        settled = _wait_settled(instance, times.accepted)
        orders = query(instance.setting("DATABASE_URL"), _ORDERS)[0]
        return outcome(times, drained_s=time.monotonic() - began, settled=settled, orders=orders)


def outcome(times: Times, *, drained_s: float, settled: int, orders: dict[str, int]) -> Outcome:
    """Sum up."""
    answers, commits = spread(times.answers), spread(times.commits)
    factor = ratio(answers, commits)
    rows: list[list[Cell]] = [
        ["appel → 202", answers.count, answers.p50, answers.p99, answers.highest],
        ["ligne validée, seule", commits.count, commits.p50, commits.p99, commits.highest],
        ["rapport", "", factor.p50, factor.p99, ""],
    ]
    verdict = "tenu" if answers.p99 < GOAL_P99_MS else "manqué"
    once = settled == len(times.accepted) and orders["orders"] == orders["calls"]
    text = "\n".join(
        [
            table(["ms, terminal 3 arrêté", "n", "p50", "p99", "max"], rows),
            "",
            f"objectif p99 < {GOAL_P99_MS:.0f} ms à {PER_SECOND} appels/s : {verdict}",
            f"acceptés {len(times.accepted)}, refusés {times.refused} ; traités une fois au retour du terminal 3 : "
            f"{settled} en {drained_s:.1f} s ({'exact' if once else 'FAUX'}), {orders['orders']} ordres",
        ]
    )
    figures = {
        "answers_ms": plain(answers),
        "commits_ms": plain(commits),
        "ratio": plain(factor),
        "accepted": len(times.accepted),
        "refused": times.refused,
        "settled": settled,
        "drained_s": round(drained_s, 1),
        "orders": orders,
    }
    return Outcome("webhooks", figures, text)


def _source(instance: Instance) -> str:
    person = Trader(instance.url)
    person.login("dev")
    broker = person.simulateur()["id"]
    wait_until(
        lambda: any(person.all("/api/symbols/", broker=broker)), timeout_s=_PATIENCE_S, what="markets loaded"
    )
    settings = {"rate_per_minute": 60_000, "max_age_s": 3600}
    made = person.post("/api/webhooks/sources/", name="bench", broker=broker, **settings)
    person.close()
    return str(made["url"])


async def _measure(instance: Instance, address: str, calls: int) -> Times:
    warm = Times()
    await _pour(address, warm, WARM_UP, first=-WARM_UP)
    times = Times(accepted=warm.accepted, refused=warm.refused)
    floor = asyncio.create_task(_commit(instance.setting("DATABASE_URL"), times))
    try:
        await _pour(address, times, calls, first=0)
    finally:
        floor.cancel()
        await asyncio.gather(floor, return_exceptions=True)
    return times


async def _pour(address: str, times: Times, count: int, *, first: int) -> None:
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for index in range(count):
            due = began + index / PER_SECOND
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            group.create_task(_call(address, times, first + index, due))


async def _call(address: str, times: Times, number: int, due: float) -> None:
    url = urlsplit(address)
    body = _body(number)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    lines = (
        f"POST {url.path} HTTP/1.1",
        f"Host: {url.netloc}",
        f"Content-Length: {len(body)}",
        "Connection: close",
    )
    writer.write("\r\n".join((*lines, "", "")).encode() + body)
    answer = await reader.read()
    times.answers.append((time.monotonic() - due) * 1000)
    writer.close()
    if b" 202 " in answer.split(b"\r\n", 1)[0]:
        times.accepted.append(json.loads(answer.split(b"\r\n\r\n", 1)[1])["id"])
    else:
        times.refused += 1


def _body(number: int) -> bytes:
    call = {"ticker": "BTCUSDT", "action": "cancel", "id": f"bench {number}", "comment": "x" * 150}
    if number % ORDER_EACH == 0:
        call |= {"action": "buy", "quote_amount": "10"}
    return json.dumps(call).encode()


async def _commit(database_url: str, times: Times) -> None:
    """Commit one row now and then, in the same seconds."""
    connection = await psycopg.AsyncConnection.connect(database_url, autocommit=True)
    async with connection:
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS bench_floor_hooks (id bigserial PRIMARY KEY, body text)"
        )
        while True:
            began = time.monotonic()
            await connection.execute("INSERT INTO bench_floor_hooks (body) VALUES (%s)", ["x" * 400])
            times.commits.append((time.monotonic() - began) * 1000)
            await asyncio.sleep(_FLOOR_EACH_S)


def _wait_settled(instance: Instance, references: list[str]) -> int:
    database_url = instance.setting("DATABASE_URL")

    def settled() -> int:
        return int(query(database_url, _SETTLED, ids=references)[0]["n"])

    wait_until(
        lambda: settled() == len(references),
        timeout_s=_PATIENCE_S,
        what=lambda: f"{settled()} settled",
        period_s=0.5,
    )
    return settled()
