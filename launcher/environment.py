"""Configuration: `.env` files, the process's environment, and what the terminals receive."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from launcher.errors import EXIT_USAGE, LauncherError

_ASSIGNMENT = re.compile(r"^(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)$")


def parse_env(text: str, source: str) -> dict[str, str]:
    """Read `NAME=value` lines: comments, `export`, single and double quotes; nothing is expanded.

    Raises:
        LauncherError: a line is neither an assignment nor a comment; file and line are named, its
            content is not, because it may be a secret.
    """
    values = {}
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        match = _ASSIGNMENT.match(line)
        if match is None:
            raise LauncherError(f"{source}, ligne {number} : attendu « NOM=valeur ».", EXIT_USAGE)
        values[match[1]] = _unquote(match[2])
    return values


def _unquote(value: str) -> str:
    if value[:1] in {'"', "'"}:
        end = value.find(value[0], 1)
        if end > 0:
            return value[1:end]
    return value.split(" #", 1)[0].strip()


def read_env_file(path: Path) -> dict[str, str]:
    """Read an `.env` file; an absent one is empty."""
    try:
        return parse_env(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        return {}


def read_configuration(root: Path, data_dir: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Merge the sources of configuration; variables set to nothing count as absent.

    The environment wins over the data folder's `.env`, which wins over the repository's.
    """
    merged = read_env_file(root / ".env") | read_env_file(data_dir / ".env") | dict(environ)
    return {name: value for name, value in merged.items() if value != ""}


def load_configuration(root: Path, data_dir: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Read the configuration and see to it that it holds a `SECRET_KEY`.

    One is generated into the data folder's `.env` (mode 0600) when there is none.
    """
    merged = read_configuration(root, data_dir, environ)
    if "SECRET_KEY" not in merged:
        merged["SECRET_KEY"] = _generate_secret_key(data_dir / ".env")
    return merged


def _generate_secret_key(path: Path) -> str:
    key = secrets.token_urlsafe(48)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "a", encoding="utf-8") as file:
        if file.tell():
            file.write("\n")
        file.write("# Clé de chiffrement de cette instance : à sauvegarder, à ne jamais publier.\n")
        file.write(f"SECRET_KEY={key}\n")
    path.chmod(0o600)
    return key
