"""What the launcher prints: numbered steps in French, and the services' lines with their names."""

from __future__ import annotations

import logging.handlers
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

_LOG_BYTES = 10_000_000
_LOG_BACKUPS = 3
_COLORS = (36, 35, 34, 33, 32, 96, 95, 94, 93)


def french_seconds(seconds: float) -> str:
    """Format a duration as « 0,4 s »."""
    return f"{seconds:.1f} s".replace(".", ",")


def counted(count: int, thing: str) -> str:
    """Format a number of things as « 0 ordre », « 1 bot », « 2 bots »."""
    return f"{count} {thing}{'s' if count >= 2 else ''}"


class Screen:
    """The terminal. A closed terminal never stops the services, so write errors are dropped."""

    def __init__(self, *, total_steps: int = 0, done_steps: int = 0, stream: TextIO | None = None) -> None:
        self.total_steps = total_steps
        self._stream = stream
        self._numbered = done_steps
        self._lock = threading.Lock()

    def line(self, text: str) -> None:
        """Print one line at once."""
        with self._lock:
            try:
                stream = self._stream or sys.stdout
                stream.write(text + "\n")
                stream.flush()
            except (OSError, ValueError):
                return

    def begin(self, label: str, hint: str = "") -> Callable[[str], None]:
        """Return the function that reports a step's end: steps that run side by side are numbered as they end.

        Args:
            label: what the step is about.
            hint: printed at once, with the step's number, when the step can last, such as « une à trois minutes ».
        """
        began = time.monotonic()
        title = self._title(label) if hint else ""
        if hint:
            self.line(f"{title} {hint}")

        def finish(outcome: str) -> None:
            said = title or self._title(label)
            self.line(f"{said} {outcome} ({french_seconds(time.monotonic() - began)})")

        return finish

    def _title(self, label: str) -> str:
        with self._lock:
            self._numbered += 1
            return f"[{self._numbered}/{self.total_steps}] {label} …"

    @contextmanager
    def step(self, label: str, hint: str = "") -> Iterator[None]:
        """Report a step around a block: « prêt » when it ends, « échec » when it raises."""
        finish = self.begin(label, hint)
        try:
            yield
        except BaseException:
            finish("échec")
            raise
        finish("prêt")


class ServiceLog:
    """One service's lines: always to its rotated file, and to the screen when it is shown."""

    def __init__(self, screen: Screen, folder: Path, name: str, *, shown: bool, index: int = 0) -> None:
        self._screen = screen
        self._name = name
        self._shown = shown
        self._color = _COLORS[index % len(_COLORS)]
        self._tail: list[str] = []
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = logging.handlers.RotatingFileHandler(
            folder / f"{name}.log", maxBytes=_LOG_BYTES, backupCount=_LOG_BACKUPS, encoding="utf-8", delay=True
        )

    def write(self, line: str) -> None:
        """Record one line of the service's output."""
        self._tail = [*self._tail[-19:], line]
        self._to_file(line)
        if self._shown:
            self._to_screen(line)

    def note(self, line: str) -> None:
        """Record a line of the launcher about this service; always shown."""
        self._to_file(f"[lanceur] {line}")
        self._to_screen(line)

    def tail(self) -> str:
        """The service's last twenty lines."""
        return "\n".join(self._tail)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _to_screen(self, line: str) -> None:
        prefix = f"{time.strftime('%H:%M:%S')} {self._name:<11}|"
        if sys.stdout.isatty():
            prefix = f"\x1b[{self._color}m{prefix}\x1b[0m"
        self._screen.line(f"{prefix} {line}")

    def _to_file(self, line: str) -> None:
        record = logging.LogRecord(self._name, logging.INFO, "", 0, line, None, None)
        try:
            self._file.acquire()
            if self._file.shouldRollover(record):
                self._file.doRollover()
            if self._file.stream is None:
                self._file.stream = self._file._open()
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            self._file.stream.write(f"{stamp} {line}\n")
            self._file.stream.flush()
        except OSError:
            return
        finally:
            self._file.release()
