"""Ordered start, readiness, restarts, stops: with small programs instead of the real services."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from launcher.errors import LauncherError
from launcher.processes import become_subreaper
from launcher.screen import Screen
from launcher.supervisor import Service, Supervisor, next_backoff
from launcher.tests.processes import SLEEP, is_running, kill_quietly, python, read_pids, until, with_grandchild


def service(tmp_path: Path, code: str = SLEEP, **changes: Any) -> Service:
    options: dict[str, Any] = {"name": "one", "label": "Un", "command": python(code), "cwd": tmp_path}
    return Service(**{**options, **changes})


@pytest_asyncio.fixture
async def supervisor(tmp_path: Path) -> AsyncIterator[Supervisor]:
    become_subreaper()
    running = Supervisor(Screen(), tmp_path / "logs")
    yield running
    await running.stop_all()


@pytest.mark.parametrize(
    ("previous_s", "ready_for_s", "expected_s"),
    [
        (0.0, 0.0, 0.25),  # the first failure
        (0.25, 0.0, 0.5),  # it fails again at once: doubled
        (0.5, 9.9, 1.0),  # ready, but not long enough to count as a success
        (8.0, 0.0, 15.0),  # the most
        (15.0, 0.0, 15.0),
        (15.0, 10.0, 0.25),  # a restart that succeeded resets the back-off
    ],
)
def test_backoff_doubles_until_a_restart_succeeds(previous_s: float, ready_for_s: float, expected_s: float) -> None:
    assert next_backoff(previous_s, ready_for_s, stable_after_s=10.0) == expected_s


async def test_start_returns_only_once_the_service_is_ready(supervisor: Supervisor, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    code = f"import time; open({str(flag)!r}, 'w'); time.sleep(600)"
    await asyncio.wait_for(supervisor.start(service(tmp_path, code, ready=lambda _: flag.exists())), 20)
    assert flag.exists()


async def test_second_service_starts_after_the_first_is_ready(supervisor: Supervisor, tmp_path: Path) -> None:
    order = tmp_path / "order"

    def append(name: str) -> str:
        return f"open({str(order)!r}, 'a').write('{name} '); {SLEEP}"

    def wrote(name: str) -> bool:
        return order.exists() and name in order.read_text()

    await supervisor.start(service(tmp_path, append("first"), ready=lambda _: wrote("first")))
    await supervisor.start(service(tmp_path, append("second"), name="two", ready=lambda _: wrote("second")))
    assert order.read_text() == "first second "


async def test_readiness_is_asked_of_the_running_process(supervisor: Supervisor, tmp_path: Path) -> None:
    asked: list[int] = []

    def ready(pid: int) -> bool:
        asked.append(pid)
        return True

    await supervisor.start(service(tmp_path, ready=ready))
    assert asked == list(supervisor.pids().values())


async def test_killed_service_is_restarted(supervisor: Supervisor, tmp_path: Path) -> None:
    await supervisor.start(service(tmp_path))
    before = supervisor.pids()["one"]
    os.kill(before, signal.SIGKILL)
    await until(lambda: supervisor.pids().get("one", before) != before)
    assert supervisor.restarts() == {"one": 1}


async def test_killed_service_leaves_no_orphan_before_its_restart(supervisor: Supervisor, tmp_path: Path) -> None:
    pid_file = tmp_path / "pids"
    await supervisor.start(service(tmp_path, with_grandchild(pid_file), ready=lambda _: pid_file.exists()))
    parent, grandchild = read_pids(pid_file)
    assert is_running(grandchild)
    pid_file.unlink()
    os.kill(parent, signal.SIGKILL)
    await until(pid_file.exists)
    assert not is_running(grandchild)


async def test_prepare_runs_before_each_start(supervisor: Supervisor, tmp_path: Path) -> None:
    prepared: list[float] = []
    await supervisor.start(service(tmp_path, prepare=lambda: prepared.append(time.monotonic())))
    os.kill(supervisor.pids()["one"], signal.SIGKILL)
    await until(lambda: len(prepared) == 2)


async def test_service_that_never_starts_is_reported_with_its_last_words(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    broken = service(tmp_path, "import sys; sys.exit('no module named x')", ready=lambda _: False)
    with pytest.raises(LauncherError, match=r"Un ne démarre pas : arrêt immédiat \(code 1\)") as caught:
        await asyncio.wait_for(supervisor.start(broken), 20)
    assert "no module named x" in caught.value.message


async def test_disk_full_at_start_has_its_own_exit_code(supervisor: Supervisor, tmp_path: Path) -> None:
    broken = service(tmp_path, "import sys; sys.exit('No space left on device')", ready=lambda _: False)
    with pytest.raises(LauncherError, match="disque plein") as caught:
        await asyncio.wait_for(supervisor.start(broken), 20)
    assert caught.value.exit_code == 4


async def test_service_that_never_answers_is_reported_after_its_timeout(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    mute = service(tmp_path, ready=lambda _: False, start_timeout_s=0.3)
    with pytest.raises(LauncherError, match="pas de réponse en 0 s"):
        await asyncio.wait_for(supervisor.start(mute), 20)
    assert supervisor.living() == set()


async def test_failed_preparation_is_reported_as_it_is(supervisor: Supervisor, tmp_path: Path) -> None:
    def refuse() -> None:
        raise LauncherError("base d'une autre version", 7)

    with pytest.raises(LauncherError, match="base d'une autre version"):
        await asyncio.wait_for(supervisor.start(service(tmp_path, prepare=refuse)), 20)


async def test_stop_sends_each_service_its_own_signal_higher_tiers_first(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    order = tmp_path / "order"

    def on(signal_name: str) -> str:
        return (
            "import signal, sys, time\n"
            f"def stop(n, _): open({str(order)!r}, 'a').write(signal.Signals(n).name + ' '); sys.exit()\n"
            f"signal.signal(signal.{signal_name}, stop)\n"
            f"open({str(tmp_path)!r} + '/{signal_name}', 'w')\n"
            "time.sleep(600)\n"
        )

    for name, tier in (("SIGINT", 0), ("SIGTERM", 2)):
        await supervisor.start(
            service(
                tmp_path,
                on(name),
                name=name,
                tier=tier,
                stop_signal=signal.Signals[name],
                ready=lambda _, name=name: (tmp_path / name).exists(),
            )
        )
    await asyncio.wait_for(supervisor.stop_all(), 20)
    assert order.read_text() == "SIGTERM SIGINT "
    assert supervisor.living() == set()


async def test_service_that_ignores_its_signal_is_killed(supervisor: Supervisor, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    deaf = f"import signal; signal.signal(15, signal.SIG_IGN); open({str(flag)!r}, 'w'); {SLEEP}"
    await supervisor.start(service(tmp_path, deaf, ready=lambda _: flag.exists(), stop_timeout_s=0.2))
    pid = supervisor.pids()["one"]
    await asyncio.wait_for(supervisor.stop_all(), 20)
    assert not is_running(pid)


async def test_output_goes_to_a_log_file_line_by_line(supervisor: Supervisor, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "one.log"
    await supervisor.start(service(tmp_path, f"print('x' * 200_000 + '\\nlast', flush=True); {SLEEP}"))
    await until(lambda: log.exists() and "last" in log.read_text())
    first, last = [line.split(" ", 1)[1] for line in log.read_text().splitlines()]
    assert (first, last) == ("x" * 200_000, "last")


async def test_stop_during_a_backoff_returns_at_once(supervisor: Supervisor, tmp_path: Path) -> None:
    await supervisor.start(service(tmp_path, stable_after_s=0.0))
    pid = supervisor.pids()["one"]
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not is_running(pid))
    await asyncio.wait_for(supervisor.stop_all(), 5)
    assert supervisor.living() == set()


GUARDED = """
import asyncio, os, signal, sys
from pathlib import Path
from launcher.processes import become_subreaper
from launcher.screen import Screen
from launcher.supervisor import Service, Supervisor
async def main():
    become_subreaper()
    folder = Path(sys.argv[1])
    supervisor = Supervisor(Screen(), folder / "logs")
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, supervisor.stopping.set)
    await supervisor.start(Service(name="s", label="S", cwd=folder, command=[sys.executable, "-c", sys.argv[2]]))
    (folder / "supervisor").write_text(str(os.getpid()))
    await supervisor.stopping.wait()
    await supervisor.stop_all()
    (folder / "stopped").write_text("")
asyncio.run(main())
"""


class Guarded:
    """A guardian, its supervisor, a service and the service's own child."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.service, self.grandchild = read_pids(folder / "pids")
        self.supervisor = read_pids(folder / "supervisor")[0]

    @property
    def pids(self) -> tuple[int, int, int]:
        return self.supervisor, self.service, self.grandchild

    async def all_gone(self) -> None:
        await until(lambda: not any(map(is_running, self.pids)))


@pytest_asyncio.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Guarded]:
    inner = [sys.executable, "-c", GUARDED, str(tmp_path), with_grandchild(tmp_path / "pids")]
    outer = (
        f"import os, sys; from launcher.guardian import run_guarded; sys.exit(run_guarded({inner!r}, os.environ))"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = await asyncio.create_subprocess_exec(*python(outer), env=env)
    group = await asyncio.to_thread(Guarded, process, tmp_path)
    yield group
    for pid in (process.pid, *group.pids):
        kill_quietly(pid)
    await process.wait()


async def test_ctrl_c_stops_everything_and_exits_cleanly(guarded: Guarded) -> None:
    guarded.process.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(guarded.process.wait(), 20) == 0
    assert (guarded.folder / "stopped").exists()
    assert not any(map(is_running, guarded.pids))


async def test_killed_launcher_still_stops_everything_cleanly(guarded: Guarded) -> None:
    guarded.process.kill()
    await guarded.all_gone()
    assert (guarded.folder / "stopped").exists()


async def test_killed_supervisor_leaves_no_orphan(guarded: Guarded) -> None:
    os.kill(guarded.supervisor, signal.SIGKILL)
    assert await asyncio.wait_for(guarded.process.wait(), 20) == 128 + signal.SIGKILL
    assert not any(map(is_running, guarded.pids))


async def test_closed_terminal_stops_everything(guarded: Guarded) -> None:
    guarded.process.send_signal(signal.SIGHUP)
    assert await asyncio.wait_for(guarded.process.wait(), 20) == 0
    await guarded.all_gone()
