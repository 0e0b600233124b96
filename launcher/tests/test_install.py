"""What a failed installation says, and which lock counts as installed."""

from pathlib import Path

import pytest

from launcher import install
from launcher.errors import EXIT_DISK_FULL, EXIT_FAILURE, EXIT_NETWORK, LauncherError
from launcher.install import install_error, lock_stamp, python_packages_current, run_tool
from launcher.stamps import write_stamp


@pytest.mark.parametrize(
    ("output", "code", "said"),
    [
        ("error: Failed to fetch: dns error", EXIT_NETWORK, "pas d'accès au registre de paquets"),
        ("npm error code EAI_AGAIN", EXIT_NETWORK, "pas d'accès au registre de paquets"),
        ("OSError: [Errno 28] No space left on device", EXIT_DISK_FULL, "disque plein"),
        ("SyntaxError: unexpected token", EXIT_FAILURE, "échec (code 1)"),
    ],
)
def test_failed_installation_names_its_cause(output: str, code: int, said: str) -> None:
    error = install_error("Installation de uv", 1, output)
    assert error.exit_code == code
    assert error.message.startswith("Installation de uv : ")
    assert said in error.message
    assert output in error.message


def test_tool_that_fails_raises_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(LauncherError, match="what it said"):
        run_tool("Étape", ["sh", "-c", "echo what it said; exit 3"], tmp_path, {"PATH": "/bin:/usr/bin"})


def test_dev_lock_counts_as_runtime_but_not_the_reverse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "_LOCK_STAMP", tmp_path / "stamp")
    monkeypatch.setattr(install, "VENV_PYTHON", tmp_path)
    assert not python_packages_current("runtime")
    write_stamp(tmp_path / "stamp", lock_stamp("runtime"))
    assert (python_packages_current("runtime"), python_packages_current("dev")) == (True, False)
    write_stamp(tmp_path / "stamp", lock_stamp("dev"))
    assert (python_packages_current("runtime"), python_packages_current("dev")) == (True, True)


def test_changed_lock_is_installed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "requirements").mkdir()
    lock = tmp_path / "requirements" / "runtime.lock"
    monkeypatch.setattr(install, "ROOT", tmp_path)
    lock.write_text("django==4.2.30")
    before = lock_stamp("runtime")
    lock.write_text("django==4.2.31")
    assert lock_stamp("runtime") != before


@pytest.mark.parametrize("name", ["runtime", "dev", "uv"])
def test_lock_names_no_registry_and_hashes_everything(name: str) -> None:
    text = (install.ROOT / "requirements" / f"{name}.lock").read_text()
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text
    requirements = text.replace("\\\n", "").splitlines()
    assert requirements
    assert all("==" in each and "--hash=sha256:" in each for each in requirements)
