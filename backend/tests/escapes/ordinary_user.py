"""Starts a program as somebody without rights, also from root, as whom containers and our gate run."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_NOBODY = "65534"


def as_ordinary_user(command: Sequence[str]) -> list[str] | str:
    """Return the command that runs `command` without rights, or why this machine cannot.

    An interpreter inside a folder that only root may enter (`/root`) is shown at the same place, in a mount
    namespace of its own, so that nothing of the machine changes.
    """
    if os.getuid() != 0:
        return list(command)
    if shutil.which("setpriv") is None or shutil.which("unshare") is None:
        return "root, and no setpriv or unshare to become somebody else"
    dropped = ["setpriv", "--reuid", _NOBODY, "--regid", _NOBODY, "--clear-groups", "--inh-caps=-all", "--"]
    closed = _closed_folder(Path(sys.base_prefix))
    if closed is None:
        return [*dropped, *command]
    python = sys.base_prefix
    script = (
        f"mount --bind {python} /mnt && mount -t tmpfs -o mode=755 none {closed} && mkdir -p {python}"
        f' && mount --bind /mnt {python} && exec "$@"'
    )
    prefix = ["unshare", "--mount", "sh", "-c", script, "sh"]
    tried = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        return f"root may not mount here, and {python} is closed to others: {tried.stderr.strip()}"
    return [*prefix, *dropped, *command]


def _closed_folder(path: Path) -> Path | None:
    """Return the outermost folder on the way to `path` that others may not enter."""
    for folder in [*reversed(path.parents), path]:
        if not folder.stat().st_mode & stat.S_IXOTH:
            return folder
    return None
