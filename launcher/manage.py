"""`./aristobot manage …`: a Django command, in the environment of the instance."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from launcher.embedded import EmbeddedServer
from launcher.environment import load_configuration
from launcher.errors import EXIT_USAGE, LauncherError
from launcher.install import ROOT, VENV_PYTHON, python_packages_current
from launcher.instance import Instance
from launcher.options import UpOptions
from launcher.services import BACKEND, Plan


def run(data_dir: Path, arguments: Sequence[str]) -> int:
    """Run `manage.py` beside the running instance, or on its servers started for the occasion.

    Returns:
        The command's exit code.
    """
    if not arguments:
        raise LauncherError("manage : indiquez une commande, par exemple « manage check ».", EXIT_USAGE)
    if not python_packages_current("runtime"):
        raise LauncherError("Rien n'est encore installé : lancez d'abord ./aristobot up.")
    if Path(sys.prefix).resolve() != VENV_PYTHON.parent.parent.resolve():
        again = [str(VENV_PYTHON), str(ROOT / "aristobot"), "manage", "--data-dir", str(data_dir), *arguments]
        os.execv(again[0], again)  # noqa: S606 - no shell wanted
    instance = Instance(data_dir)
    if instance.is_running():
        return _beside_running(instance, data_dir, arguments)
    return _on_stopped(instance, data_dir, arguments)


def _beside_running(instance: Instance, data_dir: Path, arguments: Sequence[str]) -> int:
    shared = instance.read_run().get("environment")
    if not shared:
        raise LauncherError("L'instance est en train de démarrer : réessayez dans quelques secondes.")
    return _django(arguments, {**load_configuration(ROOT, data_dir, os.environ), **shared})


def _on_stopped(instance: Instance, data_dir: Path, arguments: Sequence[str]) -> int:
    with ExitStack() as stack:
        stack.enter_context(instance.open())
        configuration = load_configuration(ROOT, data_dir, os.environ)
        plan = Plan(UpOptions(data_dir=data_dir), configuration, simex_port=0)
        environment = {key: value for key, value in plan.environment.items() if key != "SIMEX_URL"}
        for server in (plan.postgres, plan.valkey):
            if server is not None:
                _start(server, stack)
        return _django(arguments, environment)


def _start(server: EmbeddedServer, stack: ExitStack) -> None:
    server.start()
    stack.callback(server.stop)


def _django(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    path = os.pathsep.join([str(BACKEND), str(ROOT)])
    command = [str(VENV_PYTHON), "manage.py", *arguments]
    return subprocess.run(command, cwd=BACKEND, env={**environment, "PYTHONPATH": path}, check=False).returncode
