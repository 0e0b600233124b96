"""What survives a kill: one JSON line per event, handed to the system before any answer leaves.

Each line is written by a single unbuffered write, so a line is whole or, when the process was
killed inside it, the last one: it is cut off on reading and its request was never answered.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import orjson

NAME = "journal.jsonl"


class Journal(Protocol):
    """Where events go."""

    def append(self, line: dict[str, Any]) -> None:
        """Keep one event."""

    def close(self) -> None:
        """Give back what is held."""


class NoJournal:
    """Keeps nothing: a simex without a data folder."""

    def append(self, line: dict[str, Any]) -> None:
        """Forget the event."""

    def close(self) -> None:
        """Hold nothing."""


class FileJournal:
    """An append-only file in the data folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / NAME
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._lock()
        self._cut_torn_line()

    def _lock(self) -> None:
        try:
            import fcntl
        except ImportError:  # not a POSIX system: two simex on one folder are not detected
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RuntimeError(f"another simex uses {self._path.parent}") from error

    def _cut_torn_line(self) -> None:
        content = self._path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole != len(content):
            os.truncate(self._path, whole)

    def append(self, line: dict[str, Any]) -> None:
        """Write one event; the system has it when this returns."""
        left = memoryview(orjson.dumps(line) + b"\n")
        while left:
            left = left[os.write(self._file, left) :]

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield the events of earlier lives, oldest first."""
        with self._path.open("rb") as lines:
            for line in lines:
                yield orjson.loads(line)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._file)
