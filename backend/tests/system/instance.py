"""Starts `./aristobot up` on a data folder and a port of its own, and finds its services to kill them."""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[3]
READY = "Aristobot est prêt : "

# What a service's command line holds; the crash test kills them by these names.
MARKS = {
    "postgresql": "bin/postgres",
    "valkey": "valkey",
    "simex": "-m simex",
    "web": "aristobot.asgi",
    "heartbeat": "run_heartbeat",
    "trading_engine": "run_trading_engine",
    "ccxt_service": "run_ccxt_service",
}


class Instance:
    """One running instance.

    Args:
        data_dir: empty folder of its own.
        feed, speed, options: as for `./aristobot up`.
        environment: added to the process's own; names other servers than the embedded ones, if at all.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        feed: str,
        speed: str,
        options: Sequence[str] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._options = ["--feed", feed, "--speed", speed, *options]
        self._given = environment or {}
        own = (
            "DATABASE_URL",
            "REDIS_URL",
            "ARISTOBOT_DATA_DIR",
            "SECRET_KEY",
        )  # the test run's, not the instance's
        self._environment = {**{k: v for k, v in os.environ.items() if k not in own}, **self._given}
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.output: list[str] = []

    def start(self, *, timeout_s: float = 90.0) -> None:
        """Run `up` and wait until it says that it is ready."""
        base = [sys.executable, str(ROOT / "aristobot"), "up", "--no-browser"]
        target = ["--port", str(self.port), "--data-dir", str(self.data_dir)]
        self._process = subprocess.Popen(
            [*base, *target, *self._options],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()
        self._await_line(READY, timeout_s)

    def stop(self) -> int:
        """Ctrl-C, then wait; return the exit code."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def command(self, *arguments: str, timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run another command of the launcher on this instance's data folder."""
        line = [sys.executable, str(ROOT / "aristobot"), *arguments, "--data-dir", str(self.data_dir)]
        return subprocess.run(
            line, cwd=ROOT, env=self._environment, capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def kill_all(self) -> None:
        """`kill -9` the launcher and everything below it, as a machine that loses its power."""
        if self._process is None:
            return
        for pid in family_of(self._process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(30)

    def run_file(self) -> dict[str, Any]:
        """What the launcher published: pid, environment (DATABASE_URL, SIMEX_URL …)."""
        state: dict[str, Any] = json.loads((self.data_dir / "run.json").read_text(encoding="utf-8"))
        return state

    def setting(self, name: str) -> str:
        value: str = self._given.get(name) or self.run_file()["environment"][name]
        return value

    def pids(self, service: str) -> list[int]:
        """Main process of a service: the eldest of the launcher's descendants with its command line."""
        return self.all_pids(MARKS[service])[:1]

    def all_pids(self, mark: str) -> list[int]:
        """Every process of the launcher whose command line holds `mark`, eldest first."""
        table = _process_table()
        family = _descendants(table, int(self.run_file()["pid"]))
        return sorted(pid for pid in family if mark in table[pid][1])

    def kill(self, service: str) -> int:
        """`kill -9` the service and return its pid.

        Raises:
            AssertionError: it was not running.
        """
        pids = self.pids(service)
        if not pids:
            raise AssertionError(f"{service} is not running: nothing to kill")
        os.kill(pids[0], signal.SIGKILL)
        return pids[0]

    def wait_ready(self, *, timeout_s: float = 60.0) -> None:
        """Wait until every service answers."""

        def ready() -> bool:
            try:
                return httpx.get(f"{self.url}/api/health/ready", timeout=5.0).status_code == 200
            except httpx.HTTPError:
                return False

        wait_until(ready, timeout_s=timeout_s, what=lambda: f"ready; last lines:\n{self.tail()}")

    def tail(self, count: int = 40) -> str:
        return "\n".join(self.output[-count:])

    def _read(self) -> None:
        process = self._process
        if process is None or process.stdout is None:
            return
        for line in process.stdout:
            self.output.append(line.rstrip("\n"))
            self._lines.put(line)
        self._lines.put(None)

    def _await_line(self, mark: str, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty as exc:
                raise AssertionError(f"no « {mark} » within {timeout_s} s:\n{self.tail()}") from exc
            if line is None:
                raise AssertionError(f"`up` ended before « {mark} »:\n{self.tail()}")
            if mark in line:
                return


def wait_until(
    condition: Callable[[], bool], *, timeout_s: float, what: str | Callable[[], str], period_s: float = 0.1
) -> None:
    """Poll a condition of another process (nothing pushes it to a test) until it holds.

    Raises:
        AssertionError: it did not hold in time.
    """
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what if isinstance(what, str) else what()}")
        pause.wait(period_s)


def wait_while_it_moves(
    condition: Callable[[], bool],
    *,
    progress: Callable[[], object],
    standstill_s: float,
    what: Callable[[], str],
    period_s: float = 0.5,
) -> None:
    """Poll a condition of another process until it holds, for as long as `progress` goes on changing.

    Raises:
        AssertionError: nothing changed for `standstill_s`.
    """
    reached, moved_at = progress(), time.monotonic()
    pause = threading.Event()
    while not condition():
        now, seen = time.monotonic(), progress()
        if seen != reached:
            reached, moved_at = seen, now
        elif now - moved_at > standstill_s:
            raise AssertionError(f"stands still for {standstill_s:g} s at {reached}: {what()}")
        pause.wait(period_s)


def family_of(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    return [pid, *_descendants(_process_table(), pid)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _process_table() -> dict[int, tuple[int, str]]:
    """Return {pid: (parent pid, command line)}."""
    table = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            continue  # it ended while we read
        table[int(folder.name)] = (parent, command)
    return table


def _descendants(table: dict[int, tuple[int, str]], root: int) -> Sequence[int]:
    found, rim = [], [root]
    while rim:
        parents = set(rim)
        rim = [pid for pid, (parent, _) in table.items() if parent in parents]
        found += rim
    return found
