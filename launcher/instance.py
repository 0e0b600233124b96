"""The data folder: whose it is, which version wrote it, and that one instance uses it at a time."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from launcher.embedded import POSTGRES_MAJOR
from launcher.errors import (
    EXIT_DATA_IN_USE,
    EXIT_DATA_VERSION,
    EXIT_DISK_FULL,
    EXIT_PORT_TAKEN,
    LauncherError,
)

DATA_FORMAT = 1
_MAY_COME_FIRST = {".env", "lock", "logs"}
_MIN_FREE_BYTES = 200_000_000


@dataclass(frozen=True)
class Instance:
    """The files of one data folder."""

    data_dir: Path

    @property
    def version_file(self) -> Path:
        """Which data format and PostgreSQL version wrote the folder."""
        return self.data_dir / "version"

    @property
    def log_dir(self) -> Path:
        """Where the services' lines go."""
        return self.data_dir / "logs"

    @property
    def run_file(self) -> Path:
        """What the running instance says of itself, for `status` and `manage`."""
        return self.data_dir / "run.json"

    def open(self) -> IO[str]:
        """Create or check the folder and take its lock, held until the returned file is closed.

        Raises:
            LauncherError: the folder is not ours, of another version, full, or in use.
        """
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = self._take_lock()
            self._check_version()
        except OSError as error:
            raise self._os_error(error) from error
        return lock

    def is_running(self) -> bool:
        """Whether an instance holds the lock now."""
        try:
            with (self.data_dir / "lock").open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def write_run(self, state: dict[str, Any]) -> None:
        """Publish what runs, all or nothing."""
        draft = self.run_file.with_suffix(".new")
        draft.write_text(json.dumps(state, indent=1), encoding="utf-8")
        draft.chmod(0o600)
        draft.replace(self.run_file)

    def read_run(self) -> dict[str, Any]:
        """Read what the running instance published; empty when nothing runs."""
        if not self.is_running():
            return {}
        try:
            state: dict[str, Any] = json.loads(self.run_file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return state

    def _take_lock(self) -> IO[str]:
        lock = (self.data_dir / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read().strip() or "inconnu"
            lock.close()
            raise LauncherError(
                f"Le dossier de données {self.data_dir} est déjà utilisé par une autre instance "
                f"(processus {holder}) : arrêtez-la, ou choisissez un autre --data-dir.",
                EXIT_DATA_IN_USE,
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        return lock

    def _check_version(self) -> None:
        expected = {"data_format": DATA_FORMAT, "postgresql": POSTGRES_MAJOR}
        if not self.version_file.exists():
            self._refuse_foreign_folder()
            self.version_file.write_text(json.dumps(expected) + "\n", encoding="utf-8")
            return
        text = self.version_file.read_text(encoding="utf-8").strip()
        try:
            found = json.loads(text)
        except ValueError:
            found = text
        if found != expected:
            raise LauncherError(
                f"Le dossier de données {self.data_dir} vient d'une autre version d'Aristobot "
                f"(trouvé : {text[:100]} ; attendu : {json.dumps(expected)}) : reprenez la version qui l'a créé, "
                "ou choisissez un autre --data-dir.",
                EXIT_DATA_VERSION,
            )

    def _refuse_foreign_folder(self) -> None:
        strangers = sorted(p.name for p in self.data_dir.iterdir() if p.name not in _MAY_COME_FIRST)
        if strangers:
            raise LauncherError(
                f"Le dossier {self.data_dir} n'est pas un dossier de données d'Aristobot : il contient déjà "
                f"« {strangers[0]} » et aucun fichier « version ». Choisissez un dossier vide pour --data-dir.",
                EXIT_DATA_VERSION,
            )

    def _os_error(self, error: OSError) -> LauncherError:
        if error.errno == errno.ENOSPC:
            return LauncherError(f"Disque plein : écriture impossible dans {self.data_dir}.", EXIT_DISK_FULL)
        return LauncherError(f"Dossier de données {self.data_dir} inutilisable : {error.strerror}.")


def check_free_space(folder: Path, needed_bytes: int = _MIN_FREE_BYTES) -> None:
    """Refuse to go on when the disk of `folder` is nearly full.

    Raises:
        LauncherError: fewer than `needed_bytes` are free.
    """
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    stat = os.statvfs(existing)
    free = stat.f_bavail * stat.f_frsize
    if free < needed_bytes:
        raise LauncherError(
            f"Disque plein : {free // 1_000_000} Mo libres sur le disque de {folder}, "
            f"il en faut {needed_bytes // 1_000_000}.",
            EXIT_DISK_FULL,
        )


def check_port_free(host: str, port: int) -> None:
    """Refuse a port that something already listens on.

    Raises:
        LauncherError: the port is taken, not allowed, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                reason = "est déjà pris par un autre programme : arrêtez-le, ou choisissez --port"
            elif error.errno == errno.EACCES:
                reason = "est réservé au système : choisissez --port au-dessus de 1023"
            else:
                reason = f"est inutilisable ({error.strerror}) : vérifiez ARISTOBOT_HOST"
            raise LauncherError(f"Le port {port} de {host} {reason}.", EXIT_PORT_TAKEN) from error


def free_port() -> int:
    """Find a free port of the loopback address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
