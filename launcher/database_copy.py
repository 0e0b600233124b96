"""Copies a database into a stream and back, with PostgreSQL's own tools from the wheel, at one instant.

A transaction of ours exports its snapshot; the dump, the row counts and whatever the caller notes meanwhile see
the same committed rows, while the instance goes on writing.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from launcher.embedded import postgres_bin_dir
from launcher.errors import EXIT_DISK_FULL, LauncherError

_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
_MIGRATIONS = "SELECT app || '.' || name FROM django_migrations ORDER BY 1"


@dataclass(frozen=True)
class Snapshot:
    """One instant of a database. `rows` by table, `migrations` as "app.name"."""

    name: str
    taken_at: str
    server: str
    rows: dict[str, int]
    migrations: list[str]


def _connect(database_url: str) -> Any:
    import psycopg  # of the virtual environment: the launcher itself starts without it

    try:
        return psycopg.connect(database_url, connect_timeout=10, autocommit=True)
    except psycopg.Error as error:
        raise LauncherError(f"Base de données injoignable : {str(error).strip()}") from error


@contextmanager
def snapshot(database_url: str) -> Iterator[Snapshot]:
    """Hold one instant of the database until the end of the block.

    Raises:
        LauncherError: the database is out of reach, or has no table of ours.
    """
    with _connect(database_url) as connection:
        connection.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        name, taken_at, server = connection.execute(
            "SELECT pg_export_snapshot(), to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),"
            " current_setting('server_version')"
        ).fetchone()
        rows = count_rows(connection)
        if "django_migrations" not in rows:
            raise LauncherError("Cette base ne contient aucune table d'Aristobot : rien à sauvegarder.")
        migrations = [row[0] for row in connection.execute(_MIGRATIONS)]
        yield Snapshot(name, taken_at, server, rows, migrations)


def count_rows(connection: Any) -> dict[str, int]:
    """Count the rows of every table as the connection sees them."""
    from psycopg import sql

    counts = {}
    for (table,) in connection.execute(_TABLES).fetchall():
        statement = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
        counts[str(table)] = int(connection.execute(statement).fetchone()[0])
    return counts


def rows_of(database_url: str) -> dict[str, int]:
    """Count the rows of every table now."""
    with _connect(database_url) as connection:
        return count_rows(connection)


def migrations_of(database_url: str) -> list[str]:
    """The migrations that a database has known, as "app.name"; empty for a new one."""
    with _connect(database_url) as connection:
        there = connection.execute("SELECT to_regclass('public.django_migrations') IS NOT NULL").fetchone()[0]
        return [row[0] for row in connection.execute(_MIGRATIONS)] if there else []


_ASIDE = "avant_restauration"


def set_tables_aside(database_url: str) -> None:
    """Give the tables that are there another schema; only ever called after the user said so."""
    with _connect(database_url) as connection, connection.transaction():
        connection.execute(f"DROP SCHEMA IF EXISTS {_ASIDE} CASCADE")
        connection.execute(f"ALTER SCHEMA public RENAME TO {_ASIDE}")
        connection.execute("CREATE SCHEMA public")


def forget_tables_aside(database_url: str) -> None:
    """Drop what was set aside, once what replaces it is whole."""
    with _connect(database_url) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {_ASIDE} CASCADE")


def bring_tables_back(database_url: str) -> None:
    """Undo `set_tables_aside`, with whatever came in the meantime."""
    with _connect(database_url) as connection, connection.transaction():
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute(f"ALTER SCHEMA {_ASIDE} RENAME TO public")


@contextmanager
def dump(database_url: str, at: Snapshot) -> Iterator[IO[bytes]]:
    """Stream `pg_dump`'s custom format of that instant.

    Raises:
        LauncherError: it failed; the end of what it said is quoted. Nothing of the stream may be kept then.
    """
    # Not compressed: which methods its build knows varies, and the file compresses all of its parts.
    options = ["--format=custom", "--compress=none", "--no-owner", "--no-privileges", f"--snapshot={at.name}"]
    command, env = tool("pg_dump", database_url, *options)
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if process.stdout is None or process.stderr is None:
        raise LauncherError("pg_dump : pas de sortie à lire.")
    try:
        yield process.stdout
        said = process.stderr.read().decode(errors="replace")
        if process.wait():
            raise LauncherError(f"pg_dump a échoué (code {process.returncode}) : {said.strip()[-800:]}")
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def load(database_url: str, source: IO[bytes], progress: Any) -> None:
    """Feed a stream of `dump` to `pg_restore`, in one transaction.

    Raises:
        LauncherError: it failed and the database is as before.
    """
    options = ["--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction"]
    command, env = tool("pg_restore", database_url, *options)
    process = subprocess.Popen(
        command, env=env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    if process.stdin is None or process.stderr is None:
        raise LauncherError("pg_restore : pas d'entrée à écrire.")
    try:
        _feed(process.stdin, source, progress)
        said = process.stderr.read().decode(errors="replace")
        if process.wait():
            code = EXIT_DISK_FULL if "No space left on device" in said else 1
            raise LauncherError(f"pg_restore a échoué (code {process.returncode}) : {said.strip()[-800:]}", code)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _feed(target: IO[bytes], source: IO[bytes], progress: Any) -> None:
    done = 0
    try:
        while chunk := source.read(1 << 20):
            target.write(chunk)
            done += len(chunk)
            progress(done)
        target.close()
    except BrokenPipeError:
        return  # it ended early: its exit code and its words say why


def tool(name: str, database_url: str, *options: str) -> tuple[list[str], Mapping[str, str]]:
    """A command line of one of PostgreSQL's programs and its environment.

    The password goes by the environment: a command line can be read by everybody on the machine.
    """
    parts = urlsplit(database_url)
    user, _, host = parts.netloc.rpartition("@")
    login, _, password = user.partition(":")
    bare = urlunsplit(parts._replace(netloc=f"{login}@{host}" if login else host))
    env = {**os.environ, **({"PGPASSWORD": unquote(password)} if password else {})}
    return [str(postgres_bin_dir() / name), *options, f"--dbname={bare}"], env
