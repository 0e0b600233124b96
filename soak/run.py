"""One run: a desk at work, disturbed by a plan, then left to settle and judged."""

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psycopg
from websockets.exceptions import WebSocketException

from launcher.screen import counted
from soak.desk import open_soak_desk
from soak.judging import judges
from soak.memory import Scale
from soak.plan import Event, Plan
from soak.report import Report
from tests.system.caller import Caller, calling
from tests.system.hand import Hand, trading_by_hand
from tests.system.instance import Instance, wait_while_it_moves
from tests.system.scenario import LIVE, Desk

Say = Callable[[str], None]
_SAMPLE_S = 5.0
_TOLD_S = 60.0
_BACK_S = 120.0
_STANDSTILL_S = 120.0
_FAILURES = (AssertionError, OSError, httpx.HTTPError, psycopg.Error, WebSocketException)


def soak(plan: Plan, *, folder: Path | None, say: Say) -> Report:
    """Run a plan and return what was found.

    Args:
        folder: empty, of the instance, kept afterwards; None takes a temporary one.
        say: told the progress, in French.
    """
    report = Report(plan)
    say(f"Endurance : graine {plan.seed}, {plan.hours:g} h de marché, {plan.wall_s / 60:.1f} min d'échanges.")
    with _instance(plan, folder) as instance:
        instance.start(timeout_s=300.0)
        desk = open_soak_desk(instance)
        scale = Scale()
        try:
            caller = _trade(desk, plan, report, scale, say)
            say("Fautes et arrêts terminés : les ordres se règlent, puis tout est comparé à l'échange.")
            _settle(desk, caller, report)
            _judge(desk, caller, report)
        except _FAILURES as error:
            report.failures.append(_told(error))
        report.curves = scale.curves(speed=plan.speed)
    return report


@contextmanager
def _instance(plan: Plan, folder: Path | None) -> Iterator[Instance]:
    home = folder or Path(tempfile.mkdtemp(prefix="aristobot-soak-"))
    instance = Instance(home / "data", feed="walk", speed=str(plan.speed))
    try:
        yield instance
    finally:
        instance.stop()
        if folder is None:
            shutil.rmtree(home, ignore_errors=True)


def _trade(desk: Desk, plan: Plan, report: Report, scale: Scale, say: Say) -> Caller:
    with ExitStack() as stack:
        caller = stack.enter_context(calling(desk))
        hand = stack.enter_context(trading_by_hand(desk, seed=plan.seed))
        _disturb(desk, plan, report, scale, say)
        desk.instance.wait_ready(timeout_s=_BACK_S)
    report.done = _done(desk, caller, hand)
    return caller


def _disturb(desk: Desk, plan: Plan, report: Report, scale: Scale, say: Say) -> None:
    """Go through the plan's events on the wall clock, weighing and telling in between."""
    clock, pause = time.monotonic(), threading.Event()
    events = list(plan.events())
    sampled = told = 0.0
    while (now := time.monotonic() - clock) < plan.wall_s:
        while events and events[0].after_s <= now:
            _apply(desk, events.pop(0), report)
        if now - sampled >= _SAMPLE_S:
            sampled = now
            scale.weigh(desk.instance, now)
        if now - told >= _TOLD_S:
            told = now
            say(
                f"  {100 * now / plan.wall_s:3.0f} % : {desk.instance.url}, "
                f"{counted(sum(report.kills.values()), 'arrêt')}, {counted(sum(report.faults.values()), 'faute')}"
            )
        pause.wait(min(0.5, max(0.0, plan.wall_s - now)))


def _apply(desk: Desk, event: Event, report: Report) -> None:
    if event.kill:
        if desk.instance.pids(event.kill):  # it may still be down from the kill before
            desk.instance.kill(event.kill)
            report.kills[event.kill] += 1
        return
    fault = dict(event.fault or {})
    try:
        httpx.post(f"{desk.simex_url}/__sim/faults", json=fault, timeout=5.0).raise_for_status()
        report.faults[str(fault["kind"])] += 1
    except httpx.TransportError:
        return  # the exchange itself is being restarted


def _settle(desk: Desk, caller: Caller, report: Report) -> None:
    """End the trouble and the trading, and wait until nothing is in flight; what cannot settle is a failure."""
    steps: tuple[Callable[[], object], ...] = (
        lambda: httpx.delete(f"{desk.simex_url}/__sim/faults", timeout=10.0).raise_for_status(),
        caller.settle,
        lambda: desk.stop_bots(sell=True),
        Hand(desk, seed=0).leave_everything,
        lambda: _wait_for_none(desk, f"trades WHERE {LIVE}", "ordres en vol"),
        lambda: _wait_for_none(desk, "positions WHERE status = 'closing'", "positions en fermeture"),
    )
    for step in steps:
        try:
            step()
        except _FAILURES as error:
            report.failures.append(_told(error))


def _wait_for_none(desk: Desk, rows: str, name: str) -> None:
    wait_while_it_moves(
        lambda: desk.count(rows) == 0,
        progress=lambda: desk.count(rows),
        standstill_s=_STANDSTILL_S,
        what=lambda: f"{desk.count(rows)} {name}\n{desk.instance.tail()}",
    )


def _judge(desk: Desk, caller: Caller, report: Report) -> None:
    """Compare whatever can be compared, whether or not everything settled."""
    for name, judge in {"appels": caller.judge, **judges(desk)}.items():
        try:
            report.verdicts[name] = judge()
        except _FAILURES as error:
            report.failures.append(f"{name} : {_told(error)}")


def _told(error: Exception) -> str:
    return f"{type(error).__name__} : {error}"


def _done(desk: Desk, caller: Caller, hand: Hand) -> dict[str, int]:
    return {
        "webhooks acceptés": len(caller.accepted),
        "webhooks retenus (file pleine)": caller.held_back,
        "ordres manuels promis": hand.placed,
        "ordres": desk.count("trades"),
        "exécutions": desk.count("fills"),
        "décisions": desk.count("bot_decisions"),
        "bougies": desk.count("candles_heartbeat"),
    }
