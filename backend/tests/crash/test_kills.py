"""Kills every service of a running instance at random moments; the exchange's own record is the judge.

`ARISTOBOT_KILLS` asks for more kills than the eight of the gate, `ARISTOBOT_SEED` for other moments.
"""

import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.caller import calling
from tests.system.instance import MARKS, Instance, wait_until
from tests.system.scenario import PROTECTED, RECORDING, Desk, assert_clean, cut_recording, data_folder, open_desk

KILLS = int(os.environ.get("ARISTOBOT_KILLS", "8"))
SEED = int(os.environ.get("ARISTOBOT_SEED", "20261122"))
BOTS = 3

pytestmark = [
    pytest.mark.crash,
    pytest.mark.timeout(300 + 45 * KILLS),
    pytest.mark.skipif(
        not (data_folder() / RECORDING).exists(),
        reason=f"the recording {RECORDING} is not in ../shared/data nor in ARISTOBOT_TEST_DATA",
    ),
]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    hours = 12 + KILLS  # at speed 60 one hour lasts a minute: longer than the kills take
    return cut_recording(tmp_path / "XRPETH.parquet", hours=hours)


@pytest.fixture
def desk(tmp_path: Path, recording: Path) -> Iterator[Desk]:
    instance = Instance(tmp_path / "instance", feed=f"trades:{recording}", speed="60")
    try:
        instance.start(timeout_s=240.0)
        yield open_desk(instance, bots=BOTS, code=PROTECTED, amount="1")
    finally:
        instance.stop()


def test_killed_services_lose_double_and_forget_nothing(desk: Desk, recording: Path) -> None:
    moments = random.Random(SEED)
    wait_until(lambda: desk.count("trades") >= BOTS, timeout_s=300, what="the bots trade")
    with calling(desk) as caller:
        for service in _victims(moments):
            _kill_and_recover(desk.instance, service, moments)
    caller.settle()
    called = assert_clean({"calls": caller.judge()})
    before = desk.count("bot_decisions WHERE status = 'decided'")
    wait_until(
        lambda: desk.count("bot_decisions WHERE status = 'decided'") > before + 3 * BOTS,
        timeout_s=120,
        what=lambda: f"the bots decide again after the last kill\n{desk.instance.tail()}",
    )
    desk.hold_still()
    wait_until(
        lambda: desk.judge_protection().differences == [],
        timeout_s=60,
        what=lambda: (
            f"what is open is protected once: {desk.judge_protection().differences}\n{desk.instance.tail()}"
        ),
    )
    assert desk.count("trades WHERE intent = 'protection'") > 0
    desk.stop_bots(sell=True)
    desk.wait_settled(timeout_s=120)
    assert desk.count("positions WHERE status <> 'closed'") == 0
    compared = assert_clean(desk.judge(recording))
    twice = desk.count("(SELECT 1 FROM bot_decisions GROUP BY bot_id, close_time HAVING count(*) > 1) AS d")
    assert twice == 0
    figures = f"compared: {compared}; {called}"
    print(f"\n{KILLS} kills (seed {SEED}); {figures}")  # noqa: T201 — the figures of the run


def _victims(moments: random.Random) -> list[str]:
    """Every service at least once, then whichever comes."""
    services = list(MARKS)
    victims = [*services, *(moments.choice(services) for _ in range(KILLS - len(services)))][:KILLS]
    moments.shuffle(victims)
    return victims


def _kill_and_recover(instance: Instance, service: str, moments: random.Random) -> None:
    threading.Event().wait(moments.uniform(0.2, 2.5))  # the random moment is the point of the test
    killed = instance.kill(service)
    wait_until(
        lambda: instance.pids(service) not in ([], [killed]),
        timeout_s=90,
        what=lambda: f"{service} is started again\n{instance.tail()}",
    )
    instance.wait_ready(timeout_s=120)
