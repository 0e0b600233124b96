"""`./aristobot backup FILE`: everything an instance needs to live again, taken without stopping it.

The database is one snapshot. Right after it is taken the length of the simulated exchange's journal is noted, and
the copy ends there: the exchange then knows all that the database knows, or a little more, as a real one would.
"""

from __future__ import annotations

import argparse
import io
import platform
import signal
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from launcher.archive import ArchiveWriter, new_archive
from launcher.checkup import note_backup
from launcher.database_copy import Snapshot, dump, snapshot
from launcher.embedded import POSTGRES_MAJOR
from launcher.environment import read_env_file
from launcher.errors import EXIT_USAGE, LauncherError
from launcher.instance import DATA_FORMAT, Instance
from launcher.manage import in_virtual_environment, joined
from launcher.screen import Screen, counted, french_seconds

BACKUP_FORMAT = 1
DATABASE, ENVIRONMENT, JOURNAL, UPSTREAM = "database.dump", "env", "simex/journal.jsonl", "simex/upstream.json"
# Never carried to another machine: a restored instance must not write into the database it was copied from.
_STAYS_HERE = ("DATABASE_URL", "REDIS_URL")


def run(namespace: argparse.Namespace, data_dir: Path) -> int:
    """Back an instance up, running or stopped; return the exit code."""
    path = Path(namespace.file).resolve()
    in_virtual_environment("backup", str(path), "--data-dir", str(data_dir))
    if not Instance(data_dir).version_file.exists():
        raise LauncherError(f"Rien à sauvegarder : {data_dir} n'est pas un dossier de données d'Aristobot.")
    check_target(path)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a stopped backup leaves nothing either
    screen = Screen()
    began = time.monotonic()
    with joined(data_dir) as environment:
        manifest = write(path, data_dir, environment, screen)
    note_backup(data_dir, path, manifest["taken_at"])
    rows, duration = manifest["rows"], french_seconds(time.monotonic() - began)
    screen.line(
        f"Sauvegarde écrite : {path} ({megabytes(path.stat().st_size)}, {counted(sum(rows.values()), 'ligne')} de "
        f"{counted(len(rows), 'table')}, état du {manifest['taken_at']}) en {duration}."
    )
    screen.line(
        "Elle contient SECRET_KEY et les clés chiffrées de vos brokers : gardez-la comme un mot de passe.\n"
        f"Pour la relire : ./aristobot restore {path} --data-dir NOUVEAU_DOSSIER"
    )
    return 0


def check_target(path: Path) -> None:
    """Refuse a file that is there, or a folder that is not."""
    if path.exists():
        raise LauncherError(f"Sauvegarde refusée : {path} existe déjà, choisissez un autre nom.", EXIT_USAGE)
    if not path.parent.is_dir():
        raise LauncherError(f"Sauvegarde refusée : le dossier {path.parent} n'existe pas.", EXIT_USAGE)


def write(path: Path, data_dir: Path, environment: Mapping[str, str], screen: Screen) -> dict[str, Any]:
    """Write the backup of an instance whose database answers; return the manifest.

    Args:
        environment: holds DATABASE_URL and SECRET_KEY.

    Raises:
        LauncherError: nothing is left under that name then.
    """
    with snapshot(environment["DATABASE_URL"]) as at:
        journal = data_dir / "simex" / "journal.jsonl"
        length = journal.stat().st_size if journal.exists() else 0
        manifest = _manifest(data_dir, at)
        with new_archive(path, lambda: manifest) as archive:
            with dump(environment["DATABASE_URL"], at) as stream:
                archive.add(DATABASE, stream, progress=Meter(screen, "Base de données"))
            environment_file = io.BytesIO(env_text(data_dir, environment).encode())
            archive.add(ENVIRONMENT, environment_file, progress=lambda _: None)
            _add_simex(archive, data_dir, length, screen)
    return manifest


def _add_simex(archive: ArchiveWriter, data_dir: Path, length: int, screen: Screen) -> None:
    if not length:
        return
    with (data_dir / "simex" / "journal.jsonl").open("rb") as journal:
        meter = Meter(screen, "Échange simulé", total=length)
        archive.add(JOURNAL, journal, progress=meter, limit=length)
    upstream = data_dir / "simex" / "upstream.json"
    if upstream.exists():
        with upstream.open("rb") as rules:
            archive.add(UPSTREAM, rules, progress=lambda _: None)


def _manifest(data_dir: Path, at: Snapshot) -> dict[str, Any]:
    state = Instance(data_dir).read_run()
    return {
        "format": BACKUP_FORMAT,
        "product": "aristobot3",
        "data_format": DATA_FORMAT,
        "postgresql": POSTGRES_MAJOR,
        "server": at.server,
        "taken_at": at.taken_at,
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "feed": state.get("feed", "walk"),
        "was_running": bool(state),
        "migrations": at.migrations,
        "rows": at.rows,
    }


def env_text(data_dir: Path, environment: Mapping[str, str]) -> str:
    """The data folder's `.env`, with the keys it is read with, without the addresses of this machine."""
    file = data_dir / ".env"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    kept = [line for line in lines if not line.strip().removeprefix("export ").startswith(_STAYS_HERE)]
    known = read_env_file(file)
    for name in ("SECRET_KEY", "SECRET_KEY_FALLBACKS"):
        value = environment.get(name, "")
        if value and known.get(name) != value:
            kept = [line for line in kept if not line.strip().startswith(f"{name}=")]
            kept.append(f"{name}={_quoted(value)}")
    return "\n".join(kept) + "\n"


def _quoted(value: str) -> str:
    if not any(each in value for each in " #\"'"):
        return value
    return f'"{value}"' if "'" in value else f"'{value}'"


def megabytes(size: int) -> str:
    """Format a size as « 12,3 Mo »."""
    return f"{size / 1_000_000:.1f} Mo".replace(".", ",")


class Meter:
    """Shows how much of a part is done: in place on a terminal, else once every ten seconds.

    Args:
        total: bytes expected; 0 when they are not known.
    """

    def __init__(self, screen: Screen, label: str, *, total: int = 0) -> None:
        self._screen, self._label, self._total = screen, label, total
        self._shown_at = time.monotonic()
        self._is_live = sys.stdout.isatty()

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        is_end = bool(self._total) and done >= self._total
        if now - self._shown_at < (0.2 if self._is_live else 10.0) and not is_end:
            return
        self._shown_at = now
        share = f" ({100 * done // self._total} %)" if self._total else ""
        text = f"{self._label} : {megabytes(done)}{share}"
        if self._is_live:
            sys.stdout.write(f"\r\x1b[K{text}" + ("\n" if is_end else ""))
            sys.stdout.flush()
        else:
            self._screen.line(text)
