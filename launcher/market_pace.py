"""Where the simulated market of a data folder stands, and whether it can go as fast as asked.

The endless walk never overtakes the wall clock: once there, it goes at the wall clock's pace whatever its speed.
A folder first started at speed 1 has its market there already.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from launcher.errors import EXIT_USAGE, LauncherError
from launcher.options import UpOptions

_JOURNAL = Path("simex", "journal.jsonl")
_LEAST_FAST_S = 600.0  # a fast market that lasts less than this is not what was asked for
_MINUTE_S = 60.0
_WORTH_SAYING_S = 86_400.0
_FREE_SPEED = 60.0  # `max` goes as fast as its listeners can: counted as no slower than this


def check_speed(options: UpOptions, now_ms: int | None = None) -> str:
    """Return what is to be said about how long a walk can keep its speed, "" for nothing.

    Raises:
        LauncherError: its market stands at the wall clock, or so near that the speed would have no effect.
    """
    speed = _FREE_SPEED if options.speed == "max" else float(options.speed)
    market_ms = walk_time_ms(options.data_dir) if options.feed == "walk" and speed > 1 else None
    if market_ms is None:
        return ""
    behind_s = max(0.0, ((time.time_ns() // 1_000_000 if now_ms is None else now_ms) - market_ms) / 1000)
    lasts_s = behind_s / (speed - 1)
    if lasts_s < _LEAST_FAST_S:
        raise LauncherError(_refusal(options, behind_s), EXIT_USAGE)
    if lasts_s > _WORTH_SAYING_S:
        return ""
    return (
        f"Le marché simulé a {_duration(behind_s)} de retard sur l'horloge : à --speed {options.speed} il la "
        f"rejoint dans {_duration(lasts_s)} environ, puis va à sa vitesse."
    )


def walk_time_ms(data_dir: Path) -> int | None:
    """Read from simex's journal where the walk of a data folder stands, None when it has not begun."""
    path = data_dir / _JOURNAL
    if not path.is_file():
        return None
    clock, key, last = None, "", b""
    with path.open("rb") as lines:
        for line in lines:
            if line.startswith(b'{"run"'):
                clock = _clock_of(last, clock) if _is_walk(key) else clock
                key, last = str(json.loads(line)["key"]), line
            elif b'"clock":' in line and line.endswith(b"\n"):  # one cut off by a kill never counted
                last = line
    return _clock_of(last, clock) if _is_walk(key) else clock


def _is_walk(key: str) -> bool:
    return key.startswith("walk:")


def _clock_of(line: bytes, otherwise: int | None) -> int | None:
    found = json.loads(line).get("clock")
    return int(found) if found is not None else otherwise


def _refusal(options: UpOptions, behind_s: float) -> str:
    where = f"n'a que {_duration(behind_s)} de retard sur" if behind_s >= _MINUTE_S else "est déjà à l'heure de"
    return (
        f"--speed {options.speed} impossible avec {options.data_dir} : le marché simulé de ce dossier {where} "
        "l'horloge et ne peut pas la dépasser : il irait à sa vitesse, une minute par minute. "
        "Pour un marché rapide, prenez un dossier neuf, qui commence loin dans le passé : "
        f"./aristobot up --speed {options.speed} --data-dir {options.data_dir}-{options.speed} ; "
        "sinon, laissez --speed 1."
    )


def _duration(seconds: float) -> str:
    minutes = round(seconds / _MINUTE_S)
    if minutes < 60:
        return f"{minutes} min"
    hours = round(seconds / 3600)
    return f"{hours} h" if hours < 48 else f"{round(hours / 24)} jours"
