"""The backup's file and what `backup` and `restore` refuse."""

from __future__ import annotations

import errno
import io
import json
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher import backup, restore
from launcher.archive import ArchiveReader, new_archive
from launcher.database_copy import (
    bring_tables_back,
    dump,
    load,
    migrations_of,
    rows_of,
    set_tables_aside,
    snapshot,
)
from launcher.embedded import Postgres
from launcher.errors import EXIT_DATA_VERSION, EXIT_DISK_FULL, EXIT_USAGE, LauncherError
from launcher.schema import known_migrations
from launcher.tests.test_embedded import sql


def quiet(_: int) -> None: ...


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    server = Postgres(tmp_path_factory.mktemp("pg") / "pg", durable=False)
    server.start()
    sql(server.url, "CREATE TABLE django_migrations (app text, name text)")
    sql(server.url, "INSERT INTO django_migrations VALUES ('core', '0001_initial')")
    sql(server.url, "CREATE TABLE trades AS SELECT generate_series(1, 1000) AS id")
    yield server
    server.stop()


def write(path: Path, content: bytes = b"rows", facts: dict[str, Any] | None = None) -> None:
    with new_archive(path, lambda: facts or {}) as archive:
        archive.add("database.dump", io.BytesIO(content), progress=quiet)


def refusal(path: Path, data_dir: Path, *, replace: bool = False) -> LauncherError:
    with pytest.raises(LauncherError) as caught:
        restore.Restoration(ArchiveReader(path), data_dir, replace=replace, simex=None).run()
    return caught.value


def test_file_is_for_its_owner_and_says_what_it_holds(tmp_path: Path) -> None:
    file = tmp_path / "a.aristobot"
    write(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    archive = ArchiveReader(file)
    archive.verify(quiet)
    assert archive.parts["database.dump"]["bytes"] == 4
    assert [each.name for each in tmp_path.iterdir()] == ["a.aristobot"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_interrupted_writing_leaves_nothing(tmp_path: Path, failure: BaseException) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise failure

    with (
        pytest.raises((KeyboardInterrupt, LauncherError)) as caught,
        new_archive(tmp_path / "a.aristobot", dict) as archive,
    ):
        archive.add("database.dump", Failing(), progress=quiet)
    assert list(tmp_path.iterdir()) == []
    if isinstance(caught.value, LauncherError):
        assert caught.value.exit_code == EXIT_DISK_FULL
        assert "disque plein" in caught.value.message


def test_altered_part_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.aristobot"
    write(file)
    manifest = ArchiveReader(file).manifest
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("database.dump", b"rowz")
        zipped.writestr("manifest.json", json.dumps(manifest))
    with pytest.raises(LauncherError, match="SHA-256"):
        ArchiveReader(file).verify(quiet)


def test_truncated_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.aristobot"
    write(file, b"x" * 5000)
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(LauncherError, match="tronquée"):
        ArchiveReader(file)


def test_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(LauncherError, match="existe déjà"):
        backup.check_target(tmp_path / "a")


def test_env_carries_the_key_and_not_this_machine_s_servers(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DATABASE_URL=postgres://u:secret@h/d\nPUBLIC_URL=https://a.example\n")
    text = backup.env_text(tmp_path, {"SECRET_KEY": "clé de l'hôte", "SECRET_KEY_FALLBACKS": ""})
    assert "secret" not in text
    assert text.splitlines() == ["PUBLIC_URL=https://a.example", 'SECRET_KEY="clé de l\'hôte"']


def test_restore_refuses_a_newer_backup_and_a_folder_in_use(tmp_path: Path) -> None:
    file, there = tmp_path / "a.aristobot", tmp_path / "data"
    facts = {"product": "aristobot3", "format": 1, "data_format": 1, "migrations": ["core.0099_later"]}
    write(file, facts=facts)
    newer = refusal(file, there)
    assert (newer.exit_code, "core.0099_later" in newer.message) == (EXIT_DATA_VERSION, True)
    file.unlink()
    write(file, facts={**facts, "migrations": sorted(known_migrations())})
    there.mkdir()
    (there / "postgres").mkdir()
    full = refusal(file, there)
    assert (full.exit_code, "n'est pas vide" in full.message) == (EXIT_USAGE, True)


def test_dump_is_of_the_snapshot_whatever_is_written_meanwhile(postgres: Postgres, tmp_path: Path) -> None:
    other = postgres.url.replace("/aristobot?", "/copie?")
    sql(postgres.url, "CREATE DATABASE copie")
    with snapshot(postgres.url) as at:
        sql(postgres.url, "INSERT INTO trades VALUES (1001)")
        with dump(postgres.url, at) as stream:
            copy = stream.read()
    assert at.rows == {"django_migrations": 1, "trades": 1000}
    load(other, io.BytesIO(copy), quiet)
    assert (rows_of(other), migrations_of(other)) == (at.rows, ["core.0001_initial"])
    set_tables_aside(other)  # --replace: what a restoration that fails must bring back
    assert rows_of(other) == {}
    sql(other, "CREATE TABLE half (id int)")
    bring_tables_back(other)
    assert rows_of(other) == at.rows


def test_password_of_a_database_never_shows_in_a_command_line() -> None:
    from launcher.database_copy import tool

    command, env = tool("pg_dump", "postgres://lea:p%40ss@db.example:5433/aristobot?sslmode=require")
    assert command[-1] == "--dbname=postgres://lea@db.example:5433/aristobot?sslmode=require"
    assert env["PGPASSWORD"] == "p@ss"
