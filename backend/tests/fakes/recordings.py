"""Where the recordings are: `ARISTOBOT_TEST_DATA`, else `../shared/data` beside the repository."""

import os
from pathlib import Path

import pytest


def data_file(name: str) -> Path:
    """Return a recording's path; skip the test when it is not on this machine."""
    root = Path(__file__).resolve().parents[3]
    folder = Path(os.environ.get("ARISTOBOT_TEST_DATA", str(root.parent / "shared" / "data")))
    path = folder / name
    if not path.is_file():
        pytest.skip(f"recording {name} is not in {folder}")
    return path
