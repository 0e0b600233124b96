"""`./aristobot manage …`: a Django command, in the environment of the instance."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
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
    in_virtual_environment("manage", "--data-dir", str(data_dir), *arguments)
    with joined(data_dir) as environment:
        return django(arguments, environment)


def in_virtual_environment(*arguments: str) -> None:
    """Run this command line again with the project's own Python, unless it is the one that runs.

    Raises:
        LauncherError: nothing is installed yet.
    """
    if not python_packages_current("runtime"):
        raise LauncherError("Rien n'est encore installé : lancez d'abord ./aristobot up.")
    if Path(sys.prefix).resolve() != VENV_PYTHON.parent.parent.resolve():
        again = [str(VENV_PYTHON), str(ROOT / "aristobot"), *arguments]
        os.execv(again[0], again)  # noqa: S606 - no shell wanted


@contextmanager
def joined(data_dir: Path) -> Iterator[dict[str, str]]:
    """Yield the environment of the running instance, or of its servers started for the length of the block.

    Raises:
        LauncherError: the instance is just starting, or its servers do not start.
    """
    instance = Instance(data_dir)
    if instance.is_running():
        shared = instance.read_run().get("environment")
        if not shared:
            raise LauncherError("L'instance est en train de démarrer : réessayez dans quelques secondes.")
        yield {**load_configuration(ROOT, data_dir, os.environ), **shared}
        return
    with ExitStack() as stack:
        stack.enter_context(instance.open())
        configuration = load_configuration(ROOT, data_dir, os.environ)
        yield start_servers(data_dir, configuration, stack)


def start_servers(data_dir: Path, configuration: dict[str, str], stack: ExitStack) -> dict[str, str]:
    """Start the embedded servers until the stack unwinds; return the environment that reaches them."""
    plan = Plan(UpOptions(data_dir=data_dir), configuration, simex_port=0)
    for server in (plan.postgres, plan.valkey):
        if server is not None:
            _start(server, stack)
    return {key: value for key, value in plan.environment.items() if key != "SIMEX_URL"}


def _start(server: EmbeddedServer, stack: ExitStack) -> None:
    server.start()
    stack.callback(server.stop)


def django(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a Django command in an environment and return its exit code."""
    path = os.pathsep.join([str(BACKEND), str(ROOT)])
    command = [str(VENV_PYTHON), "manage.py", *arguments]
    return subprocess.run(command, cwd=BACKEND, env={**environment, "PYTHONPATH": path}, check=False).returncode
