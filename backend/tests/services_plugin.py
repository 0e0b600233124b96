"""Starts a PostgreSQL and a Valkey of the test run's own, before Django reads its settings.

Loaded by `-p tests.services_plugin`: pytest-django reads the settings before any `conftest.py`.
`ARISTOBOT_TEST_DATABASE_URL` and `ARISTOBOT_TEST_REDIS_URL` name other servers instead; plain
`DATABASE_URL` and `REDIS_URL` are replaced, so that no test ever writes into an instance in use.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from launcher.embedded import EmbeddedServer, Postgres, Valkey

_FOLDER_PREFIX = "aristobot-test-"
_running: list[EmbeddedServer] = []
_folders: list[Path] = []


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests() -> Generator[None, None, None]:
    """Start the services around the hook in which pytest-django loads the settings."""
    if not _folders:
        _start_services()
    return (yield)


def pytest_unconfigure() -> None:
    """Stop the services and remove their folder."""
    while _running:
        _running.pop().stop()
    while _folders:
        shutil.rmtree(_folders.pop(), ignore_errors=True)


def _start_services() -> None:
    _remove_abandoned_folders()
    folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER_PREFIX}{os.getpid()}-"))
    _folders.append(folder)
    postgres = Postgres(folder / "pg", durable=False)
    valkey = Valkey(folder / "kv")
    os.environ["DATABASE_URL"] = _external_or_start("ARISTOBOT_TEST_DATABASE_URL", postgres)
    os.environ["REDIS_URL"] = _external_or_start("ARISTOBOT_TEST_REDIS_URL", valkey)
    os.environ.setdefault("SECRET_KEY", "secret-key-of-the-tests-only-never-of-an-instance")
    os.environ["ARISTOBOT_DATA_DIR"] = str(folder / "data")
    (folder / "data").mkdir()


def _external_or_start(variable: str, server: EmbeddedServer) -> str:
    external = os.environ.get(variable)
    if external:
        return external
    url = server.start()
    _running.append(server)
    return url


def _remove_abandoned_folders() -> None:
    """Remove what a killed test run left: its services died with it, its folder did not."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*"):
        pid = folder.name.removeprefix(_FOLDER_PREFIX).split("-")[0]
        if pid.isdigit() and not _is_alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
