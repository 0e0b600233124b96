"""Secrets that can be recognised, given to an instance, then looked for in everything that it wrote or told.

What is looked through: the terminals' output and log files, every file of the data folder (Redis's append-only
file holds every command that its streams ever took), every row of every table as text, every answer and every
event of the browser's socket.
"""

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Origin

from domain.messages import TOPICS
from tests.system.instance import Instance
from tests.system.trader import Trader

# The key of a session is a row of Django's by nature; `docs/security.md` says what that means for a stolen backup.
_KEYS_OF_SESSIONS = {"django_session", "user_sessions"}
_OWN_FORMATS = {"postgres"}  # files whose content is read by SQL
_KEPT_ELSEWHERE = {".env"}  # SECRET_KEY itself


class Listener(threading.Thread):
    """A page of the user's that hears everything; `heard` is all that it was told."""

    def __init__(self, trader: Trader, url: str) -> None:
        super().__init__(daemon=True)
        self.heard: list[str] = []
        headers = {"Cookie": trader.cookie_header()}
        self._socket = connect(
            url.replace("http", "ws", 1) + "/ws/", origin=Origin(url), additional_headers=headers
        )
        self._socket.send(json.dumps({"type": "subscribe", "topics": list(TOPICS)}))

    def run(self) -> None:
        try:
            for message in self._socket:
                self.heard.append(str(message))
        except ConnectionClosed:
            return

    def end(self) -> None:
        self._socket.close()
        self.join(10)


def found_in(text: str, canaries: Mapping[str, str]) -> set[str]:
    """Return the names of the canaries that a text holds, as they are or in hexadecimal (as bytea columns are)."""
    return {name for name, canary in canaries.items() if canary in text or canary.encode().hex() in text}


def leaks(instance: Instance, canaries: Mapping[str, str]) -> tuple[list[str], int]:
    """Return where canaries were found, and how many places were looked through."""
    places = {"terminals": "\n".join(instance.output), **_files(instance.data_dir), **_tables(instance)}
    found = [
        f"{name} in {place}"
        for place, text in places.items()
        for name in sorted(found_in(text, canaries))
        if not (name == "session cookie" and place.removeprefix("table ") in _KEYS_OF_SESSIONS)
    ]
    return found, len(places)


def _files(folder: Path) -> dict[str, str]:
    return {
        f"file {path.relative_to(folder)}": path.read_bytes().decode("utf-8", "replace")
        for path in folder.rglob("*")
        if path.is_file()
        and path.relative_to(folder).parts[0] not in _OWN_FORMATS
        and path.name not in _KEPT_ELSEWHERE
    }


def _tables(instance: Instance) -> dict[str, str]:
    with psycopg.connect(instance.setting("DATABASE_URL")) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        return {f"table {name}": _rows(connection, name) for (name,) in names}


def _rows(connection: psycopg.Connection[Any], table: str) -> str:
    query = sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(table))
    return "\n".join(row[0] for row in connection.execute(query))
