"""`./aristobot test`: the gate. Every stage is timed, and the last line is the sum of all of them.

Invariant: a stage that could not run is never counted as passed: it failed, or it is reported as
absent and counted as skipped, with its reason.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from launcher.errors import LauncherError
from launcher.gate_stages import GROUPS, Stage, stages
from launcher.install import (
    FRONTEND,
    ROOT,
    VENV,
    VENV_PYTHON,
    install_node_packages,
    install_python_packages,
    installation_lock,
    node_environment,
)
from launcher.screen import Screen, french_seconds

__all__ = ["GROUPS", "Counts", "run", "run_inside"]

_E2E = ROOT / "e2e"
_NO_TEST_COLLECTED = 5
_WORDS_SHOWN = 160  # of a failure's message, beside its test's name


@dataclass(frozen=True)
class Counts:
    """How many tests passed, failed and were skipped."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Counts) -> Counts:
        """Sum two counts."""
        return Counts(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        """The sentence that scripts read."""
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


@dataclass(frozen=True)
class Result:
    """What one stage gave; `absent` says why it could not run, `failures` name what failed and why."""

    stage: Stage
    counts: Counts
    seconds: float
    absent: str = ""
    failures: tuple[str, ...] = ()


def run(groups: Sequence[str], pytest_arguments: Sequence[str]) -> int:
    """Install the development lock, then run the gate in the virtual environment."""
    with installation_lock():
        install_python_packages("dev", Screen(total_steps=1))
    command = [str(VENV_PYTHON), str(ROOT / "aristobot"), "_gate", *groups]
    sys.stdout.flush()
    os.execv(command[0], [*command, *(["--", *pytest_arguments] if pytest_arguments else [])])  # noqa: S606 - no shell wanted


def run_inside(groups: Sequence[str], pytest_arguments: Sequence[str]) -> int:
    """Run the chosen stages (all when none is named) and print the summary.

    Returns:
        0 when nothing failed, 1 otherwise.
    """
    chosen = [stage for stage in stages() if not groups or stage.group in groups]
    _install_for(chosen)
    results = []
    with tempfile.TemporaryDirectory(prefix="aristobot-gate-") as reports:
        for index, stage in enumerate(chosen):
            results.append(_run_stage(stage, Path(reports, f"{index}.xml"), pytest_arguments))
    return _summary(results)


def _install_for(chosen: Sequence[Stage]) -> None:
    """Install the Node packages that the chosen stages need; a failure shows in those stages."""
    folders = [folder for folder in (FRONTEND, _E2E) if any(stage.cwd == folder for stage in chosen)]
    present = [folder for folder in folders if (folder / "package.json").is_file()]
    with installation_lock():
        for folder in present:
            try:
                install_node_packages(folder, Screen(total_steps=1), f"Paquets Node de {folder.name}")
            except LauncherError as error:
                print(f"Erreur : {error.message}", flush=True)  # noqa: T201


def _run_stage(stage: Stage, report: Path, pytest_arguments: Sequence[str]) -> Result:
    _print(f"\n━━ {stage.group} · {stage.name}")
    absent = next((str(p.relative_to(ROOT)) for p in stage.needs if not p.exists()), "")
    if absent:
        _print(f"absent : {absent} n'existe pas")
        return Result(stage, Counts(skipped=1), 0.0, f"{absent} n'existe pas")
    command = [part.replace("{report}", str(report)) for part in stage.command]
    if stage.is_pytest:
        command += pytest_arguments
    began = time.monotonic()
    code = subprocess.run(
        command, cwd=stage.cwd, env=_environment(report), stdin=subprocess.DEVNULL, check=False
    ).returncode
    seconds = time.monotonic() - began
    if stage.is_pytest and code == _NO_TEST_COLLECTED:
        return Result(stage, Counts(skipped=1), seconds, "aucun test trouvé")
    return Result(stage, count(stage, code, report), seconds, failures=failures(report))


def count(stage: Stage, code: int, report: Path) -> Counts:
    """Count a stage: its report's tests when it writes one, else one for the whole.

    A stage that ended badly without a failed test in its report (a crash, a time-out) is one failure.
    """
    if not stage.has_report:
        return Counts(passed=int(code == 0), failed=int(code != 0))
    counts = read_junit(report) if report.is_file() else Counts()
    if (code != 0 and counts.failed == 0) or counts == Counts():
        return counts + Counts(failed=1)
    return counts


def read_junit(report: Path) -> Counts:
    """Count the test cases of a JUnit file: pytest, Vitest and Playwright all write one."""
    failed = skipped = total = 0
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - written by our own tools
        total += 1
        kinds = {child.tag for child in case}
        failed += bool(kinds & {"failure", "error"})
        skipped += not kinds & {"failure", "error"} and "skipped" in kinds
    return Counts(total - failed - skipped, failed, skipped)


def failures(report: Path) -> tuple[str, ...]:
    """Name the failed test cases of a JUnit file, each with the first words of its message."""
    if not report.is_file():
        return ()
    told = []
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - written by our own tools
        for child in case:
            if child.tag in ("failure", "error"):
                words = " ".join((child.get("message") or child.text or "").split())[:_WORDS_SHOWN]
                told.append(f"{case.get('classname', '')} › {case.get('name', '')} : {words}")
    return tuple(told)


def _environment(report: Path) -> dict[str, str]:
    env = node_environment()
    env["PATH"] = f"{VENV / 'bin'}{os.pathsep}{env['PATH']}"
    env |= {"CI": "true", "PYTHONUNBUFFERED": "1", "PLAYWRIGHT_JUNIT_OUTPUT_NAME": str(report)}
    env.setdefault("SECRET_KEY", "secret-key-of-the-gate-only-never-of-an-instance")
    return env


def _summary(results: Sequence[Result]) -> int:
    _print("\n━━ Résumé")
    for result in results:
        state = f"absent : {result.absent}" if result.absent else str(result.counts)
        mark = "✗" if result.counts.failed else "–" if result.absent else "✓"
        label = f"{result.stage.group} · {result.stage.name}"
        _print(f"{mark} {label:<44} {french_seconds(result.seconds):>9}   {state}")
        for failure in result.failures:
            _print(f"    ✗ {failure}")
    total = sum((result.counts for result in results), Counts())
    seconds = sum(result.seconds for result in results)
    _print(f"Durée : {seconds / 60:.1f} min".replace(".", ","))
    _print(str(total))
    return 1 if total.failed else 0


def _print(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - this module's job is to print
