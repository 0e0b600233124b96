"""Reads the terminals' files back: newest line first, over rotated files and terminals; and follows them live.

Blocking; whoever calls from an event loop does so through a thread.
"""

import heapq
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any

import orjson

from apps.core.logs.french import matters
from apps.core.tracing import signal_of

Line = Mapping[str, Any]
LEVELS = ("info", "warning", "error")
_BLOCK = 1 << 16
_SEARCH_S = 2.0  # then what was found so far is answered, with where to go on
_TIME = re.compile(rb'"time":"([^"]+)"')
_NAME = re.compile(r"(?P<terminal>[a-z_]+)(-\d+)?\.jsonl")
_LOUD = {"critical": "error"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for. `before`: lines older than that (time, id)."""

    terminals: frozenset[str] = frozenset()  # empty: all
    level: str = "info"
    matters: bool = False  # only what is for who trades
    text: str = ""
    trace: str = ""
    since: str = ""
    before: tuple[str, str] | None = None

    def has(self, line: Line, raw: bytes) -> bool:
        """Tell whether a line is one of those."""
        level = _LOUD.get(str(line["level"]), str(line["level"]))
        if level not in LEVELS or LEVELS.index(level) < LEVELS.index(self.level):
            return False
        if self.matters and not matters(line):
            return False
        if self.trace and not self._is_of_trace(line):
            return False
        return not self.text or self.text.casefold() in raw.decode("utf-8", "replace").casefold()

    def _is_of_trace(self, line: Line) -> bool:
        if line.get("trace_id"):
            return bool(line["trace_id"] == self.trace)
        signal = signal_of(self.trace)
        return bool(signal and line["fields"].get("signal_id") == signal)

    def needles(self) -> Sequence[bytes]:
        """Return what a line must hold one of; empty: anything."""
        if not self.trace:
            return ()
        signal = signal_of(self.trace)
        return (signal or self.trace).encode(), self.trace.encode()


@dataclass(frozen=True, slots=True)
class Found:
    """Lines, newest first. `resume`: where older ones begin; None: there are none."""

    lines: Sequence[Line]
    resume: tuple[str, str] | None


def search(folder: Path, wanted: Wanted, *, visible: Any, limit: int) -> Found:
    """Return the newest `limit` lines that are wanted and that `visible` (line → line or None) lets through."""
    until = monotonic() + _SEARCH_S
    streams = [_backwards(files, wanted) for files in _files(folder, wanted.terminals)]
    found: list[Line] = []
    last: tuple[str, str] | None = None
    for number, (line, raw) in enumerate(heapq.merge(*streams, key=lambda pair: _key(pair[0]), reverse=True)):
        if wanted.since and line["time"] < wanted.since:
            return Found(found, None)
        last = _key(line)
        shown = visible(line) if wanted.has(line, raw) else None
        if shown is not None:
            found.append(shown)
            if len(found) == limit:
                return Found(found, last)
        if number % 200 == 0 and monotonic() > until:
            return Found(found, last)
    return Found(found, None)


def _key(line: Line) -> tuple[str, str]:
    return str(line["time"]), str(line["id"])


def _files(folder: Path, terminals: frozenset[str]) -> list[list[Path]]:
    """Return each process's files, newest first."""
    chains = []
    for newest in sorted(folder.glob("*.jsonl")):
        named = _NAME.fullmatch(newest.name)
        if named is None or (terminals and named["terminal"] not in terminals):
            continue
        older = sorted(folder.glob(f"{newest.name}.*"), key=lambda path: int(path.suffix[1:] or 0))
        chains.append([newest, *older])
    return chains


def _backwards(files: Sequence[Path], wanted: Wanted) -> Iterator[tuple[Line, bytes]]:
    needles = wanted.needles()
    before = None if wanted.before is None else wanted.before[0].encode()
    for file in files:
        if wanted.since and _is_older(file, wanted.since):
            return
        for raw in _raw_backwards(file):
            if needles and not any(needle in raw for needle in needles):
                continue
            if before is not None:
                at = _TIME.search(raw)
                if at is not None and at[1] > before:
                    continue
            line = parsed(raw)
            if line is not None and (wanted.before is None or _key(line) < wanted.before):
                yield line, raw


def _is_older(file: Path, since: str) -> bool:
    try:
        return file.stat().st_mtime < datetime.fromisoformat(since.replace("Z", "+00:00")).timestamp()
    except OSError:
        return True  # rotated away meanwhile


def _raw_backwards(file: Path) -> Iterator[bytes]:
    try:
        with file.open("rb") as stream:
            position = stream.seek(0, os.SEEK_END)
            rest = b""
            while position > 0:
                size = min(_BLOCK, position)
                position -= size
                stream.seek(position)
                rest = stream.read(size) + rest
                first, *lines = rest.split(b"\n")
                yield from (line for line in reversed(lines) if line)
                rest = first
            if rest:
                yield rest
    except FileNotFoundError:  # rotated away meanwhile
        return


def parsed(raw: bytes) -> Line | None:
    """Return a line, None when it is not whole (a crash, a full disk)."""
    try:
        line = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    is_line = isinstance(line, dict) and isinstance(line.get("fields"), dict)
    return line if is_line and {"id", "time", "level", "terminal", "event"} <= line.keys() else None


class Tail:
    """Gives what was appended since the last look, over rotations and new files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, tuple[int, int]] = {path: _place(path) for path in folder.glob("*.jsonl")}

    def new(self) -> list[Line]:
        """Return the new lines in their order."""
        found: list[Line] = []
        for path in sorted(self._folder.glob("*.jsonl")):
            found += self._of(path)
        return sorted(found, key=_key)

    def _of(self, path: Path) -> list[Line]:
        inode, position = self._read.get(path, (0, 0))
        now_inode, size = _place(path)
        if now_inode != inode or size < position:  # rotated: the end of the old file is in the history
            position = 0
        if size == position:
            self._read[path] = now_inode, position
            return []
        with path.open("rb") as stream:
            stream.seek(position)
            whole, newline, _ = stream.read(size - position).rpartition(b"\n")
        self._read[path] = now_inode, position + len(whole) + len(newline)
        return [line for raw in whole.split(b"\n") if raw and (line := parsed(raw)) is not None]


def _place(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return 0, 0
    return stat.st_ino, stat.st_size
