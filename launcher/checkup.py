"""What `doctor` asks of an instance: its database, its last backup, the machine's clock."""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from launcher.database_copy import migrations_of
from launcher.environment import read_configuration
from launcher.errors import LauncherError
from launcher.install import ROOT
from launcher.instance import Instance
from launcher.schema import known_migrations, unknown_migrations
from launcher.screen import counted

LAST_BACKUP = "derniere-sauvegarde.json"
_OLD_AFTER_DAYS = 7
_TIMEOUT_S = 3.0
_MOST_OFF_MS = 500  # exchanges refuse a request signed one second ahead
_BINANCE = "https://api.binance.com"


def note_backup(data_dir: Path, path: Path, taken_at: str) -> None:
    """Remember the last backup, for `doctor`."""
    text = json.dumps({"file": str(path), "taken_at": taken_at}) + "\n"
    (data_dir / LAST_BACKUP).write_text(text, encoding="utf-8")


def findings(data_dir: Path) -> Iterator[tuple[bool, str, str]]:
    """(essential, what was looked at, the problem or nothing), of one data folder."""
    if Instance(data_dir).version_file.exists():
        yield False, *_last_backup(data_dir)
        yield True, *_database(data_dir)
    yield False, *_clock(read_configuration(ROOT, data_dir, os.environ))


def _last_backup(data_dir: Path) -> tuple[str, str]:
    try:
        last = json.loads((data_dir / LAST_BACKUP).read_text(encoding="utf-8"))
        taken_at = datetime.fromisoformat(last["taken_at"])
    except (OSError, ValueError, KeyError):
        return "Dernière sauvegarde", "aucune : ./aristobot backup FICHIER (l'instance peut rester en marche)"
    days = (datetime.now(UTC) - taken_at).days
    name = f"Dernière sauvegarde le {taken_at:%d/%m/%Y à %H:%M} UTC ({last['file']})"
    if not Path(last["file"]).exists():
        return name, "le fichier n'est plus là (déplacé ?)"
    return name, f"elle a {days} jours" if days >= _OLD_AFTER_DAYS else ""


def _database(data_dir: Path) -> tuple[str, str]:
    state = Instance(data_dir).read_run()
    configured = read_configuration(ROOT, data_dir, os.environ).get("DATABASE_URL")
    url = state.get("environment", {}).get("DATABASE_URL") or configured
    if url is None:
        return "Base de données embarquée", "" if not state else "adresse inconnue"
    try:
        applied = migrations_of(url)
    except LauncherError as error:
        return "Base de données", error.message
    except ImportError:
        return "Base de données", "pas vérifiée : les paquets Python s'installent au premier ./aristobot up"
    newer, missing = unknown_migrations(applied), known_migrations() - set(applied)
    if newer:
        return "Base de données", f"d'une version plus récente ({newer[0]})"
    return (
        "Base de données (répond)",
        f"{counted(len(missing), 'migration')} à faire au prochain démarrage" if missing else "",
    )


def _clock(configuration: Mapping[str, str]) -> tuple[str, str]:
    """The machine's clock against an exchange's: signatures carry the time."""
    rest = urlsplit(configuration.get("BINANCE_REST_URL", _BINANCE))
    kind = http.client.HTTPSConnection if rest.scheme == "https" else http.client.HTTPConnection
    connection = kind(rest.netloc, timeout=_TIMEOUT_S)
    try:
        asked = time.time()
        connection.request("GET", "/api/v3/time")
        server_ms = float(json.loads(connection.getresponse().read())["serverTime"])
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return "Horloge", f"pas vérifiée : {rest.netloc} ne répond pas"
    finally:
        connection.close()
    off_ms = round(((asked + time.time()) / 2) * 1000 - server_ms)
    name = f"Horloge ({off_ms:+d} ms par rapport à {rest.netloc})"
    return name, "" if abs(off_ms) <= _MOST_OFF_MS else "à régler (NTP) : les exchanges refusent les ordres"
