"""`./aristobot soak`: runs `soak/` in the virtual environment."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from launcher.install import ROOT, VENV_PYTHON, install_python_packages, installation_lock
from launcher.screen import Screen


def run(namespace: argparse.Namespace) -> int:
    """Run the endurance test; 0 when every record agrees and the memory stays flat."""
    quiet = Screen(total_steps=1, stream=sys.stderr)
    with installation_lock():
        install_python_packages("runtime", quiet)
    command = [str(VENV_PYTHON), "-m", "soak", "--hours", str(namespace.hours), "--speed", str(namespace.speed)]
    command += [] if namespace.seed is None else ["--seed", str(namespace.seed)]
    command += ["--keep", namespace.keep] if namespace.keep else []
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "backend"), str(ROOT)])}
    return subprocess.run(command, cwd=ROOT, env=env, check=False).returncode
