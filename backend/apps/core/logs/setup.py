"""Joins structlog and logging to a terminal's two outputs; called once, by the terminal's wiring.

Before that, and in every other command, lines go to the screen as structlog does by itself.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import orjson
import structlog
from structlog.stdlib import ProcessorFormatter

from apps.core.logs.files import LineFile, file_of
from apps.core.logs.french import is_quiet, sentence
from apps.core.logs.redaction import Redaction

FOLDER = "logs"
# What a line says of itself; everything else is in its `fields`.
_HEAD = ("time", "level", "event", "trace_id", "user_id", "message", "logger")
_MARKS = {"warning": "⚠ ", "error": "✗ ", "critical": "✗ "}
_LOUD = ("error", "critical")
_ANSWERED_ON_PURPOSE = (502, 503, 504)
_SAID_AGAIN_S = 60.0
_REMEMBERED = 500

Event = MutableMapping[str, Any]


def start(terminal: str, *, data_dir: Path, known_secrets: Iterable[str] = ()) -> LineFile | None:
    """Send what this process logs to its file, and its French sentences to the screen.

    Args:
        terminal: web, heartbeat, heartbeat_secondary, trading_engine or ccxt_service.
        known_secrets: hidden wherever they stand.

    Returns:
        The file; None when its folder cannot be made: the terminal works without.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
        Redaction(known_secrets),
    ]
    structlog.configure(
        processors=[*shared, ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    console = logging.StreamHandler(sys.stdout)
    console.setFormatter(_formatter(shared, _plain if _shows_events() else _Sentences()))
    console.terminator = ""
    handlers: list[logging.Handler] = [console]
    try:
        file: LineFile | None = LineFile(file_of(data_dir / FOLDER, terminal), tell=_say)
    except OSError as exc:
        file = None
        _say(f"⚠ Journal impossible dans {data_dir / FOLDER} : {exc}")
    if file is not None:
        file.setFormatter(_formatter(shared, _Lines(terminal)))
        handlers.append(file)
    logging.getLogger("django.request").addFilter(_is_unforeseen)
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.handlers = handlers
    return file


def _is_unforeseen(record: logging.LogRecord) -> bool:
    """Leave out Django's line of a 502, 503 or 504: we answer those on purpose, and say why in a line of ours."""
    return getattr(record, "status_code", None) not in _ANSWERED_ON_PURPOSE


def secrets_of(settings: Any) -> list[str]:
    """Return the secrets that the settings hold."""
    password = str(settings.DATABASES["default"].get("PASSWORD") or "")
    redis = urlsplit(settings.REDIS_URL).password or ""
    return [settings.SECRET_KEY, settings.METRICS_TOKEN, *settings.SECRET_KEY_FALLBACKS, password, redis]


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def _shows_events() -> bool:
    """For who develops: every line, as an event with its fields, on the screen too."""
    return os.environ.get("ARISTOBOT_LOG_CONSOLE", "") == "events"


def _formatter(shared: list[Any], render: Any) -> ProcessorFormatter:
    # Lines of other libraries pass the same way; ours have passed it already.
    return ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
        processors=[ProcessorFormatter.remove_processors_meta, render],
    )


class _Lines:
    """Renders a line of the file: JSON, its own id and its terminal in it."""

    def __init__(self, terminal: str) -> None:
        self._terminal = terminal
        self._run = uuid4().hex[:8]
        self._number = count(1)

    def __call__(self, logger: Any, method: str, event: Event) -> str:
        fields = {name: value for name, value in event.items() if name not in _HEAD}
        line: dict[str, Any] = {
            "id": f"{self._run}.{next(self._number)}",
            "time": event["time"],
            "level": event["level"],
            "terminal": self._terminal,
            "event": event["event"],
        }
        line |= {name: event[name] for name in ("trace_id", "user_id", "logger") if event.get(name)}
        said = sentence(event["event"], event)
        if said:
            line["message"] = said
        if "message" in event:
            fields["message"] = event["message"]
        return orjson.dumps({**line, "fields": fields}, default=str).decode()


class _Sentences:
    """Renders a sentence, or nothing: developers' events are in the file, and so is what was just said."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._said_at: dict[str, float] = {}

    def __call__(self, logger: Any, method: str, event: Event) -> str:
        said = sentence(event["event"], event)
        if not said and event["level"] in _LOUD:
            said = f"Erreur interne ({event['event']}), détails dans « Journaux »."
        if not said or is_quiet(event["event"], event) or self._is_repeated(said):
            return ""
        return f"{_MARKS.get(event['level'], '')}{said}\n"

    def _is_repeated(self, said: str) -> bool:
        now = self._now()
        if now - self._said_at.get(said, -_SAID_AGAIN_S) < _SAID_AGAIN_S:
            return True
        if len(self._said_at) >= _REMEMBERED:
            self._said_at.clear()
        self._said_at[said] = now
        return False


def _plain(logger: Any, method: str, event: Mapping[str, Any]) -> str:
    rest = " ".join(f"{name}={value!r}" for name, value in event.items() if name not in ("time", "level", "event"))
    return f"{event['time']} {event['level']:<8} {event['event']} {rest}\n"
