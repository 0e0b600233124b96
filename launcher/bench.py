"""`./aristobot bench`: runs the measurements of `bench/` in the virtual environment."""

from __future__ import annotations

import os
import subprocess
import sys

from launcher.errors import EXIT_USAGE, LauncherError
from launcher.install import ROOT, VENV_PYTHON, install_python_packages, installation_lock
from launcher.screen import Screen

NAMES = ("backtest", "signal", "heartbeat", "gateway", "stats")


def run(name: str | None, *, as_json: bool) -> int:
    """Run one measurement, or all; `bench/<name>.py` does the work.

    Raises:
        LauncherError: the name is unknown, or that measurement is not written yet.
    """
    if name is not None and name not in NAMES:
        raise LauncherError(f"bench {name} : attendu {', '.join(NAMES)}.", EXIT_USAGE)
    present = [each for each in NAMES if (ROOT / "bench" / f"{each}.py").is_file()]
    if name is not None and name not in present:
        raise LauncherError(f"La mesure « {name} » n'est pas encore écrite.", EXIT_USAGE)
    if not present:
        raise LauncherError("Aucune mesure n'est encore écrite.", EXIT_USAGE)
    with installation_lock():
        install_python_packages("runtime", Screen(total_steps=1))
    sys.stdout.flush()
    codes = [_run_one(each, as_json=as_json) for each in ([name] if name else present)]
    return max(codes)


def _run_one(name: str, *, as_json: bool) -> int:
    command = [str(VENV_PYTHON), "-m", "bench", name, *(["--json"] if as_json else [])]
    path = os.pathsep.join([str(ROOT / "backend"), str(ROOT)])
    env = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(command, cwd=ROOT, env=env, check=False).returncode
