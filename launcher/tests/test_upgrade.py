"""An older database is saved before it changes; a newer one is refused."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher import checkup
from launcher.archive import ArchiveReader
from launcher.embedded import Postgres
from launcher.errors import EXIT_DATA_VERSION, LauncherError
from launcher.schema import known_migrations
from launcher.screen import Screen
from launcher.tests.test_embedded import sql
from launcher.upgrade import save_before_migrating


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = Postgres(tmp_path_factory.mktemp("pg") / "pg", durable=False)
    yield server.start()
    server.stop()


@pytest.fixture(autouse=True)
def empty(url: str) -> None:
    sql(url, "DROP TABLE IF EXISTS django_migrations")


def applied(url: str, *names: str) -> None:
    sql(url, "CREATE TABLE django_migrations (app text, name text)")
    for name in names:
        app, _, migration = name.partition(".")
        sql(url, f"INSERT INTO django_migrations VALUES ('{app}', '{migration}')")  # noqa: S608 — fixed names


def save(url: str, data_dir: Path) -> tuple[Path | None, str]:
    said = io.StringIO()
    return save_before_migrating(data_dir, {"DATABASE_URL": url, "SECRET_KEY": "k"}, Screen(stream=said)), (
        said.getvalue()
    )


def test_older_database_is_saved_and_it_is_said(url: str, tmp_path: Path) -> None:
    applied(url, "core.0001_initial")
    path, said = save(url, tmp_path)
    assert path is not None
    assert ArchiveReader(path).manifest["migrations"] == ["core.0001_initial"]
    assert f"{len(known_migrations()) - 1} migrations à faire" in said


@pytest.mark.parametrize("is_new", [True, False])
def test_new_or_current_database_is_not_saved(url: str, tmp_path: Path, is_new: bool) -> None:
    if not is_new:
        applied(url, *known_migrations())
    assert save(url, tmp_path) == (None, "")
    assert list(tmp_path.iterdir()) == []


def test_newer_database_is_refused_untouched(url: str, tmp_path: Path) -> None:
    applied(url, *known_migrations(), "orders.0999_later")
    with pytest.raises(LauncherError, match=r"orders\.0999_later") as caught:
        save(url, tmp_path)
    assert caught.value.exit_code == EXIT_DATA_VERSION
    assert list(tmp_path.iterdir()) == []


def test_doctor_tells_the_last_backup_and_its_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINANCE_REST_URL", "http://127.0.0.1:9")  # nobody there
    monkeypatch.delenv("DATABASE_URL", raising=False)
    (tmp_path / "version").touch()
    told = {name: problem for _, name, problem in checkup.findings(tmp_path)}
    assert "aucune" in told["Dernière sauvegarde"]
    file = tmp_path / "s.aristobot"
    file.touch()
    checkup.note_backup(tmp_path, file, "2026-01-02T03:04:05.000000Z")
    name, problem = next((name, problem) for _, name, problem in checkup.findings(tmp_path) if "sauvegarde" in name)
    assert "02/01/2026 à 03:04" in name
    assert "jours" in problem
