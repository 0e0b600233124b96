"""A newer version on an older data folder: the state before is saved, then migrated; the contrary is refused."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from launcher.backup import write
from launcher.database_copy import migrations_of
from launcher.errors import EXIT_DATA_VERSION, LauncherError
from launcher.schema import known_migrations, unknown_migrations
from launcher.screen import Screen, counted

FOLDER = "sauvegardes"
_KEPT = 3


def save_before_migrating(data_dir: Path, environment: Mapping[str, str], screen: Screen) -> Path | None:
    """Back the instance up when its database is about to change; return the file, None when it is new or current.

    Args:
        environment: holds DATABASE_URL of a server that answers, and SECRET_KEY.

    Raises:
        LauncherError: the database comes from a newer version, or could not be saved; nothing was changed.
    """
    applied = migrations_of(environment["DATABASE_URL"])
    newer = unknown_migrations(applied)
    if newer:
        raise LauncherError(
            f"La base de {data_dir} vient d'une version plus récente d'Aristobot (migration {newer[0]} inconnue "
            f"ici) : mettez le programme à jour, ou restaurez la sauvegarde d'avant la mise à "
            f"niveau ({data_dir / FOLDER}) dans un autre dossier. Rien n'a été changé.",
            EXIT_DATA_VERSION,
        )
    missing = known_migrations() - set(applied)
    if not applied or not missing:
        return None
    folder = data_dir / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"avant-mise-a-niveau-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}.aristobot"
    screen.line(
        f"Version plus récente que la base ({counted(len(missing), 'migration')} à faire) : sauvegarde dans {path}"
    )
    write(path, data_dir, environment, screen)
    for old in sorted(folder.glob("avant-mise-a-niveau-*.aristobot"))[:-_KEPT]:
        old.unlink()
    return path


def how_to_go_back(path: Path) -> str:
    """What to do when the migration fails."""
    return (
        f"L'état d'avant la mise à niveau est dans {path}. Pour y revenir : reprenez la version précédente du "
        f"programme, puis ./aristobot restore {path} --data-dir NOUVEAU_DOSSIER"
    )
