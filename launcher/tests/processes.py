"""Small programs that stand in for services, and waiting for what they do."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

SLEEP = "import time; time.sleep(600)"


def python(code: str) -> list[str]:
    """A command line that runs some Python."""
    return [sys.executable, "-c", code]


def with_grandchild(pid_file: Path) -> str:
    """A program that starts a child in a session of its own, writes both ids, and ignores nothing."""
    return (
        "import os, subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {SLEEP!r}], start_new_session=True)\n"
        f"open({str(pid_file) + '.new'!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        f"os.rename({str(pid_file) + '.new'!r}, {str(pid_file)!r})\n"
        "time.sleep(600)\n"
    )


def is_running(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Wait for something in another process; nothing can signal it to the test."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("the condition did not come true in time")
        threading.Event().wait(0.02)


async def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """The same without holding the event loop."""
    await asyncio.to_thread(wait_until, condition, timeout_s)


def read_pids(pid_file: Path) -> list[int]:
    """The ids that `with_grandchild` wrote."""
    wait_until(pid_file.exists)
    return [int(pid) for pid in pid_file.read_text().split()]


def kill_quietly(pid: int) -> None:
    """Clean up after a failed test."""
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return
