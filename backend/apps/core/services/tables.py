"""Terminals 3 and 5 wait for the tables that they were written for: on separate hosts they may start first."""

import asyncio
from pathlib import Path

import structlog
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from apps.core.adapters.database import in_database
from domain.errors import Unavailable
from domain.ports import Clock

log = structlog.get_logger(__name__)

_APPS = Path(__file__).resolve().parents[2]
_LOOK_S = 2.0


async def wait_for_tables(*, clock: Clock, stop: asyncio.Event | None = None) -> None:
    """Return once every migration of this version is applied, or `stop` is set, or the database does not answer.

    A database that is away is no reason to wait: each part of a terminal knows what to do then.
    """
    is_told = False
    while stop is None or not stop.is_set():
        try:
            missing = await in_database(missing_migrations)
        except Unavailable:
            return
        if not missing:
            return
        if not is_told:
            log.warning("terminal.tables_behind", missing=len(missing), first=missing[0])
            is_told = True
        await clock.sleep(_LOOK_S)


def missing_migrations() -> list[str]:
    """Return our own migrations that the database has not known yet, as "app.name"."""
    known = {(path.parent.parent.name, path.stem) for path in _APPS.glob("*/migrations/[0-9]*.py")}
    applied = set(MigrationRecorder(connection).applied_migrations())
    return sorted(f"{app}.{name}" for app, name in known - applied)
