"""Which migrations this version of the program knows."""

from __future__ import annotations

from collections.abc import Iterable

from launcher.services import BACKEND


def known_migrations() -> set[str]:
    """Our own migrations, as "app.name"."""
    return {f"{path.parent.parent.name}.{path.stem}" for path in BACKEND.glob("apps/*/migrations/[0-9]*.py")}


def unknown_migrations(applied: Iterable[str]) -> list[str]:
    """Those of our rooms that a database has known and this version does not: it comes from a newer one."""
    known = known_migrations()
    rooms = {name.partition(".")[0] for name in known}
    return sorted(name for name in applied if name.partition(".")[0] in rooms and name not in known)
