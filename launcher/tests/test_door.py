"""The executable script, as interpreters of other versions and systems meet it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from launcher.install import ROOT

FAKE = """
import sys
sys.version_info = {version}
sys.version = "{text} (fake)"
sys.argv = [{script!r}, "status"]
exec(compile(open({script!r}, encoding="utf-8").read(), {script!r}, "exec"), {{"__file__": {script!r}}})
"""


@pytest.mark.parametrize(
    ("version", "text"), [((3, 10, 2), "3.10.2"), ((3, 13, 0), "3.13.0"), ((2, 7, 18), "2.7.18")]
)
def test_unsupported_python_is_refused_with_both_versions(
    tmp_path: Path, version: tuple[int, ...], text: str
) -> None:
    script = tmp_path / "aristobot"  # away from the repository, so that no .venv is found beside it
    script.write_text((ROOT / "aristobot").read_text(encoding="utf-8"), encoding="utf-8")
    code = FAKE.format(version=version, text=text, script=str(script))
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 5
    assert done.stderr.startswith(f"Aristobot3 a besoin de Python 3.11 ou 3.12 ; celui-ci est {text} (")
    assert "conda create -n aristobot python=3.11" in done.stderr


def test_script_starts_from_any_folder(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "aristobot"), "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    for command in ("up", "test", "bench", "status", "doctor", "backup", "restore", "manage"):
        assert command in done.stdout
