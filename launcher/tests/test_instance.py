"""What stops a start before anything runs: the data folder, the port, the disk."""

import json
import socket
from pathlib import Path

import pytest

from launcher.errors import (
    EXIT_DATA_IN_USE,
    EXIT_DATA_VERSION,
    EXIT_DISK_FULL,
    EXIT_PORT_TAKEN,
    LauncherError,
)
from launcher.instance import Instance, check_free_space, check_port_free, free_port


def test_new_folder_is_created_private_with_its_version(tmp_path: Path) -> None:
    instance = Instance(tmp_path / "deep" / "data")
    with instance.open():
        assert json.loads(instance.version_file.read_text()) == {"data_format": 1, "postgresql": "18"}
        assert instance.data_dir.stat().st_mode & 0o777 == 0o700


def test_second_instance_on_the_same_folder_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    with instance.open():
        assert instance.is_running()
        with pytest.raises(LauncherError, match="déjà utilisé par une autre instance") as caught:
            instance.open()
        assert caught.value.exit_code == EXIT_DATA_IN_USE
    assert not instance.is_running()
    instance.open().close()


def test_folder_of_another_version_is_refused_with_both_versions(tmp_path: Path) -> None:
    (tmp_path / "version").write_text('{"data_format": 1, "postgresql": "16"}')
    with pytest.raises(LauncherError, match=r'"postgresql": "16".*attendu.*"18"') as caught:
        Instance(tmp_path).open()
    assert caught.value.exit_code == EXIT_DATA_VERSION


def test_refused_folder_is_left_unlocked(tmp_path: Path) -> None:
    (tmp_path / "version").write_text("unreadable")
    with pytest.raises(LauncherError, match="unreadable"):
        Instance(tmp_path).open()
    assert not Instance(tmp_path).is_running()


def test_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.odt").write_text("")
    with pytest.raises(LauncherError, match=r"thesis\.odt") as caught:
        Instance(tmp_path).open()
    assert caught.value.exit_code == EXIT_DATA_VERSION


def test_env_file_written_beforehand_is_accepted(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1")
    Instance(tmp_path).open().close()


def test_data_folder_that_is_a_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LauncherError, match="inutilisable"):
        Instance(tmp_path / "file").open()


def test_run_state_is_read_only_while_the_instance_runs(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    with instance.open():
        instance.write_run({"port": 8000})
        assert instance.read_run() == {"port": 8000}
    assert instance.read_run() == {}


def test_taken_port_is_refused_with_its_number() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(LauncherError, match=f"Le port {port} de 127.0.0.1 est déjà pris") as caught:
            check_port_free("127.0.0.1", port)
    assert caught.value.exit_code == EXIT_PORT_TAKEN


def test_address_of_another_machine_is_refused() -> None:
    with pytest.raises(LauncherError, match="ARISTOBOT_HOST"):
        check_port_free("192.0.2.1", free_port())


def test_free_port_is_accepted() -> None:
    check_port_free("127.0.0.1", free_port())


def test_nearly_full_disk_is_refused_with_figures(tmp_path: Path) -> None:
    with pytest.raises(LauncherError, match=r"Disque plein : \d+ Mo libres") as caught:
        check_free_space(tmp_path / "not" / "yet", needed_bytes=10**18)
    assert caught.value.exit_code == EXIT_DISK_FULL


def test_disk_that_fills_while_the_folder_is_made_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object, **__: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", no_space)
    with pytest.raises(LauncherError, match="Disque plein") as caught:
        Instance(tmp_path).open()
    assert caught.value.exit_code == EXIT_DISK_FULL
