"""The stages of the gate, in the order in which they run: the quick ones first."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from launcher.install import FRONTEND, ROOT, node_command

GROUPS = ("lint", "unit", "integration", "crash", "front", "e2e")
_BACKEND = ROOT / "backend"
_TESTS = _BACKEND / "tests"
_CONFIG = _BACKEND / "pyproject.toml"
_E2E = ROOT / "e2e"
_PYTHON = sys.executable
# Two processes, each with servers of its own: most of these tests wait. A file stays whole, for its fixtures.
_SIDE_BY_SIDE = ("-n", "2", "--dist", "loadfile")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One command of the gate.

    Args:
        command: the command line; `{report}` becomes the path of a JUnit file to write.
        needs: paths without which the stage is reported as absent.
        is_pytest: whether the pytest arguments of the command line go to it.
    """

    group: str
    name: str
    command: tuple[str, ...]
    cwd: Path
    needs: tuple[Path, ...] = ()
    is_pytest: bool = False

    @property
    def has_report(self) -> bool:
        """Whether the stage counts its own tests."""
        return self.is_pytest or any("junit" in part for part in self.command)


def stages() -> list[Stage]:
    """Every stage of the gate; call it in the virtual environment."""
    return [*_lint(), *_python_tests(), *_front(), *_end_to_end()]


def _lint() -> list[Stage]:
    folders = (_BACKEND, *(ROOT / name for name in ("launcher", "simex", "bench", "soak")))
    sources = [str(path) for path in folders if path.exists()]
    sources.append(str(ROOT / "aristobot"))
    ruff = (_PYTHON, "-m", "ruff")
    with_config = ("--config", str(_CONFIG), *sources)
    return [
        Stage(group="lint", name="ruff check", command=(*ruff, "check", *with_config), cwd=ROOT),
        Stage(group="lint", name="ruff format", command=(*ruff, "format", "--check", *with_config), cwd=ROOT),
        *(_mypy(folder) for folder in ("backend", "launcher", "simex", "bench", "soak")),
        Stage(
            group="lint",
            name="import-linter",
            command=(_PYTHON, "-c", "from importlinter.cli import lint_imports_command as c; c()"),
            cwd=_BACKEND,
        ),
        Stage(
            group="lint",
            name="dépendances",
            command=(_PYTHON, "-m", "launcher.audit", "--junit={report}"),
            cwd=ROOT,
            needs=(ROOT / "frontend" / "package-lock.json",),
        ),
    ]


def _mypy(folder: str) -> Stage:
    """The backend is checked from its own folder, where its packages are top-level names.

    simex has no Django: it is checked without the backend's exceptions, numpy's types included.
    """
    inside = folder == "backend"
    config = ("--strict", "--config-file=") if folder == "simex" else ("--config-file", str(_CONFIG))
    cache = ("--cache-dir", str(ROOT / ".mypy_cache" / folder))
    return Stage(
        group="lint",
        name=f"mypy {folder}",
        command=(_PYTHON, "-m", "mypy", *config, *cache, "." if inside else folder),
        cwd=_BACKEND if inside else ROOT,
        needs=(ROOT / folder,),
    )


def _python_tests() -> list[Stage]:
    return [
        _pytest("unit", "domaine et applications", _BACKEND, _TESTS / "unit", *_SIDE_BY_SIDE),
        _pytest("unit", "lanceur", ROOT, ROOT / "launcher" / "tests", "-c", str(ROOT / "launcher" / "pytest.ini")),
        _pytest("unit", "mesures", ROOT, ROOT / "bench" / "tests", "-c", str(ROOT / "bench" / "pytest.ini")),
        _pytest("integration", "échange simulé", ROOT, ROOT / "simex" / "tests", *_simex_config()),
        _pytest("integration", "contrats", _BACKEND, _TESTS / "contract"),
        _pytest("integration", "PostgreSQL, Redis, simex", _BACKEND, _TESTS / "integration", *_SIDE_BY_SIDE),
        _pytest("crash", "kill -9 de chaque service", _BACKEND, _TESTS / "crash", *_SIDE_BY_SIDE),
        _pytest("crash", "endurance", ROOT, ROOT / "soak" / "tests", "-c", str(ROOT / "soak" / "pytest.ini")),
    ]


def _simex_config() -> tuple[str, ...]:
    own = ROOT / "simex" / "pytest.ini"
    return ("-c", str(own if own.is_file() else ROOT / "launcher" / "pytest.ini"))


def _pytest(group: str, name: str, cwd: Path, folder: Path, *options: str) -> Stage:
    command = (_PYTHON, "-m", "pytest", "-q", "-ra", "--junitxml={report}", *options, str(folder))
    return Stage(group=group, name=name, command=command, cwd=cwd, needs=(folder,), is_pytest=True)


def _front() -> list[Stage]:
    modules = FRONTEND / "node_modules"
    vitest = ("run", "--reporter=default", "--reporter=junit", "--outputFile.junit={report}")
    return [
        _node("front", "eslint", FRONTEND, modules / "eslint" / "bin" / "eslint.js", ".", "--max-warnings", "0"),
        _node("front", "vue-tsc", FRONTEND, modules / "vue-tsc" / "bin" / "vue-tsc.js", "--build"),
        _node("front", "vitest", FRONTEND, modules / "vitest" / "vitest.mjs", *vitest),
        Stage(
            group="front",
            name="types de l'API",
            command=(_PYTHON, "-m", "launcher.api_types"),
            cwd=ROOT,
            needs=(FRONTEND / "src" / "api" / "schema.d.ts", _BACKEND / "manage.py"),
        ),
    ]


def _node(group: str, name: str, cwd: Path, script: Path, *arguments: str) -> Stage:
    return Stage(
        group=group,
        name=name,
        command=tuple(node_command(script, *arguments)),
        cwd=cwd,
        needs=(cwd / "package.json",),
    )


def _end_to_end() -> list[Stage]:
    modules = _E2E / "node_modules"
    playwright = modules / "@playwright" / "test" / "cli.js"
    return [
        _node("e2e", "types des parcours", _E2E, modules / "typescript" / "bin" / "tsc", "--noEmit"),
        _node("e2e", "Playwright", _E2E, playwright, "test", "--reporter=list,junit"),
    ]
