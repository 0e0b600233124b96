"""`./aristobot status` and `doctor`: what runs, and what this machine lacks. Neither changes anything."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit

from launcher import checkup, health, real_market
from launcher.errors import EXIT_FAILURE, LauncherError
from launcher.install import FRONTEND, ROOT, python_packages_current
from launcher.instance import Instance, check_free_space, check_port_free
from launcher.manage import in_virtual_environment
from launcher.options import DEFAULT_PORT

_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_VERSION_FLAG = 1


def status(data_dir: Path) -> int:
    """Print what runs on a data folder; 0 when every service is ready, 1 otherwise."""
    instance = Instance(data_dir)
    if not instance.is_running():
        _print(f"Arrêté : aucune instance n'utilise {data_dir}.")
        return EXIT_FAILURE
    state = instance.read_run()
    if not state:
        _print("En cours de démarrage.")
        return EXIT_FAILURE
    web = health.WebHealth(int(state["port"]), str(state["host"]))
    ready = web.all_ready()
    _print(f"{'Prêt' if ready else 'Dégradé'} : {state['url']} (processus {state['pid']}, marché {state['feed']})")
    for name, each in web.states().items():
        _print(f"  {name:<20} {each}")
    market = real_market.ask(urlsplit(state["environment"]["SIMEX_URL"]).port or 0)
    if market is not None:
        _print(f"  {market.french()}")
    return 0 if ready else EXIT_FAILURE


def doctor(data_dir: Path) -> int:
    """Print one line per thing the product needs; 0 when nothing essential is missing."""
    if python_packages_current("runtime"):
        in_virtual_environment("doctor", "--data-dir", str(data_dir))
    missing = 0
    for essential, name, problem in chain(_findings(data_dir), checkup.findings(data_dir)):
        mark = "✓" if not problem else "✗" if essential else "!"
        missing += bool(problem and essential)
        _print(f"{mark} {name}{' — ' + problem if problem else ''}")
    return EXIT_FAILURE if missing else 0


def _findings(data_dir: Path) -> Iterator[tuple[bool, str, str]]:
    """(essential, what was looked at, the problem or nothing)."""
    yield True, f"Python {platform.python_version()}", ""
    yield (
        False,
        "Paquets Python",
        "" if python_packages_current("runtime") else "installés au premier ./aristobot up",
    )
    built = (FRONTEND / "dist" / "index.html").is_file()
    yield False, "Interface construite", "" if built else "construite au premier ./aristobot up"
    yield True, "Place sur le disque", _problem_of_disk(data_dir)
    yield False, f"Port {DEFAULT_PORT}", _problem_of_port()
    if sys.platform == "linux" and os.geteuid() == 0:
        yield True, "PostgreSQL en root (unshare)", _problem_of_unshare()
    yield False, "Isolement des stratégies (Landlock)", _problem_of_landlock()
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    yield False, "Chromium pour les tests e2e", "" if found else "celui de npm sera utilisé"
    yield False, f"Dossier du projet {ROOT}", "" if os.access(ROOT, os.W_OK) else "non modifiable"


def _problem_of_disk(data_dir: Path) -> str:
    try:
        check_free_space(data_dir)
    except LauncherError as error:
        return error.message
    return ""


def _problem_of_port() -> str:
    try:
        check_port_free("127.0.0.1", DEFAULT_PORT)
    except LauncherError as error:
        return error.message
    return ""


def _problem_of_unshare() -> str:
    command = ["unshare", "--user", "--map-user=1", "--map-group=1", "--", "true"]
    try:
        allowed = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        allowed = False
    return "" if allowed else "refusé : lancez avec un utilisateur ordinaire, ou indiquez DATABASE_URL"


def _problem_of_landlock() -> str:
    if sys.platform != "linux":
        return "absent hors de Linux : seules les limites de mémoire et de temps tiennent"
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION_FLAG)
    return "" if version > 0 else "absent de ce noyau : seules les limites de mémoire et de temps tiennent"


def _print(text: str) -> None:
    print(text)  # noqa: T201 - this module's job is to print
