"""Children that never outlive the process that started them."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
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
