"""The real PostgreSQL and Valkey of the wheels."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.embedded import Postgres, Valkey, postgres_bin_dir, socket_dir
from launcher.errors import EXIT_DATA_VERSION, LauncherError
from launcher.tests.processes import wait_until


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Postgres]:
    server = Postgres(tmp_path / "pg")
    yield server
    server.stop()


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    server = Valkey(tmp_path / "kv")
    yield server
    server.stop()


def sql(url: str, statement: str) -> str:
    psql = [str(postgres_bin_dir() / "psql"), url, "-tA", "-v", "ON_ERROR_STOP=1", "-c", statement]
    return subprocess.run(psql, capture_output=True, text=True, check=True).stdout.strip()


def main_pid(server: Postgres) -> int:
    return int((server.data_dir / "postmaster.pid").read_text().splitlines()[0])


def test_postgres_is_durable_in_utc_and_listens_on_no_port(postgres: Postgres) -> None:
    url = postgres.start()
    shown = sql(url, "SELECT concat_ws('|', current_database(), current_setting('timezone'))")
    assert shown == "aristobot|UTC"
    assert sql(url, "SHOW fsync") == "on"
    assert sql(url, "SHOW listen_addresses") == ""
    assert sql(url, "SHOW server_encoding") == "UTF8"


def test_committed_row_survives_kill_9_of_postgres(postgres: Postgres) -> None:
    url = postgres.start()
    sql(url, "CREATE TABLE t AS SELECT 42 AS n")
    os.kill(main_pid(postgres), signal.SIGKILL)
    wait_until(lambda: not postgres.ready())
    postgres.stop()
    wait_until(lambda: _starts(postgres))
    assert sql(url, "SELECT n FROM t") == "42"


def _starts(server: Postgres) -> bool:
    """PostgreSQL refuses to start while a backend of the killed one is still ending."""
    try:
        server.start()
    except LauncherError:
        return False
    return True


def test_interrupted_creation_is_begun_again(postgres: Postgres) -> None:
    draft = postgres.data_dir.with_name("pg.new")
    draft.mkdir()
    (draft / "half").write_text("")
    postgres.start()
    assert not draft.exists()


def test_cluster_of_another_version_is_refused(postgres: Postgres) -> None:
    postgres.data_dir.mkdir()
    (postgres.data_dir / "PG_VERSION").write_text("16\n")
    with pytest.raises(LauncherError, match=r"base PostgreSQL 16, .* PostgreSQL 18") as caught:
        postgres.start()
    assert caught.value.exit_code == EXIT_DATA_VERSION


def test_deep_data_folder_gets_a_short_private_socket_folder(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 60) / ("y" * 60)
    folder = socket_dir(deep, "valkey.sock")
    assert len(str(folder / "valkey.sock")) < 100
    assert folder.stat().st_mode & 0o777 == 0o700
    assert socket_dir(deep, "valkey.sock") == folder
    folder.rmdir()


def test_socket_folder_open_to_others_is_refused(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 60) / ("z" * 60)
    folder = socket_dir(deep, "valkey.sock")
    folder.chmod(0o755)
    with pytest.raises(LauncherError, match="n'appartient pas à cet utilisateur seul"):
        socket_dir(deep, "valkey.sock")
    folder.rmdir()


def test_valkey_answers_and_stops_answering_once_stopped(valkey: Valkey) -> None:
    assert not valkey.ready()
    valkey.start()
    assert valkey.ready()
    valkey.stop()
    assert not valkey.ready()


def test_valkey_that_cannot_write_says_so(valkey: Valkey) -> None:
    valkey.data_dir.write_text("a file in the way")
    with pytest.raises((LauncherError, OSError)):
        valkey.start()
