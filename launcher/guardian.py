"""The outer process: it runs the supervisor, and outlives it long enough to leave no orphan.

Killed itself (`kill -9`), it takes the supervisor with it, which then stops everything cleanly.
When the supervisor is killed, the services get their stop signal from the kernel; whatever they had
started is adopted here, given a few seconds, and killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence

from launcher.processes import become_subreaper, die_with_parent, kill_orphans, orphans

_GRACE_S = 5.0
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_guarded(command: Sequence[str], env: Mapping[str, str]) -> int:
    """Run the supervisor's command to its end, clean up behind it, and return its exit code."""
    become_subreaper()
    child = subprocess.Popen(
        list(command), env=dict(env), start_new_session=True, preexec_fn=die_with_parent(signal.SIGTERM)
    )

    def forward(number: int, _frame: object) -> None:
        child.send_signal(signal.SIGTERM if number == signal.SIGHUP else number)

    for number in _FORWARDED:
        signal.signal(number, forward)
    code = child.wait()
    _let_orphans_end()
    return 128 - code if code < 0 else code


def _let_orphans_end() -> None:
    """Wait for adopted processes that are stopping, then kill those that remain."""
    deadline = time.monotonic() + _GRACE_S
    while orphans(()) and time.monotonic() < deadline:
        _reap_ended()
        time.sleep(0.05)
    kill_orphans(())


def _reap_ended() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return
