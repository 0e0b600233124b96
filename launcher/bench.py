"""`./aristobot bench`: runs the measurements of `bench/` in the virtual environment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from launcher.errors import EXIT_USAGE, LauncherError
from launcher.install import ROOT, VENV_PYTHON, install_python_packages, installation_lock
from launcher.screen import Screen

NAMES = ("backtest", "signal", "heartbeat", "gateway", "stats", "webhooks")


def run(name: str | None, options: Sequence[str]) -> int:
    """Run one measurement, or all those that exist; `python -m bench` does the work.

    Args:
        name: one of NAMES.
        options: handed over, such as `--json`.

    Raises:
        LauncherError: the name is unknown.
    """
    if name is not None and name not in NAMES:
        raise LauncherError(f"bench {name} : attendu {', '.join(NAMES)}.", EXIT_USAGE)
    quiet = Screen(total_steps=1, stream=sys.stderr)  # stdout belongs to the figures
    with installation_lock():
        install_python_packages("runtime", quiet)
    return max(_run_one(each, options) for each in ([name] if name else NAMES))


def _run_one(name: str, options: Sequence[str]) -> int:
    command = [str(VENV_PYTHON), "-m", "bench", name, *options]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "backend"), str(ROOT)])}
    return subprocess.run(command, cwd=ROOT, env=env, check=False).returncode
