"""Runs every attempt at once beside honest strategies: `python -m tests.escapes.assault` prints what happened.

A process of its own, because the tests run as root and this must also hold for an ordinary user.
"""

import asyncio
import json
import os
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from apps.core.adapters.strategy_host.host import SandboxedStrategyHost
from apps.strategies.examples.ema_cross import EMA_CROSS
from domain.errors import StrategyError, StrategyTimeout
from domain.strategies.contract import EvaluationJob
from domain.strategies.sample import sample_window
from tests.escapes.attempts import ALONE, ATTEMPTS, PREAMBLE

NEIGHBOURS = 20
BATCH = 10  # attempts made by one child, one after the other
# How an attempt may end besides answering False. Anything else (a slip in its body) would prove nothing.
_STOPPED = ("PermissionError", "OSError", "gaierror", "URLError", "ModuleNotFoundError", "can't start new thread")
_KILLED = ("signal SIGSYS", "signal SIGSEGV", "should_long() a renvoyé")
_NUISANCES = ("while True: pass", "import time\nwhile True: time.sleep(9)", "while True: print('x' * 100_000)")


@dataclass(slots=True)
class Report:
    """`not_stopped` names what got through, or ended otherwise than by a wall."""

    uid: int
    layers: dict[str, str]
    tried: int = 0
    not_stopped: list[str] = field(default_factory=list)
    loops_stopped: int = 0
    neighbours_answered: int = 0


def attempt(body: str, *, preamble: str = "") -> EvaluationJob:
    """Return a strategy that runs `body` when it is asked whether to buy."""
    method = textwrap.indent(textwrap.dedent(body), " " * 8)
    code = f"{preamble}class Hostile(Strategy):\n    def should_long(self):\n{method}"
    return EvaluationJob(code=code, candles=sample_window(60), balance=1000.0)


_RUN_BATCH = """
through, odd = [], []
for name, body in BODIES.items():
    try:
        if body() is True:
            through.append(name)
    except BaseException as exc:
        end = f"{type(exc).__name__}: {exc}"
        if not any(word in end for word in STOPPED):
            odd.append(f"{name}: {end}")
raise ValueError(f"BATCH {through} {odd}")
"""


def batch(attempts: Mapping[str, str]) -> EvaluationJob:
    """Return a strategy that makes several attempts and says in its error which were not stopped by a wall."""
    functions = [
        f"def attempt_{number}():\n{textwrap.indent(textwrap.dedent(body), '    ')}\n"
        for number, body in enumerate(attempts.values())
    ]
    bodies = ", ".join(f"{name!r}: attempt_{number}" for number, name in enumerate(attempts))
    table = f"STOPPED = {_STOPPED!r}\nBODIES = {{{bodies}}}\n"
    return attempt(_RUN_BATCH, preamble=PREAMBLE + "".join(functions) + table)


async def assault(host: SandboxedStrategyHost) -> Report:
    """Try everything at once, with three strategies that never end, and ask the neighbours meanwhile."""
    report = Report(uid=os.getuid(), layers=dict(host.layers()))
    async with asyncio.TaskGroup() as group:
        for body in _NUISANCES:
            group.create_task(_loop(host, body, report))
        for name in set(ATTEMPTS) & set(ALONE):
            group.create_task(_try_alone(host, name, report))
        others = [name for name in ATTEMPTS if name not in ALONE]
        for first in range(0, len(others), BATCH):
            attempts = {name: ATTEMPTS[name] for name in others[first : first + BATCH]}
            group.create_task(_try_batch(host, attempts, report))
        for _ in range(NEIGHBOURS):
            group.create_task(_neighbour(host, report))
    return report


async def _try_batch(host: SandboxedStrategyHost, attempts: Mapping[str, str], report: Report) -> None:
    try:
        await host.evaluate(batch(attempts), timeout_s=60.0)  # imports half of the library at the lowest priority
    except StrategyError as exc:
        if "BATCH [] []" not in exc.message:
            report.not_stopped.append(exc.message)
        report.tried += len(attempts)


async def _try_alone(host: SandboxedStrategyHost, name: str, report: Report) -> None:
    try:
        await host.evaluate(attempt(ATTEMPTS[name], preamble=PREAMBLE))
    except StrategyError as exc:
        report.tried += 1
        end = f"{exc.message} {exc.details.get('exception', '')}"
        if any(word in end for word in (*_STOPPED, *_KILLED)):
            return
        report.not_stopped.append(f"{name}: {end}")
    else:
        report.not_stopped.append(f"{name}: it got through")


async def _loop(host: SandboxedStrategyHost, body: str, report: Report) -> None:
    try:
        await host.evaluate(attempt(body), timeout_s=2.0)
    except StrategyTimeout:
        report.loops_stopped += 1


async def _neighbour(host: SandboxedStrategyHost, report: Report) -> None:
    """Raises StrategyTimeout when its answer does not come within the engine's own limit."""
    await host.evaluate(EvaluationJob(code=EMA_CROSS, candles=sample_window(500), balance=1000.0))
    report.neighbours_answered += 1


async def _main() -> None:
    host = SandboxedStrategyHost(spares=1)
    try:
        await host.start()
        report = await assault(host)
    finally:
        await host.close()
    sys.stdout.write(json.dumps(asdict(report)) + "\n")


if __name__ == "__main__":
    asyncio.run(_main())
