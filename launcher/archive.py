"""The backup's file: a zip of parts, its manifest last, with each part's size and SHA-256.

Invariant: a file under its final name is whole. It is written beside it under a draft's name, readable by its
owner only, and renamed once everything is on the disk; whatever interrupts the writing leaves no draft.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from launcher.errors import EXIT_DISK_FULL, EXIT_FAILURE, LauncherError

MANIFEST = "manifest.json"
CHUNK = 1 << 20
Progress = Callable[[int], None]


class ArchiveWriter:
    """Adds parts to a draft, each read as a stream."""

    def __init__(self, zipped: zipfile.ZipFile) -> None:
        self._zip = zipped
        self.parts: dict[str, dict[str, Any]] = {}

    def add(self, name: str, source: IO[bytes], *, progress: Progress, limit: int | None = None) -> None:
        """Copy a stream into the file.

        Args:
            limit: bytes to take at most; None takes all.
            progress: told the bytes taken so far.
        """
        digest, size = hashlib.sha256(), 0
        with self._zip.open(name, "w", force_zip64=True) as target:
            while chunk := source.read(CHUNK if limit is None else min(CHUNK, limit - size)):
                target.write(chunk)
                digest.update(chunk)
                size += len(chunk)
                progress(size)
        self.parts[name] = {"bytes": size, "sha256": digest.hexdigest()}


@contextmanager
def new_archive(path: Path, describe: Callable[[], dict[str, Any]]) -> Iterator[ArchiveWriter]:
    """Write a backup all or nothing; the manifest is what `describe` says at the end, and the parts.

    Raises:
        LauncherError: the disk is full, or the folder cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.partiel")
    try:
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w+b") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as zipped:
                writer = ArchiveWriter(zipped)
                yield writer
                manifest = {**describe(), "parts": writer.parts}
                zipped.writestr(MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise _write_error(path, error) from error
    finally:
        draft.unlink(missing_ok=True)


def _write_error(path: Path, error: OSError) -> LauncherError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return LauncherError(
            f"Sauvegarde impossible : disque plein en écrivant {path}. Rien n'y a été laissé.", EXIT_DISK_FULL
        )
    return LauncherError(f"Sauvegarde impossible dans {path} : {error.strerror or error}.")


class ArchiveReader:
    """A backup's parts, read as streams."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
            self.manifest: dict[str, Any] = json.loads(self._zip.read(MANIFEST))
        except FileNotFoundError as error:
            raise LauncherError(f"La sauvegarde {path} n'existe pas.") from error
        except OSError as error:
            raise LauncherError(f"La sauvegarde {path} est illisible : {error.strerror}.") from error
        except (zipfile.BadZipFile, KeyError, ValueError) as error:
            raise LauncherError(
                f"{path} n'est pas une sauvegarde d'Aristobot, ou elle est tronquée ({error})."
            ) from error

    @property
    def parts(self) -> dict[str, dict[str, Any]]:
        """Each part's size and hash, as the manifest tells them."""
        found: dict[str, dict[str, Any]] = self.manifest.get("parts", {})
        return found

    def open(self, name: str) -> IO[bytes]:
        """Read one part."""
        return self._zip.open(name)

    def verify(self, progress: Progress) -> None:
        """Read everything once and compare it with the manifest.

        Raises:
            LauncherError: a part is missing, or is not what was written.
        """
        done = 0
        for name, told in self.parts.items():
            digest, size = hashlib.sha256(), 0
            try:
                with self._zip.open(name) as part:
                    while chunk := part.read(CHUNK):
                        digest.update(chunk)
                        size += len(chunk)
                        progress(done + size)
            except (KeyError, OSError, zipfile.BadZipFile, EOFError) as error:
                raise self._damaged(name, str(error)) from error
            if (size, digest.hexdigest()) != (told["bytes"], told["sha256"]):
                raise self._damaged(name, "l'empreinte SHA-256 ne correspond pas")
            done += size

    def close(self) -> None:
        """Give the file back."""
        self._zip.close()

    def _damaged(self, name: str, why: str) -> LauncherError:
        return LauncherError(
            f"La sauvegarde {self.path} est abîmée (partie « {name} » : {why}). Rien n'a été restauré.",
            EXIT_FAILURE,
        )
