"""A copy of an instance (restored, or its folder copied) does not start beside the one it was copied from.

Both hold the same keys of the same accounts: together they would place every order twice. What makes them kin is
their SECRET_KEY, without which a copy could not read those keys; whoever runs holds a lock under its fingerprint.
Another machine is out of sight: there a restoration's own words and its bots that wait are the protection.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from pathlib import Path
from typing import IO

from launcher.errors import EXIT_DATA_IN_USE, LauncherError


def hold(secret_key: str, data_dir: Path, *, beside: bool = False, folder: Path | None = None) -> IO[str] | None:
    """Take the lock of that key until the returned file is closed; None when it cannot be kept on this machine.

    Args:
        beside: whether the user asked for a copy to run beside the other.
        folder: of the locks; the system's temporary folder by default.

    Raises:
        LauncherError: an instance with the same key runs, and nobody asked for two.
    """
    path = (folder or Path(tempfile.gettempdir())) / f"aristobot-{os.getuid()}-{_fingerprint(secret_key)}.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError:
        return None  # no temporary folder to write in: nothing to compare with
    lock = os.fdopen(descriptor, "r+", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        other = lock.read().strip() or "inconnu"
        lock.close()
        if beside:
            return None
        raise LauncherError(_refusal(data_dir, other), EXIT_DATA_IN_USE) from error
    lock.truncate(0)
    lock.write(str(data_dir))
    lock.flush()
    return lock


def _fingerprint(secret_key: str) -> str:
    return hashlib.sha256(f"aristobot instance {secret_key}".encode()).hexdigest()[:24]


def _refusal(data_dir: Path, other: str) -> str:
    return (
        f"Démarrage refusé : {data_dir} est une copie de l'instance qui tourne dans {other} (même SECRET_KEY). "
        "Deux instances avec les mêmes clés passeraient les ordres en double. Arrêtez d'abord l'autre. Pour "
        "seulement regarder la copie : ajoutez --beside, et ne confirmez rien dans « Instance restaurée »."
    )
