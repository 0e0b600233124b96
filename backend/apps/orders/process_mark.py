"""Who a process is, so that another one on the same machine can prove that it is dead."""

import os
from pathlib import Path
from uuid import uuid4

_PROC = Path("/proc")
_ENDED = "ZX"  # states of /proc: waits to be reaped, dead


def new_mark() -> str:
    """Return a mark of this process: machine and process namespace, id, start, and a word of its own."""
    return "/".join((_place(), str(os.getpid()), _start(os.getpid()) or "-", uuid4().hex[:8]))


def is_dead(mark: str) -> bool:
    """Tell whether the marked process certainly ended. Of another machine or container nothing is certain."""
    place, _, rest = mark.rpartition("/")[0].partition("/")
    pid, _, start = rest.partition("/")
    if place != _place() or place == "" or not pid.isdigit():
        return False
    return _start(int(pid)) != start


def _place() -> str:
    """Process ids mean something within one boot of one machine, and within one container of it; "" if unknown."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}.{os.stat(_PROC / 'self/ns/pid').st_ino}"
    except OSError:
        return ""


def _start(pid: int) -> str | None:
    """Return when a process started, in the kernel's ticks; None when it ended."""
    try:
        state, *fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in _ENDED else fields[18]
