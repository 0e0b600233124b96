"""Children that never outlive the process that started them."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Collection
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(parent_signal: int) -> Callable[[], None]:
    """Make a `preexec_fn` that asks the kernel for `parent_signal` when the parent dies.

    Linux only; elsewhere it does nothing. The parent may die between the fork and the request, so
    the child looks at its parent again afterwards.
    """
    parent_pid = os.getpid()

    def ask_kernel() -> None:
        if _LIBC is None:
            return
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(parent_signal), 0, 0, 0)
        if os.getppid() != parent_pid:
            os.kill(os.getpid(), signal.SIGKILL)

    return ask_kernel


def stop_child(process: subprocess.Popen[bytes], stop_signal: int, timeout_s: float) -> int:
    """Stop a child by `stop_signal`, by SIGKILL after `timeout_s`, and return its exit code."""
    if process.poll() is None:
        process.send_signal(stop_signal)
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def become_subreaper() -> None:
    """Adopt the orphans of our children (Linux), so that `orphans` can find them."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def orphans(living: Collection[int]) -> list[int]:
    """List the adopted processes: our children, of another session, that are not in `living`.

    A command we run ourselves (a probe, a migration) shares our session, so it is never listed.
    """
    own_pid, own_session = os.getpid(), os.getsid(0)
    return [
        pid
        for pid, parent, session in _process_table()
        if parent == own_pid and session != own_session and pid not in living
    ]


def kill_orphans(living: Collection[int]) -> int:
    """Kill and reap the adopted processes and the sessions they lead; return how many there were.

    Killing one can hand us its own children, hence the rounds.
    """
    killed = 0
    for _ in range(20):
        found = orphans(living)
        if not found:
            break
        for pid in found:
            killed += 1
            _kill_and_reap(pid)
    return killed


def _kill_and_reap(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        return


def _process_table() -> list[tuple[int, int, int]]:
    """(pid, parent, session) of every process; empty where there is no /proc."""
    rows = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it ended while we were looking
        rows.append((int(entry.parent.name), int(fields[1]), int(fields[3])))
    return rows
