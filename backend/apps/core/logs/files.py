"""The file of a terminal: JSON lines, rotated by size, bounded in number. A full disk costs lines, no terminal."""

import fcntl
import logging
import os
from collections.abc import Callable
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from time import monotonic

FILE_BYTES = 10_000_000
FILES_KEPT = 5  # besides the one that is written
_SUFFIX = ".jsonl"
_MOST_OF_A_KIND = 9
_RETRY_S = 5.0


class LineFile(RotatingFileHandler):
    """Appends lines. What cannot be written is counted, told once, and tried again a few seconds later."""

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int = FILE_BYTES,
        kept: int = FILES_KEPT,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(path, maxBytes=max_bytes, backupCount=kept, encoding="utf-8", delay=True)
        self.lost = 0
        self._tell = tell
        self._is_told = False
        self._not_before = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        if monotonic() < self._not_before:
            self.lost += 1
            return
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 — a field that cannot be written must not end what it tells about
            self.lost += 1
            return
        try:
            self._append(line)
            self._is_told = False
        except (OSError, ValueError) as exc:
            self._give_up_for_a_while(exc)

    def _append(self, line: str) -> None:
        stream = self.stream or self._opened()
        # Our own test of the size: logging's formats the record a second time.
        if self.maxBytes and stream.tell() + len(line) >= self.maxBytes:
            self.doRollover()
            stream = self.stream or self._opened()
        stream.write(line + "\n")
        stream.flush()

    def _opened(self) -> TextIOWrapper:
        self.stream = self._open()
        return self.stream

    def _give_up_for_a_while(self, cause: Exception) -> None:
        self.lost += 1
        if not self._is_told:
            self._is_told = True
            self._tell(f"⚠ Le journal {self.baseFilename} ne s'écrit plus ({cause}) ; le service continue.")
        self._not_before = monotonic() + _RETRY_S
        stream, self.stream = self.stream, None
        if stream is not None:
            try:
                stream.close()
            except OSError:
                self.lost += 1  # the half line in its buffer


def file_of(folder: Path, terminal: str) -> Path:
    """Return the file that this process alone writes: a second process of a kind has the next number.

    Held by a lock that ends with the process, so that two never rotate one file under each other.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for number in range(1, _MOST_OF_A_KIND + 1):
        name = terminal if number == 1 else f"{terminal}-{number}"
        lock = os.open(folder / f".{name}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            continue
        return folder / f"{name}{_SUFFIX}"  # the lock stays open until the process ends
    return folder / f"{terminal}-{os.getpid()}{_SUFFIX}"
