"""Checks that the front end's API types are those the server describes; `--write` rewrites them."""

from __future__ import annotations

import difflib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from launcher.install import FRONTEND, ROOT, node_command, node_environment

_TYPES = FRONTEND / "src" / "api" / "schema.d.ts"
_SHOWN_LINES = 60


def generate(folder: Path) -> str:
    """Describe the API with drf-spectacular, whose warnings fail, and translate it to TypeScript, in `folder`."""
    schema, types = folder / "openapi.json", folder / "schema.d.ts"
    environment = {"SECRET_KEY": "describes-the-api-and-encrypts-nothing", **os.environ}
    describe = [sys.executable, "manage.py", "spectacular", "--format", "openapi-json", "--fail-on-warn"]
    subprocess.run(
        [*describe, "--file", str(schema)],
        cwd=ROOT / "backend",
        env=environment,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    translate = FRONTEND / "node_modules" / "openapi-typescript" / "bin" / "cli.js"
    subprocess.run(
        node_command(translate, str(schema), "-o", str(types)),
        cwd=FRONTEND,
        env=node_environment(),
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return types.read_text(encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Compare (exit code 1 and the differences) or, with `--write`, replace."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = generate(Path(folder))
    if "--write" in arguments:
        _TYPES.write_text(fresh, encoding="utf-8")
        return 0
    kept = _TYPES.read_text(encoding="utf-8")
    lines = difflib.unified_diff(kept.splitlines(), fresh.splitlines(), "schema.d.ts", "serveur", lineterm="")
    difference = list(lines)[:_SHOWN_LINES]
    if difference:
        sys.stdout.write("\n".join(difference))
        sys.stdout.write("\nLes types de l'API ont changé : python -m launcher.api_types --write\n")
    return 1 if difference else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
