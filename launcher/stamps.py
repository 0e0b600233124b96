"""Content stamps: a step is skipped when the files it came from have not changed since."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path


def content_stamp(paths: Iterable[Path], *, extra: str = "", skip: frozenset[str] = frozenset()) -> str:
    """Hash names and contents of files, and of all files below folders.

    Args:
        paths: files and folders; absent ones count as absent.
        extra: anything else the step depends on, such as a version.
        skip: names of files and folders left out, at any depth.
    """
    digest = hashlib.sha256(extra.encode())
    for path in paths:
        for file in _files(path, skip):
            name = file.relative_to(path.parent).as_posix()
            digest.update(f"\0{name}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _files(path: Path, skip: frozenset[str]) -> Iterable[Path]:
    if path.is_file():
        yield path
    for folder, subfolders, names in os.walk(path):
        subfolders[:] = sorted(name for name in subfolders if name not in skip)
        for name in sorted(names):
            if name not in skip:
                yield Path(folder, name)


def read_stamp(stamp_file: Path) -> str:
    """The stamp the step last ended with; empty when it never ended."""
    try:
        return stamp_file.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def is_current(stamp_file: Path, stamp: str) -> bool:
    """Whether the step that writes `stamp_file` last ended with this stamp."""
    return read_stamp(stamp_file) == stamp


def write_stamp(stamp_file: Path, stamp: str) -> None:
    """Record that the step ended; written last, so an interrupted step is done again."""
    stamp_file.write_text(stamp + "\n", encoding="utf-8")
