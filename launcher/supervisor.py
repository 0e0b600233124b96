"""Keeps the services running: ordered start, readiness, restart with back-off, clean stop.

Invariant: every process started here leads a session of its own, is registered before anything
else can run, and is gone, with all its descendants, when `stop_all` returns.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from launcher.errors import EXIT_DISK_FULL, EXIT_FAILURE, LauncherError
from launcher.processes import die_with_parent, kill_orphans
from launcher.screen import Screen, ServiceLog, french_seconds

_FIRST_BACKOFF_S = 0.25
_MAX_BACKOFF_S = 15.0
_PROBE_PERIOD_S = 0.05
_FAILED_STARTS_ALLOWED = 3


@dataclass(frozen=True, kw_only=True)
class Service:
    """What to run and how to know that it works.

    Args:
        name: short name, used as log prefix and file name.
        label: what the screen calls it, in French.
        command: the command line, run in the foreground.
        prepare: called in a thread before each start, such as the creation of a database.
        ready: called in a thread with the process id until it returns True; None means once started.
        stable_after_s: a run that stayed ready that long resets the back-off.
        tier: services of a higher tier use those of a lower one, and are stopped before them.
        shown: whether its lines go to the screen, besides its log file.
    """

    name: str
    label: str
    command: Sequence[str]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[], None] | None = None
    ready: Callable[[int], bool] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 10.0
    start_timeout_s: float = 180.0
    stable_after_s: float = 10.0
    tier: int = 1
    shown: bool = True


def next_backoff(previous_s: float, ready_for_s: float, stable_after_s: float) -> float:
    """Choose the pause before a restart: doubled each time, from the start after a stable run.

    Args:
        previous_s: the pause before the run that just ended, 0 for the first run.
        ready_for_s: how long that run had been ready.
        stable_after_s: how long makes a run a success.
    """
    if previous_s == 0 or ready_for_s >= stable_after_s:
        return _FIRST_BACKOFF_S
    return min(previous_s * 2, _MAX_BACKOFF_S)


class _LineReader(asyncio.Protocol):
    """Cuts a pipe into lines, without a limit that could stop the reading."""

    def __init__(self, log: ServiceLog) -> None:
        self._log = log
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._log.write(line.decode(errors="replace").rstrip())
        if len(self._rest) > 1_000_000:
            self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._flush()

    def _flush(self) -> None:
        if self._rest:
            self._log.write(self._rest.decode(errors="replace"))
        self._rest = b""


class _Keeper:
    """One service and its current process."""

    def __init__(self, supervisor: Supervisor, service: Service, log: ServiceLog) -> None:
        self.service = service
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self.exited = asyncio.Event()
        self.ready = asyncio.Event()
        self.restarts = 0
        self.failure: LauncherError | None = None
        self._supervisor = supervisor
        self._ready_since = 0.0
        self._failed_starts = 0
        self._was_ready = False

    async def keep(self) -> None:
        """Run the service until the supervisor stops or gives up on its first start."""
        backoff_s = 0.0
        while not self._supervisor.stopping.is_set():
            code = await self._run_once()
            if self._supervisor.stopping.is_set():
                return
            ready_for_s = time.monotonic() - self._ready_since if self.ready.is_set() else 0.0
            self.ready.clear()
            if self._gives_up(code):
                return
            backoff_s = next_backoff(backoff_s, ready_for_s, self.service.stable_after_s)
            self.restarts += 1
            self.log.note(f"arrêté (code {code}), redémarrage dans {french_seconds(backoff_s)}")
            await self._supervisor.pause(backoff_s)

    def _gives_up(self, code: int) -> bool:
        """A service that never was ready is a broken installation; one that was is restarted."""
        if self._was_ready:
            return False
        self._failed_starts += 1
        if self._failed_starts < _FAILED_STARTS_ALLOWED and self.failure is None:
            return False
        if self.failure is None:
            self.failure = self._start_error(f"arrêt immédiat (code {code})")
        self.ready.set()  # wakes `start`, which looks at `failure` first
        return True

    def _start_error(self, cause: str) -> LauncherError:
        tail = self.log.tail()
        full = "No space left on device" in tail
        cause = f"disque plein, {cause}" if full else cause
        exit_code = EXIT_DISK_FULL if full else EXIT_FAILURE
        return LauncherError(f"{self.service.label} ne démarre pas : {cause}.\n{tail}", exit_code)

    async def _run_once(self) -> int:
        if self.service.prepare is not None:
            try:
                await asyncio.to_thread(self.service.prepare)
            except LauncherError as error:
                self.failure = error
                return error.exit_code
            if self._supervisor.stopping.is_set():
                return 0
        process = self._spawn()
        transport = await self._attach(process)
        probe = asyncio.create_task(self._watch_readiness())
        await self.exited.wait()
        probe.cancel()
        kill_orphans(self._supervisor.living())
        await asyncio.sleep(0)  # lets the last lines of the pipe through
        transport.close()
        return process.returncode

    def _spawn(self) -> subprocess.Popen[bytes]:
        self.exited = asyncio.Event()
        loop, exited = asyncio.get_running_loop(), self.exited
        process = subprocess.Popen(
            list(self.service.command),
            cwd=self.service.cwd,
            env=dict(self.service.env) or None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent(self.service.stop_signal),
        )
        self.process = process

        def wait() -> None:
            process.wait()
            try:
                loop.call_soon_threadsafe(exited.set)
            except RuntimeError:
                return  # the loop closed first: nobody waits any more

        threading.Thread(target=wait, name=f"wait-{self.service.name}", daemon=True).start()
        return process

    async def _attach(self, process: subprocess.Popen[bytes]) -> asyncio.ReadTransport:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: _LineReader(self.log), process.stdout)
        return transport

    async def _watch_readiness(self) -> None:
        deadline = time.monotonic() + self.service.start_timeout_s
        probe, pid = self.service.ready, self.process.pid if self.process is not None else 0
        while probe is not None and not await asyncio.to_thread(probe, pid):
            if time.monotonic() > deadline and not self._was_ready:
                self.failure = self._start_error(f"pas de réponse en {self.service.start_timeout_s:.0f} s")
                self.send(signal.SIGKILL)
                return
            await asyncio.sleep(_PROBE_PERIOD_S)
        self._ready_since = time.monotonic()
        self._was_ready = True
        self.ready.set()

    def send(self, signal_number: int) -> None:
        """Signal the service's process if it still runs."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal_number)

    async def stop(self) -> None:
        """Ask the process to stop, insist after its time-out."""
        if self.process is None:
            return
        self.send(self.service.stop_signal)
        try:
            await asyncio.wait_for(self.exited.wait(), self.service.stop_timeout_s)
        except TimeoutError:
            self.log.note(f"ne s'arrête pas en {self.service.stop_timeout_s:.0f} s, tué")
            self.send(signal.SIGKILL)
            await self.exited.wait()


class Supervisor:
    """Starts services one after another or together, and keeps them all.

    Args:
        screen: where the launcher's own lines go.
        log_dir: folder of the services' log files.
    """

    def __init__(self, screen: Screen, log_dir: Path) -> None:
        self.screen = screen
        self.stopping = asyncio.Event()
        self._log_dir = log_dir
        self._keepers: list[_Keeper] = []
        self._tasks: list[asyncio.Task[None]] = []

    def living(self) -> set[int]:
        """The process ids of the services that run now."""
        processes = [keeper.process for keeper in self._keepers]
        return {process.pid for process in processes if process is not None and process.returncode is None}

    def pids(self) -> dict[str, int]:
        """Each running service's process id."""
        living = self.living()
        found = {k.service.name: k.process.pid for k in self._keepers if k.process is not None}
        return {name: pid for name, pid in found.items() if pid in living}

    def restarts(self) -> dict[str, int]:
        """How many times each service was restarted."""
        return {keeper.service.name: keeper.restarts for keeper in self._keepers}

    async def start(self, service: Service) -> None:
        """Start a service, return when it is ready, and keep it running afterwards.

        Raises:
            LauncherError: it stopped three times before being ready, or did not answer in time.
        """
        index = len(self._keepers)
        log = ServiceLog(self.screen, self._log_dir, service.name, shown=service.shown, index=index)
        keeper = _Keeper(self, service, log)
        self._keepers.append(keeper)
        self._tasks.append(asyncio.create_task(keeper.keep(), name=f"keep-{service.name}"))
        await keeper.ready.wait()
        if keeper.failure is not None:
            raise keeper.failure

    async def pause(self, seconds: float) -> None:
        """Wait, or return at once when the supervisor stops."""
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            return

    async def stop_all(self) -> None:
        """Stop everything, tier after tier: the terminals go before the servers they write to."""
        self.stopping.set()
        for group in self._stop_groups():
            await asyncio.gather(*(keeper.stop() for keeper in group))
        await asyncio.gather(*self._tasks, return_exceptions=True)
        kill_orphans(self.living())
        for keeper in self._keepers:
            keeper.log.close()

    def kill_all(self) -> None:
        """Kill everything at once (a second Ctrl-C)."""
        for keeper in self._keepers:
            keeper.send(signal.SIGKILL)

    def _stop_groups(self) -> list[list[_Keeper]]:
        tiers = sorted({keeper.service.tier for keeper in self._keepers}, reverse=True)
        return [[k for k in self._keepers if k.service.tier == tier] for tier in tiers]
