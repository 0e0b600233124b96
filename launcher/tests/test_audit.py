"""The audit of dependencies: what cannot be verified is told as such, neither passed nor failed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from launcher import audit
from launcher.gate import Counts, read_junit


@pytest.mark.parametrize(
    ("licence", "refused"),
    [
        ("MIT", False),
        ("BSD-3-Clause", False),
        ("LGPL-3.0-only", False),
        ("GNU Lesser General Public License v3 (LGPLv3)", False),
        ("MPL-2.0", False),
        ("GPL-2.0-or-later OR MIT", False),
        ("GPL-3.0-only", True),
        ("AGPL-3.0-or-later", True),
        ("GNU General Public License v3 (GPLv3)", True),
        ("GNU Affero General Public License v3", True),
        ("", True),
    ],
)
def test_strong_copyleft_and_unknown_licences_are_refused(licence: str, refused: bool) -> None:
    assert audit.is_refused(licence) is refused


def said(monkeypatch: pytest.MonkeyPatch, output: str) -> None:
    def run(command: Any, **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, stdout=output, stderr="")

    monkeypatch.setattr(subprocess, "run", run)


CLEAN = {"name": "a", "version": "1", "vulns": []}
WEAK = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1"}]}
UNKNOWN = {"name": "c", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("packages", "failed", "unverified"),
    [
        ([CLEAN], "", ""),
        ([CLEAN, WEAK, UNKNOWN], "b 2 : PYSEC-1", ""),
        ([CLEAN, UNKNOWN], "", "1 paquets sur 2 inconnus du registre atteint"),
    ],
)
def test_python_packages_are_safe_weak_or_not_verified(
    monkeypatch: pytest.MonkeyPatch, packages: list[Any], failed: str, unverified: str
) -> None:
    said(monkeypatch, json.dumps({"dependencies": packages}))
    verdict = audit.known_weaknesses_of_python()
    assert (verdict.failed, verdict.unverified) == (failed, unverified)


@pytest.mark.parametrize(
    ("output", "failed", "is_unverified"),
    [
        ('{"vulnerabilities": {}}', "", False),
        ('{"vulnerabilities": {"vue": {"severity": "high"}}}', "vue (high)", False),
        ('{"message": "405 Method Not Allowed", "error": {}}', "", True),
        ("npm error audit endpoint returned an error", "", True),
    ],
)
def test_browser_packages_are_safe_weak_or_not_verified(
    monkeypatch: pytest.MonkeyPatch, output: str, failed: str, is_unverified: bool
) -> None:
    said(monkeypatch, output)
    verdict = audit.known_weaknesses_of_node()
    assert (verdict.failed, bool(verdict.unverified)) == (failed, is_unverified)


def test_report_counts_what_was_not_verified_as_skipped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(monkeypatch, "hors d'atteinte")
    monkeypatch.setattr(audit, "licences", lambda: audit.Verdict("licences"))
    assert audit.main([f"--junit={tmp_path / 'r.xml'}"]) == 0
    assert read_junit(tmp_path / "r.xml") == Counts(passed=1, skipped=2)
    assert capsys.readouterr().out.count("non vérifié") == 2
